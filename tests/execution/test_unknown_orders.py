"""Nothing is concluded from one answer that lacks an order: it is not sent again, and a person can say what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.commands import run, said
from tests.execution.test_stack_handler import UnreliableLine, assert_sound
from tests.frames import table_of
from tradeflow_core.brokers import ExecutionsSnapshot, OrdersSnapshot
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.execution import Pass, StackHandler, poll_orders, settle_order, submit_intent
from tradeflow_core.ledger import (
    Control,
    add_broker_order,
    add_contract_order,
    add_instrument_order,
    close_all_orders,
    control_history,
    current_roll,
    fills,
    instruments_locked_by,
    ledger_problems,
    live_broker_orders,
    open_instrument_orders,
    positions_by_contract,
    positions_by_strategy,
)
from tradeflow_core.ledger.schema import broker_orders
from tradeflow_core.model import BrokerOrder, BrokerOrderStatus, Leg, LockOwner, OrderIntent, OrderType

FIRST_TICK = 15 * 3600


@pytest.fixture
def line(trading_desk: Desk) -> UnreliableLine:
    trading_desk.clock.wait(FIRST_TICK)
    line = UnreliableLine(trading_desk.broker)
    trading_desk.__dict__["broker"] = line
    return line


@pytest.fixture
def working(trading_desk: Desk, line: UnreliableLine) -> BrokerOrder:
    """An order that the broker has acknowledged and that works there: it buys far below the market."""
    desk = trading_desk
    with desk.ledger.begin() as tx:
        instrument = open_instrument_orders(tx, desk.account)[-1].instrument
        close_all_orders(tx, desk.account, desk.now())
        contract = current_roll(tx, instrument).price_contract
        parent = add_instrument_order(
            tx,
            account=desk.account,
            strategy="patient",
            instrument=instrument,
            quantity=2,
            order_type=OrderType.LIMIT,
            day=desk.today(),
            now=desk.now(),
        )
        leg = Leg(contract, 2)
        child = add_contract_order(tx, parent, order_type=OrderType.LIMIT, legs=[leg], now=desk.now())
        price = round(desk.broker.quote(instrument, contract).bid / 2)
        intent = OrderIntent("patient-1", desk.account, instrument, (leg,), OrderType.LIMIT, price)
        order = add_broker_order(tx, child, intent, now=desk.now())
    submit_intent(desk, intent, broker_order=order, contract_order=child)
    with desk.ledger.read() as view:
        (live,) = live_broker_orders(view, desk.account)
    assert live.broker_id
    return live


def deny(line: UnreliableLine, reference: str, *, times: int) -> None:
    """The broker's next snapshots do not have the order."""
    left = [times]

    def orders(account: str) -> OrdersSnapshot:
        snapshot = line._broker.orders(account)
        left[0] -= 1
        if left[0] < 0:
            return snapshot
        return replace(snapshot, orders=tuple(state for state in snapshot.orders if state.client_ref != reference))

    line.__dict__["orders"] = orders


def sent(desk: Desk, instrument: str) -> int:
    with desk.ledger.read() as view:
        return int((table_of(view, broker_orders)["instrument"] == instrument).sum())


def locked(desk: Desk) -> list[str]:
    with desk.ledger.read() as view:
        return instruments_locked_by(view, LockOwner.UNKNOWN_ORDER)


def test_an_acknowledged_order_that_is_denied_for_a_while_is_not_sent_again(
    trading_desk: Desk, line: UnreliableLine, working: BrokerOrder
) -> None:
    desk, before = trading_desk, sent(trading_desk, working.instrument)
    deny(line, working.client_ref, times=6)
    for _ in range(3):
        StackHandler(desk).step()
        desk.clock.wait(60)
    assert locked(desk) == [working.instrument] and sent(desk, working.instrument) == before
    assert sum(alert["subject"] == f"unknown order {working.instrument}" for alert in desk.alerts.read()) == 1
    line.__dict__.pop("orders")
    StackHandler(desk).step()
    assert locked(desk) == []
    StackHandler(desk).run(desk.home.at(desk.today(), desk.settings.day.session_end))
    assert_sound(desk)


def test_an_order_that_was_never_acknowledged_is_not_given_up_while_positions_differ(
    trading_desk: Desk, line: UnreliableLine
) -> None:
    desk = trading_desk
    line.lose(arrives=True)
    StackHandler(desk).step()
    line.restore()
    with desk.ledger.read() as view:
        filled = next(
            order
            for order in live_broker_orders(view, desk.account)
            if desk.broker.positions(desk.account).get((order.instrument, order.legs[0].contract))
        )
    deny(line, filled.client_ref, times=1000)
    line.__dict__["executions"] = lambda account, since=None: ExecutionsSnapshot(1, desk.now(), ())
    for _ in range(3):
        StackHandler(desk).step()
        desk.clock.wait(60)
    assert filled.instrument in locked(desk) and sent(desk, filled.instrument) == 1
    line.__dict__.pop("orders"), line.__dict__.pop("executions")
    StackHandler(desk).step()
    assert locked(desk) == []
    assert_sound(desk)


def test_an_order_with_an_execution_was_there_even_if_no_snapshot_ever_has_it(trading_desk: Desk, line: UnreliableLine) -> None:
    desk = trading_desk
    line.lose(arrives=True)
    StackHandler(desk).step()
    line.restore()
    with desk.ledger.read() as view:
        order = live_broker_orders(view, desk.account)[0]
    assert order.broker_id is None and any(
        fill.client_ref == order.client_ref for fill in desk.broker.executions(desk.account).fills
    )
    deny(line, order.client_ref, times=1000)
    for _ in range(3):
        poll_orders(desk)
    with desk.ledger.read() as view:
        status = table_of(view, broker_orders).set_index("client_ref").loc[order.client_ref, "status"]
        once = control_history(view, Control.LOCK, instrument=order.instrument)
    assert status == "unknown" and len(once) == 1
    line.__dict__.pop("orders")
    poll_orders(desk)
    assert locked(desk) == []
    assert_sound(desk)


def test_a_person_settles_an_order_that_the_broker_does_not_know_any_more(
    trading_desk: Desk, line: UnreliableLine, working: BrokerOrder
) -> None:
    desk = trading_desk
    deny(line, working.client_ref, times=10**6)
    with pytest.raises(StateError, match=rf"{working.client_ref} could not be cancelled .*tradeflow orders settle"):
        StackHandler(desk).run(desk.home.at(desk.today(), desk.settings.day.session_end))
    assert locked(desk) == [working.instrument]
    settle_order(desk, working.client_ref, BrokerOrderStatus.CANCELLED, who="me", why="the broker's log says so", dry_run=False)
    assert locked(desk) == []
    StackHandler(desk).end_of_day()
    assert_sound(desk)


def test_the_command_lists_and_settles_unknown_orders_and_refuses_what_is_known(
    trading_desk: Desk, line: UnreliableLine, working: BrokerOrder
) -> None:
    desk = trading_desk
    refused = run(desk.home.path, "orders", "settle", working.client_ref, "--as", "cancelled", "--why", "saw it")
    assert refused.exit_code == 1 and "is not an unknown order" in said(refused)
    deny(line, working.client_ref, times=2)
    poll_orders(desk)
    assert working.client_ref in said(run(desk.home.path, "orders", "settle", "--json"))
    dry = run(desk.home.path, "orders", "settle", working.client_ref, "--as", "cancelled", "--why", "saw it", "--dry-run")
    assert dry.exit_code == 0 and "could be settled as cancelled" in said(dry)
    missing_why = run(desk.home.path, "orders", "settle", working.client_ref)
    assert missing_why.exit_code == 1 and "--why" in said(missing_why)
    found = run(desk.home.path, "orders", "settle", working.client_ref, "--as", "cancelled", "--why", "saw it")
    assert found.exit_code == 1 and "is not an unknown order" in said(found), "the broker was asked once more and has it"


def withheld(line: UnreliableLine, reference: str) -> Callable[[], None]:
    """The broker reports no executions of the order until the returned function is called."""

    def executions(account: str, since: object = None) -> ExecutionsSnapshot:
        snapshot = line._broker.executions(account, since)
        return replace(snapshot, fills=tuple(fill for fill in snapshot.fills if fill.client_ref != reference))

    line.__dict__["executions"] = executions
    return lambda: line.__dict__.pop("executions")


def test_a_fill_that_comes_after_its_order_was_settled_is_booked_and_reported(trading_desk: Desk, line: UnreliableLine) -> None:
    desk = trading_desk
    StackHandler(desk).step()
    with desk.ledger.read() as view:
        booked = table_of(view, fills)
    last = booked.iloc[-1]
    with desk.ledger.begin() as tx:
        reference = tx.execute(broker_orders.select().where(broker_orders.c.id == int(last["broker_order_id"]))).one().client_ref
    late = replace(
        next(fill for fill in desk.broker.executions(desk.account).fills if fill.client_ref == reference),
        exec_id="late",
        time=desk.now() - timedelta(minutes=1),
    )
    snapshot = desk.broker.executions(desk.account)
    line.__dict__["executions"] = lambda account, since=None: replace(snapshot, fills=(*snapshot.fills, late))
    for _ in range(3):
        poll_orders(desk)
    with desk.ledger.read() as view:
        assert (table_of(view, fills)["exec_id"] == "late").sum() == 1
    subjects = [alert["subject"] for alert in desk.alerts.read()]
    assert subjects.count(f"late fill {late.instrument}") + subjects.count(f"locked {late.instrument}") == 1


@pytest.mark.parametrize("is_void", [True, False])
def test_an_execution_that_the_broker_corrects_or_voids_takes_the_place_of_the_first(
    trading_desk: Desk, line: UnreliableLine, is_void: bool
) -> None:
    desk = trading_desk
    StackHandler(desk).step()
    snapshot = desk.broker.executions(desk.account)
    first = max(snapshot.fills, key=lambda fill: abs(fill.quantity))
    assert abs(first.quantity) > 1
    quantity = 0 if is_void else first.quantity // abs(first.quantity)
    change = replace(first, exec_id="corrected", replaces=first.exec_id, quantity=quantity, price=first.price + 1)
    with desk.ledger.read() as view:
        held, owned = positions_by_contract(view, desk.account), positions_by_strategy(view, desk.account)
    line.__dict__["executions"] = lambda account, since=None: replace(snapshot, fills=(*snapshot.fills, change))
    assert [poll_orders(desk) for _ in range(3)] == [1, 0, 0]
    with desk.ledger.read() as view:
        for before, after in (
            (held, positions_by_contract(view, desk.account)),
            (owned, positions_by_strategy(view, desk.account)),
        ):
            assert {key: after.get(key, 0) - before[key] for key in before if after.get(key, 0) != before[key]} in (
                {},
                {key: quantity - first.quantity for key in before if first.instrument in key},
            )
        assert ledger_problems(view) == []
        assert instruments_locked_by(view, LockOwner.EXECUTION) == [first.instrument]
    assert sum(alert["subject"] == f"locked {first.instrument}" for alert in desk.alerts.read()) == 1


def test_an_execution_of_which_only_the_price_is_corrected_holds_nothing_back(trading_desk: Desk, line: UnreliableLine) -> None:
    desk = trading_desk
    StackHandler(desk).step()
    snapshot = desk.broker.executions(desk.account)
    first = snapshot.fills[0]
    change = replace(first, exec_id="corrected", replaces=first.exec_id, price=first.price + 1)
    line.__dict__["executions"] = lambda account, since=None: replace(snapshot, fills=(*snapshot.fills, change))
    assert [poll_orders(desk) for _ in range(3)] == [1, 0, 0]
    with desk.ledger.read() as view:
        assert instruments_locked_by(view, LockOwner.EXECUTION) == [] and ledger_problems(view) == []
    (alert,) = [each for each in desk.alerts.read() if each["subject"] == f"price changed {first.instrument}"]
    assert f"the broker has changed execution {first.exec_id} to {first.quantity} at" in alert["message"]


def test_an_interrupted_handler_leaves_no_order_working(trading_desk: Desk, line: UnreliableLine, working: BrokerOrder) -> None:
    def interrupt(done: Pass) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StackHandler(trading_desk).run(
            trading_desk.home.at(trading_desk.today(), trading_desk.settings.day.session_end), interrupt
        )
    (state,) = [
        state for state in trading_desk.broker.orders(trading_desk.account).orders if state.client_ref == working.client_ref
    ]
    assert state.status is BrokerOrderStatus.CANCELLED
    with trading_desk.ledger.read() as view:
        assert not live_broker_orders(view, trading_desk.account)
    assert_sound(trading_desk)
