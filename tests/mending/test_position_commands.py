"""A person moves positions between strategies, assigns what was traded elsewhere, and takes the broker's positions over."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.commands import answer, run, said
from tests.mending.books import STRATEGY, WHY, contract_of, give_to, owners, trade_unseen, with_settings
from tradeflow_core import ledger as books
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.execution import ByHand, StackHandler, adopt_positions, plan_adoption, trading_session
from tradeflow_core.home import Home
from tradeflow_core.ledger import (
    allocations,
    instruments_locked_by,
    positions_by_strategy,
)
from tradeflow_core.model import OUTSIDE, BrokerOrderStatus, Leg, LockOwner, OrderIntent, OrderType


def test_positions_are_shown_by_owner_and_by_contract_and_owners_that_are_no_strategies_are_marked(
    path: Path, desk: Desk
) -> None:
    held = owners(desk)[STRATEGY]
    part = 1 if held > 0 else -1
    give_to(desk, "old", part)
    give_to(desk, OUTSIDE, part)
    shown = answer(path, "positions", "--instrument", "CORN")
    assert {row["owner"]: (row["position"], row["note"]) for row in shown["owners"]} == {
        OUTSIDE: (part, "no strategy: traded elsewhere, to be assigned"),
        "old": (part, "not in the settings any more"),
        STRATEGY: (held - 2 * part, ""),
    }
    (contract,) = shown["contracts"]
    assert (contract["position"], contract["contract"]) == (held, contract_of(desk))
    assert contract["role"] == "priced"
    assert "not in the settings any more" in said(run(path, "positions"))


# --- transfer ------------------------------------------------------------------------------------------------------------


def test_a_position_of_a_removed_strategy_is_moved_to_another_at_the_last_price(path: Path, desk: Desk) -> None:
    held = owners(desk)[STRATEGY]
    give_to(desk, "old", held)
    words = ("positions", "transfer", "CORN", str(held), "--from", "old", "--to", STRATEGY, *WHY)
    tried = answer(path, *words, "--dry-run")
    assert owners(desk) == {"old": held} and not tried["done"]
    done = answer(path, *words)
    assert done == {**tried, "done": True}
    assert [(each["whose"], each["before"], each["after"]) for each in done["positions"]] == [
        ("old", held, 0),
        (STRATEGY, 0, held),
    ]
    assert owners(desk) == {STRATEGY: held}
    with desk.ledger.read() as view:
        newest = view.execute(select(allocations).order_by(allocations.c.id.desc())).first()
    prices = desk.store.read("multiple_prices", "CORN")["PRICE"].dropna()
    assert newest.price == pytest.approx(float(prices.iloc[-1]))
    assert (newest.who, newest.why, newest.contract) == (getpass.getuser(), "put right", None)


def test_a_short_position_is_moved_with_a_negative_quantity_at_the_price_that_is_given(path: Path, desk: Desk) -> None:
    held = owners(desk)[STRATEGY]
    give_to(desk, "short", -held - (5 if held > 0 else -5), giver="old")
    with desk.ledger.read() as view:
        size = positions_by_strategy(view, desk.account)["short", "CORN"]
    answer(path, "positions", "transfer", "CORN", str(size), "--from", "short", "--to", STRATEGY, "--price", "412.5", *WHY)
    assert "short" not in owners(desk)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("100000", "--from", STRATEGY, "--to", STRATEGY), "holds"),
        (("0", "--from", STRATEGY, "--to", STRATEGY), "cannot give 0"),
        (("1", "--from", "trend_cary", "--to", STRATEGY), "trend_cary (nearest: trend_carry) holds 0 CORN"),
        (("1", "--from", STRATEGY, "--to", "trend_cary"), "no strategy 'trend_cary' in this home (nearest: trend_carry)"),
    ],
)
def test_a_transfer_that_cannot_be_is_refused_with_who_holds_what(
    path: Path, desk: Desk, words: tuple[str, ...], message: str
) -> None:
    before = owners(desk)
    refused = run(path, "positions", "transfer", "CORN", *words, *WHY)
    assert refused.exit_code == 1 and message in said(refused) and "Traceback" not in refused.output
    assert owners(desk) == before


# --- assign --------------------------------------------------------------------------------------------------------------


def test_what_was_traded_elsewhere_is_assigned_in_parts_and_the_lock_goes_with_the_last(path: Path, desk: Desk) -> None:
    held = owners(desk)[STRATEGY]
    side = 1 if held > 0 else -1
    give_to(desk, OUTSIDE, 2 * side)
    with desk.ledger.begin() as tx:
        books.lock_instrument(tx, "CORN", LockOwner.OUTSIDE_TRADE, now=desk.now(), why="somebody has traded")
    first = answer(path, "positions", "assign", "CORN", "--to", STRATEGY, "--quantity", str(side), *WHY)
    assert any("stays locked" in note for note in first["notes"]) and owners(desk)[OUTSIDE] == side
    tried = answer(path, "positions", "assign", "CORN", "--to", STRATEGY, "--dry-run", *WHY)
    assert any("would be lifted" in note for note in tried["notes"])
    last = answer(path, "positions", "assign", "CORN", "--to", STRATEGY, *WHY)
    assert any("is lifted" in note for note in last["notes"]) and owners(desk) == {STRATEGY: held}
    with desk.ledger.read() as view:
        assert instruments_locked_by(view, LockOwner.OUTSIDE_TRADE) == []
    nothing = run(path, "positions", "assign", "CORN", "--to", STRATEGY, *WHY)
    assert nothing.exit_code == 1 and "nothing of CORN waits to be assigned" in said(nothing)


def test_more_than_was_traded_elsewhere_is_not_assigned(path: Path, desk: Desk) -> None:
    side = 1 if owners(desk)[STRATEGY] > 0 else -1
    give_to(desk, OUTSIDE, side)
    refused = run(path, "positions", "assign", "CORN", "--to", STRATEGY, "--quantity", str(3 * side), *WHY)
    assert refused.exit_code == 1 and f"there are {side} of {OUTSIDE}" in said(refused)


# --- adopt and reconcile -------------------------------------------------------------------------------------------------


def test_a_break_is_found_with_the_command_that_mends_it_and_that_command_mends_it(path: Path, desk: Desk) -> None:
    held = owners(desk)[STRATEGY]
    answer(path, "reconcile")
    trade_unseen(desk, 3)
    found = run(path, "reconcile", "--json")
    assert found.exit_code == 1
    report = json.loads(found.stdout)
    (difference,) = report["broker"]
    assert report["breaks"] == 1 and difference["command"] == 'tradeflow positions adopt CORN --why "..."'
    with desk.ledger.read() as view:
        assert instruments_locked_by(view, LockOwner.RECONCILIATION) == ["CORN"]
    tried = answer(path, "positions", "adopt", "CORN", "--dry-run", "--to", STRATEGY, *WHY)
    assert [(row["ledger"], row["broker"], row["booked"]) for row in tried["rows"]] == [(held + 3, held, -3)]
    assert owners(desk) == {STRATEGY: held + 3} and not tried["done"]
    assert "nothing was changed" in said(run(path, "positions", "adopt", *WHY, text="n\n"))
    unasked = run(path, "positions", "adopt", "--json", *WHY)
    assert unasked.exit_code == 1 and "--json add --yes" in said(unasked)
    shown = said(run(path, "positions", "adopt", "--to", STRATEGY, *WHY, text="y\n"))
    assert "the lock of CORN is lifted" in shown
    assert owners(desk) == {STRATEGY: held}
    with desk.ledger.read() as view:
        assert instruments_locked_by(view, LockOwner.RECONCILIATION) == []
    assert run(path, "reconcile").exit_code == 0


def test_what_is_adopted_for_nobody_is_assigned_later(path: Path, desk: Desk) -> None:
    trade_unseen(desk, -2)
    answer(path, "positions", "adopt", "--yes", *WHY)
    assert owners(desk)[OUTSIDE] == 2
    report = answer(path, "reconcile")
    (waits,) = report["owners"]
    assert not waits["is_break"] and waits["command"].startswith("tradeflow positions assign CORN --to trend_carry")


def test_adopting_where_nothing_differs_changes_nothing(path: Path, desk: Desk) -> None:
    before = owners(desk)
    assert answer(path, "positions", "adopt", *WHY)["rows"] == []
    assert owners(desk) == before


def test_nothing_is_adopted_on_an_answer_that_the_broker_does_not_give_again(path: Path, desk: Desk) -> None:
    trade_unseen(desk, 3)
    plan = plan_adoption(desk)
    real = desk.broker.positions
    desk.broker.__dict__["positions"] = lambda account: {**real(account), ("CORN", contract_of(desk)): 99}
    with pytest.raises(StateError, match="two answers differ"):
        adopt_positions(desk, plan, ByHand("me", "x"))
    assert OUTSIDE not in owners(desk)


def test_executions_that_are_not_booked_are_not_adopted_but_booked_by_reconcile(trading_desk: Desk) -> None:
    """Booked by hand they would count twice, as soon as the broker reports them."""
    desk, path = trading_desk, trading_desk.home.path
    desk.clock.wait(12 * 3600)
    with desk.ledger.begin() as tx:
        order = next(order for order in books.open_instrument_orders(tx, desk.account) if order.instrument == "CORN")
        assert order.reference_contract
        child = books.add_contract_order(
            tx,
            order.id,
            legs=[Leg(order.reference_contract, 1 if order.quantity > 0 else -1)],
            order_type=OrderType.MARKET,
            now=desk.now(),
        )
        leg = Leg(order.reference_contract, 1 if order.quantity > 0 else -1)
        intent = OrderIntent("lost", desk.account, "CORN", (leg,))
        number = books.add_broker_order(tx, child, intent, now=desk.now())
        books.set_broker_status(tx, number, BrokerOrderStatus.CANCELLED, now=desk.now())
    desk.broker.submit(intent)
    refused = run(path, "positions", "adopt", "CORN", "--yes", *WHY)
    assert refused.exit_code == 1 and "they would count twice" in said(refused)
    shown = run(path, "reconcile")
    assert shown.exit_code == 0 and "1 executions that the broker reports were booked" in said(shown)
    assert owners(desk) == {STRATEGY: leg.quantity}


def test_nothing_is_adopted_while_an_order_of_the_instrument_is_at_work(trading_desk: Desk) -> None:
    desk, path = trading_desk, trading_desk.home.path
    desk.clock.wait(12 * 3600)
    with desk.ledger.begin() as tx:
        order = next(order for order in books.open_instrument_orders(tx, desk.account) if order.instrument == "CORN")
        assert order.reference_contract
        leg = Leg(order.reference_contract, 1)
        intent = OrderIntent("tried", desk.account, "CORN", (leg,))
        child = books.add_contract_order(tx, order.id, legs=[leg], order_type=OrderType.MARKET, now=desk.now())
        books.add_broker_order(tx, child, intent, now=desk.now())
    desk.broker.submit(intent)
    refused = run(path, "positions", "adopt", "CORN", "--yes", *WHY)
    assert refused.exit_code == 1 and "tried (CORN, sending)" in said(refused)


def test_a_running_stack_handler_is_left_to_book_and_lock(path: Path, desk: Desk) -> None:
    trade_unseen(desk, 3)
    with trading_session(desk):
        found = run(path, "reconcile")
    assert found.exit_code == 1 and "a stack handler is at work" in said(found)
    with desk.ledger.read() as view:
        assert instruments_locked_by(view, LockOwner.RECONCILIATION) == []


def test_looking_only_writes_nothing(path: Path, desk: Desk) -> None:
    trade_unseen(desk, 3)
    assert run(path, "reconcile", "--dry-run").exit_code == 1
    with desk.ledger.read() as view:
        assert instruments_locked_by(view, LockOwner.RECONCILIATION) == []


@pytest.mark.parametrize(
    "words",
    [
        ("transfer", "CORN", "1", "--from", "a", "--to", "b"),
        ("assign", "CORN", "--to", "b"),
        ("adopt", "--yes"),
    ],
    ids=lambda words: words[0],
)
def test_positions_are_not_mended_without_a_reason(path: Path, words: tuple[str, ...]) -> None:
    missing = run(path, "positions", *words)
    assert missing.exit_code == 2 and "Missing option '--why'" in missing.output


def test_an_execution_that_the_broker_has_not_told_is_named_and_not_taken_over_twice(open_desk: Desk) -> None:
    path = open_desk.home.path
    desk = Desk(Home.open(with_settings(path, "[simulated.faults]\ndelay_minutes = 1200\nlate_executions = 1")))
    StackHandler(desk).run(desk.home.at(desk.business_day(), desk.settings.day.session_end))
    report = json.loads(run(path, "reconcile", "--json").stdout)
    (untold,) = [each for each in report["broker"] if each["instrument"] == "CORN"]
    assert "has not told" in untold["what"] and untold["command"].startswith("tradeflow orders fill tf-")
    refused = run(path, "positions", "adopt", "CORN", "--yes", *WHY)
    assert refused.exit_code == 1 and "would count twice" in said(refused)
    desk.clock.wait(20 * 3600)
    assert "executions that the broker reports were booked" in said(run(path, "reconcile"))
    assert answer(path, "reconcile")["breaks"] == 0
    desk.close()
