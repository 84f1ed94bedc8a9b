"""How large an order may be: buffers, overrides, limits of positions and trades give the reference's answers, but for its flaws."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection

from tests.orders import put_order
from tests.parity.proof import Answers, reads
from tradeflow_core import ledger as books
from tradeflow_core.ledger import Ledger
from tradeflow_core.model import Override, OverrideKind
from tradeflow_core.orders import (
    apply_override,
    apply_position_limit,
    apply_position_limits,
    buffered_trade,
    cut_to_caps,
    largest_position,
)
from tradeflow_core.strategy import strategy_from_dict
from tradeflow_core.strategy.common.panel import Panel, Span
from tradeflow_core.strategy.config.sections import BufferSection
from tradeflow_core.strategy.positions.buffers import Buffers, buffered_position

TRADE, BACKTEST, APPLIED, PRODUCT, SINGLE, COMBINED, MINIMUM, TRADES = (
    f"reference_cases/execution/{name}"
    for name in (
        "buffered_trade",
        "apply_buffer_backtest",
        "override_applied",
        "override_product",
        "position_limit_single",
        "position_limit_combined",
        "position_limit_minimum",
        "trade_limits",
    )
)

NOW = datetime(2024, 1, 8, 12, tzinfo=UTC)


@reads(TRADE)
def test_trades_to_the_edge_of_the_buffer(answers: Answers) -> None:
    table = answers.table(TRADE)
    ours = [buffered_trade(*row) for row in zip(table["current"], table["lower"], table["upper"], strict=True)]
    answers.equal(TRADE, ours, table["trade"])


@reads(BACKTEST)
@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("to_edge", [True, False])
def test_positions_within_the_buffer_over_time(*, rounded: bool, to_edge: bool, answers: Answers) -> None:
    table = answers.table(BACKTEST).set_index("date")
    span = Span(np.array([0]), np.array([len(table) - 1]))
    wanted, upper, lower = (Panel(table[[name]].set_axis(["X"], axis=1), span) for name in ("optimal", "top", "bot"))
    config = strategy_from_dict(
        {
            "trading_rules": {"carry": {"function": "systems.provided.rules.carry.carry", "data": ["rawdata.raw_carry"]}},
            "buffer_trade_to_edge": to_edge,
        }
    )
    held = buffered_position(wanted, Buffers(upper, lower), BufferSection.of(config), rounded=rounded).values["X"]
    answers.near(BACKTEST, held, table[f"buffered_edge{to_edge}_round{rounded}"], tolerance=0.0 if rounded else 1e-12)


OVERRIDES = {
    "none(1.0)": Override(),
    "override_none": Override(),
    "close": Override(OverrideKind.FRACTION, 0.0),
    "no_trading": Override(OverrideKind.NO_TRADING, 0.0),
    "reduce_only": Override(OverrideKind.REDUCE_ONLY),
}


def override(name: str) -> Override:
    return OVERRIDES[name] if name in OVERRIDES else Override(OverrideKind.FRACTION, float(name))


@reads(APPLIED)
def test_trades_under_an_override(answers: Answers) -> None:
    table = answers.table(APPLIED)
    rows = zip(table["position"], table["trade"], table["override"], strict=True)
    answers.equal(
        APPLIED, [apply_override(position, trade, override(name)) for position, trade, name in rows], table["new_trade"]
    )


@reads(PRODUCT)
def test_two_overrides_at_once(answers: Answers) -> None:
    """A fraction of nothing closes the position, and closing goes before `reduce only`; the reference knows that of its special override
    `close`, and forgets it of the number."""
    numbers = {"no_trading": -1.0, "reduce_only": -2.0}
    table = answers.table(PRODUCT).set_index(["a", "b"])
    products = {(a, b): override(a) * override(b) for a, b in table.index}
    ours = {pair: numbers.get(product.kind, product.fraction) for pair, product in products.items()}
    named = {("0.0", "reduce_only"): 0.0, ("reduce_only", "0.0"): 0.0}
    answers.equal_but(PRODUCT, ours, table["numeric"].to_dict(), named=named)


@reads(SINGLE)
def test_trades_under_one_position_limit(answers: Answers) -> None:
    table = answers.table(SINGLE)
    rows = zip(table["position"], table["trade"], table["limit"], strict=True)
    answers.equal(SINGLE, [apply_position_limit(*row) for row in rows], table["new_trade"])


def limit(contracts: int | str) -> int | None:
    """A limit as the reference writes it."""
    return None if contracts in (-1, "No limit") else int(contracts)


def smallest_change(position: int, held_by_all: int, of_strategy: int | None, *, of_all: int | None, trade: int) -> int:
    """The trade nearest to the proposed one after which both limits hold, found by trying; where none does, the instrument's holds."""
    tried = range(-40, 41)
    within = [size for size in tried if of_all is None or abs(held_by_all + size) <= of_all]
    both = [size for size in within if of_strategy is None or abs(position + size) <= of_strategy]
    alone = apply_position_limit(position, trade, of_strategy)
    return min(both, key=lambda size: abs(size - trade)) if both else min(within, key=lambda size: abs(size - alone))


def both_hold(case: tuple[int, int, int | None, int | None, int], trade: float) -> bool:
    """Whether the limits of a case (positions of the strategy and of all, their limits) hold after a trade."""
    own, total, of_one, of_all, _ = case
    return (of_one is None or abs(own + trade) <= of_one) and (of_all is None or abs(total + trade) <= of_all)


@reads(COMBINED)
def test_trades_under_limits_of_the_strategy_and_of_the_instrument(answers: Answers) -> None:
    """The reference takes the smaller or larger trade by the sign of the position, and so lets trades break a limit that could be kept; here
    both hold after the smallest change. Where no trade keeps both, the instrument's holds, and the strategy comes as near to its own as that
    allows; there the reference breaks the instrument's, or goes further than it has to."""
    table = answers.table(COMBINED)
    names = ["strategy_position", "instrument_position", "strategy_limit_-1none", "instrument_limit_-1none", "trade"]
    cases = [
        (own, total, limit(of_one), limit(of_all), trade)
        for own, total, of_one, of_all, trade in table[names].to_numpy(int).tolist()
    ]
    for_all = [apply_position_limit(total, trade, of_all) for _, total, _, of_all, trade in cases]
    for_one = [apply_position_limit(own, trade, of_one) for own, _, of_one, _, trade in cases]
    answers.equal(COMBINED, for_all, table["after_instrument_limit"])
    answers.equal(COMBINED, for_one, table["after_strategy_limit"])
    ours = {
        row: apply_position_limits(own, total, trade, strategy_limit=of_one, instrument_limit=of_all)
        for row, (own, total, of_one, of_all, trade) in enumerate(cases)
    }
    theirs = dict(enumerate(table["final_trade"]))
    right = {row: smallest_change(*case[:3], of_all=case[3], trade=case[4]) for row, case in enumerate(cases)}
    broken = {row: right[row] for row, case in enumerate(cases) if both_hold(case, right[row]) > both_hold(case, theirs[row])}
    neither = {row: answer for row, answer in right.items() if not both_hold(cases[row], answer) and answer != theirs[row]}
    assert (len(broken), len(neither)) == (286, 24)
    answers.equal_but(COMBINED, ours, theirs, named=broken | neither)


@reads(MINIMUM)
def test_the_most_that_a_strategy_may_hold(answers: Answers) -> None:
    """The reference overlooks the strategy's limit whenever it asks for the smaller of the two; here it counts."""
    table = answers.table(MINIMUM)

    columns = ("instrument_limit", "strategy_limit", "minimum_position_limit_returned")
    theirs = {
        (limit(of_all), limit(of_one)): limit(most)
        for of_all, of_one, most in zip(*(table[name] for name in columns), strict=True)
    }
    ours = {(of_all, of_one): largest_position(Override(), of_one, of_all) for of_all, of_one in theirs}
    named = {(of_all, of_one): of_one for of_all, of_one in theirs if of_one is not None and (of_all is None or of_one < of_all)}
    assert len(named) == 6
    answers.equal_but(MINIMUM, ours, theirs, named=named)


def traded(tx: Connection, contracts: int, when: datetime) -> None:
    """Book a filled order of so many contracts."""
    put_order(tx, "GOLD", contracts, now=when, filled=contracts)


def room(folder: Path, text: str) -> int | None:
    """What the trade limits of a case leave, in a ledger in which so much was traded."""
    folder.mkdir()
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")
    limits = [tuple(map(int, found)) for found in re.findall(r"(\d+), ?(\d+), ?(\d+)", text)]
    with ledger.begin() as tx:
        done, since = 0, NOW - timedelta(days=1, seconds=5) if "last reset 1d+5s ago" in text else NOW
        for contracts, days, used in sorted(limits, key=lambda entry: entry[1]):
            books.set_trade_limit(tx, books.ANY, "GOLD", days=days, contracts=contracts, now=NOW, who="me", why="test")
            if used > done:
                traded(tx, used - done, since)
            done, since = used, NOW - timedelta(days=days, seconds=1)
        left = books.tradeable_now(tx, "A", "s", instrument="GOLD", now=NOW)
    ledger.close()
    return left


@reads(TRADES)
def test_what_trade_limits_leave_of_a_trade(tmp_path: Path, answers: Answers) -> None:
    """Where more was traded than is allowed, what remains is nothing; the reference takes a remainder below zero for a trade on the other
    side, in either direction."""
    table = answers.table(TRADES).set_index(["limits_(limit,period_days,traded)", "trade"])["possible"]
    rooms = {text: room(tmp_path / str(place), text) for place, text in enumerate(table.index.unique(level=0))}
    ours = {
        (text, size): size if (left := rooms[text]) is None else cut_to_caps((size,), (left,))[0] for text, size in table.index
    }
    named = {case: 0 for case in table.index if case[0] == "[(5, 1, 7)]"}
    assert len(named) == 10
    answers.equal_but(TRADES, ours, table.to_dict(), named=named)
