"""Whatever people, brokers and strategies do one after another: what owners hold is what contracts are, and the ledger is sound."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.mending.books import STRATEGY, owners, rows, with_settings
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.execution import (
    ByHand,
    StackHandler,
    adopt_positions,
    assign_by_hand,
    balance_by_hand,
    cancel_by_hand,
    correct_by_hand,
    fill_by_hand,
    order_by_hand,
    plan_adoption,
    position_breaks,
    transfer_by_hand,
    void_by_hand,
)
from tradeflow_core.home import Home
from tradeflow_core.ledger import (
    fills,
    ledger_problems,
    live_broker_orders,
    open_instrument_orders,
    positions_by_contract,
    positions_by_strategy,
)
from tradeflow_core.ledger.schema import broker_order_legs, broker_orders
from tradeflow_core.model import OUTSIDE, Leg, OrderIntent

CONTRACT = 20240300
BY = ByHand("me", "to see")
FORCED = ByHand("me", "to see", force=True)
sizes = st.integers(-6, 6).filter(bool)
ACTIONS = st.fixed_dictionaries(
    {
        "what": st.sampled_from(
            ["trade", "limit", "cancel", "outside", "transfer", "assign", "balance", "fill", "void", "correct", "adopt"]
        ),
        "whose": st.sampled_from([STRATEGY, "other"]),
        "other": st.sampled_from([STRATEGY, "other", OUTSIDE]),
        "size": sizes,
        "number": st.integers(0, 40),
    }
)
FIRST = [
    {"what": "outside", "whose": "other", "other": STRATEGY, "size": 3, "number": 0},
    {"what": "assign", "whose": "other", "other": STRATEGY, "size": 1, "number": 0},
    {"what": "trade", "whose": STRATEGY, "other": "other", "size": -5, "number": 0},
]
"""With these every example begins, so that there is something to mend."""


@contextmanager
def desk_like(home: Path) -> Iterator[Desk]:
    """A desk of two strategies at noon, in a copy of a home."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copytree(home, Path(folder) / "home"))
        both = "".join(f'[strategies.{name}]\nconfig = "static_trend_carry"\nweight = 0.5\n' for name in (STRATEGY, "other"))
        desk = Desk(Home.open(with_settings(path, both)))
        desk.clock.wait(12 * 3600)
        yield desk
        desk.close()


def act(desk: Desk, what: str, *, whose: str, other: str, size: int, number: int) -> None:
    """One action of a person, or of somebody else at the broker. Raises StateError or ConfigError where it cannot be.

    Sizes up to 4 are fitted to what is there, so that most actions can be; greater ones are taken as they are.
    """
    if what in ("trade", "limit"):
        order_by_hand(desk, whose, "CORN", quantity=size, contract=CONTRACT, limit=1.0 if what == "limit" else None, by=BY)
        StackHandler(desk).step()
    elif what == "cancel":
        with desk.ledger.read() as view:
            numbers = [order.id for order in open_instrument_orders(view, desk.account)]
        cancel_by_hand(desk, numbers[number % len(numbers)] if numbers else number, BY)
    elif what == "outside":
        intent = OrderIntent(f"theirs{desk.now()}", desk.account, "CORN", (Leg(CONTRACT, size),))
        desk.broker.exchange.trade_elsewhere(intent, desk.now())  # type: ignore[attr-defined]
        desk.clock.wait(60)
        StackHandler(desk).step()
    elif what == "transfer":
        transfer_by_hand(desk, "CORN", fitted(size, owners(desk).get(other, 0)), giver=other, taker=whose, by=BY)
    elif what == "assign":
        part = fitted(size, owners(desk).get(OUTSIDE, 0)) if number % 2 else None
        assign_by_hand(desk, "CORN", taker=whose, quantity=part, by=BY)
    elif what == "balance":
        balance_by_hand(desk, whose, "CORN", contract=CONTRACT, quantity=size, price=550.0, by=FORCED)
    elif what == "fill":
        sent = [row for row in rows(desk, broker_order_legs) if row["instrument"] == "CORN"]
        leg = sent[number % len(sent)]
        reference = next(row["client_ref"] for row in rows(desk, broker_orders) if row["id"] == leg["broker_order_id"])
        side = leg["quantity"] if abs(size) <= 4 else size * leg["quantity"]
        fill_by_hand(desk, reference, quantity=fitted(size, 9 * side), price=551.0, by=FORCED)
    elif what in ("void", "correct"):
        booked = [row for row in rows(desk, fills) if row["instrument"] == "CORN"]
        fill = booked[number % len(booked)]
        if what == "void":
            void_by_hand(desk, fill["exec_id"], by=FORCED)
        else:
            correct_by_hand(desk, fill["exec_id"], quantity=fitted(size, 9 * fill["quantity"]), price=549.0, by=FORCED)
    else:
        adopt_positions(desk, plan_adoption(desk, "CORN", owner=whose), BY)
        assert [each for each in position_breaks(desk) if each.instrument == "CORN"] == []


def fitted(size: int, there: int) -> int:
    """A part of what is there, of its sign."""
    return size if abs(size) > 4 or not there else min(abs(size), abs(there)) * (1 if there > 0 else -1)


def held(desk: Desk) -> tuple[dict[tuple[str, str], int], dict[tuple[str, int], int]]:
    with desk.ledger.read() as view:
        return positions_by_strategy(view, desk.account), positions_by_contract(view, desk.account)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(ACTIONS, min_size=1, max_size=12))
def test_any_sequence_of_mending_keeps_both_sums_equal(seeded_home: Path, actions: list[dict[str, Any]]) -> None:
    with desk_like(seeded_home) as desk:
        for action in [*FIRST, *actions]:
            before = held(desk)
            try:
                act(desk, **action)
            except (StateError, ConfigError):
                assert action not in FIRST
                assert held(desk) == before, f"{action} was refused and changed something"
            by_owner, by_contract = (totals(each, place) for each, place in zip(held(desk), (1, 0), strict=True))
            assert by_owner == by_contract, action
            with desk.ledger.read() as view:
                assert ledger_problems(view) == [], action
        with desk.ledger.read() as view:
            at_work = live_broker_orders(view, desk.account)
        for order in at_work:
            cancel_by_hand(desk, order.shares[0].instrument_order_id, BY)
        with desk.ledger.read() as view:
            assert live_broker_orders(view, desk.account) == [] and ledger_problems(view) == []


def totals(positions: Mapping[tuple[Any, ...], int], place: int) -> dict[str, int]:
    """Contracts by instrument, which stands at this place of the key, without zeros."""
    found: Counter[str] = Counter()
    for key, size in positions.items():
        found[key[place]] += size
    return {code: size for code, size in found.items() if size}
