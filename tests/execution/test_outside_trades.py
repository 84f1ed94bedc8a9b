"""What happens at the broker without an order of ours is booked, belongs to nobody's strategy, and holds the instrument until a person has
said whose it is. An order that had ended and works after all is cancelled."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.execution.test_stack_handler import UnreliableLine, assert_sound
from tests.frames import table_of
from tradeflow_core.brokers import ExecutionsSnapshot, OrdersSnapshot, OrderState
from tradeflow_core.desk import Desk
from tradeflow_core.execution import StackHandler, poll_orders, release_assigned, send_orders, spawn_contract_orders
from tradeflow_core.ledger import (
    cancel_instrument_order,
    fills,
    instruments_locked_by,
    ledger_problems,
    live_broker_orders,
    open_contract_orders,
    open_instrument_orders,
    positions_by_contract,
    positions_by_strategy,
    set_broker_status,
    transfer,
)
from tradeflow_core.ledger.schema import broker_orders
from tradeflow_core.model import BY_BROKER, OUTSIDE, BrokerOrderStatus, Fill, LockOwner
from tradeflow_core.orders import standings
from tradeflow_core.reports import fills_of_day


@pytest.fixture
def line(trading_desk: Desk) -> UnreliableLine:
    trading_desk.clock.wait(15 * 3600)
    line = UnreliableLine(trading_desk.broker)
    trading_desk.__dict__["broker"] = line
    return line


def tell(desk: Desk, line: UnreliableLine, *more: Fill) -> None:
    """The broker reports these executions too, and its positions have them."""

    def executions(account: str, since: datetime | None = None) -> ExecutionsSnapshot:
        snapshot = line._broker.executions(account, since)
        told = [fill for fill in more if since is None or fill.time >= since]
        return replace(snapshot, fills=(*snapshot.fills, *told))

    line.__dict__["executions"] = executions
    in_place = {fill.replaces for fill in more}

    def positions(account: str) -> dict[tuple[str, int], int]:
        held = dict(line._broker.positions(account))
        for fill in more:
            if fill.exec_id not in in_place:
                key = (fill.instrument, fill.contract)
                held[key] = held.get(key, 0) + fill.quantity
        return {key: size for key, size in held.items() if size}

    line.__dict__["positions"] = positions


def foreign(desk: Desk, quantity: int, number: str = "x1", *, is_liquidation: bool = False) -> Fill:
    with desk.ledger.read() as view:
        order = open_instrument_orders(view, desk.account)[-1]
    assert order.reference_contract and order.reference_price
    return Fill(
        number,
        "",
        desk.account,
        order.instrument,
        order.reference_contract,
        quantity,
        order.reference_price,
        desk.now() - timedelta(minutes=5),
        Decimal("2.5"),
        "USD",
        is_liquidation=is_liquidation,
    )


@pytest.mark.parametrize(("is_liquidation", "owner"), [(False, OUTSIDE), (True, BY_BROKER)])
def test_a_trade_made_elsewhere_is_booked_for_nobody_and_holds_the_instrument_until_it_is_assigned(
    trading_desk: Desk, line: UnreliableLine, is_liquidation: bool, owner: str
) -> None:
    desk = trading_desk
    trade = foreign(desk, 3, is_liquidation=is_liquidation)
    tell(desk, line, trade)
    StackHandler(desk).step()
    with desk.ledger.read() as view:
        assert positions_by_strategy(view, desk.account)[owner, trade.instrument] == 3
        assert positions_by_contract(view, desk.account)[trade.instrument, trade.contract] == 3
        assert instruments_locked_by(view, LockOwner.OUTSIDE_TRADE) == [trade.instrument]
        assert instruments_locked_by(view, LockOwner.RECONCILIATION) == [], "the positions agree"
        assert trade.instrument not in set(table_of(view, broker_orders)["instrument"])
        assert standings(view, desk, "trend_carry", instruments=[trade.instrument])[trade.instrument].lock
    (alert,) = [each for each in desk.alerts.read() if each["subject"] == f"trade made elsewhere {trade.instrument}"]
    assert "positions assign" in alert["message"]
    with desk.ledger.begin() as tx:
        transfer(
            tx,
            account=desk.account,
            instrument=trade.instrument,
            giver=owner,
            taker="trend_carry",
            quantity=3,
            price=trade.price,
            time=desk.now(),
            now=desk.now(),
            who="me",
            why="mine",
        )
        assert release_assigned(tx, desk) == [trade.instrument]
    StackHandler(desk).step()
    with desk.ledger.read() as view:
        assert trade.instrument in set(table_of(view, broker_orders)["instrument"]), "it is traded again"
        assert ledger_problems(view) == []


def test_a_trade_made_elsewhere_that_is_taken_back_leaves_nothing(trading_desk: Desk, line: UnreliableLine) -> None:
    desk = trading_desk
    trade = foreign(desk, 3)
    tell(desk, line, trade)
    poll_orders(desk)
    tell(desk, line, trade, replace(trade, exec_id="x2", quantity=-3, time=desk.now()))
    poll_orders(desk)
    with desk.ledger.read() as view:
        assert positions_by_strategy(view, desk.account) == {} and instruments_locked_by(view, LockOwner.OUTSIDE_TRADE) == []
    tell(desk, line, trade, replace(trade, exec_id="x3", quantity=0, replaces="x1", time=desk.now()))
    poll_orders(desk)
    with desk.ledger.read() as view:
        assert positions_by_strategy(view, desk.account) == {(OUTSIDE, trade.instrument): -3}
        assert ledger_problems(view) == []


def test_a_trade_that_was_made_while_the_desk_was_down_over_a_long_weekend_is_found(
    trading_desk: Desk, line: UnreliableLine
) -> None:
    desk = trading_desk
    old = replace(foreign(desk, 3), time=desk.now() - timedelta(days=4))
    tell(desk, line, old)
    StackHandler(desk).step()
    with desk.ledger.read() as view:
        assert positions_by_strategy(view, desk.account)[OUTSIDE, old.instrument] == 3


def test_a_commission_that_is_told_later_is_booked_without_another_fill(trading_desk: Desk, line: UnreliableLine) -> None:
    desk = trading_desk
    trade = foreign(desk, 3)
    tell(desk, line, replace(trade, commission=None))
    assert poll_orders(desk) == 1
    tell(desk, line, trade)
    assert poll_orders(desk) == 0
    with desk.ledger.read() as view:
        assert len(table_of(view, fills)) == 1
    assert fills_of_day(desk, desk.today())["commission"].tolist() == [2.5]


def test_an_order_that_had_ended_and_works_after_all_is_cancelled(trading_desk: Desk, line: UnreliableLine) -> None:
    desk = trading_desk
    spawn_contract_orders(desk)
    line.lose(arrives=True)
    assert send_orders(desk)[0]
    line.restore()
    with desk.ledger.begin() as tx:
        order = live_broker_orders(tx, desk.account)[-1]
        set_broker_status(tx, order.id, BrokerOrderStatus.NEVER_ARRIVED, now=desk.now(), reason="so it seemed")
    asked: list[str] = []
    real = line._broker.orders

    def orders(account: str) -> object:
        told = real(account)
        state = next(each for each in told.orders if each.client_ref == order.client_ref)
        works = OrderState(state.client_ref, state.broker_id, BrokerOrderStatus.WORKING, account, state.instrument, state.legs)
        return replace(told, orders=tuple(works if each is state else each for each in told.orders))

    line.__dict__["orders"], line.__dict__["cancel"] = orders, asked.append
    poll_orders(desk)
    assert asked == [order.client_ref]
    with desk.ledger.read() as view:
        (revived,) = [each for each in live_broker_orders(view, desk.account) if each.client_ref == order.client_ref]
        assert revived.status is BrokerOrderStatus.CANCELLING
        assert order.instrument in instruments_locked_by(view, LockOwner.EXECUTION)
    line.__dict__.pop("orders"), line.__dict__.pop("cancel")
    poll_orders(desk)
    with desk.ledger.read() as view:
        assert order.client_ref not in {each.client_ref for each in live_broker_orders(view, desk.account)}
        assert ledger_problems(view) == []


def test_what_works_for_an_order_that_a_person_cancels_is_cancelled_at_the_broker(
    trading_desk: Desk, line: UnreliableLine
) -> None:
    desk = trading_desk
    cancelled: list[str] = []
    line.__dict__["cancel"] = lambda reference: (cancelled.append(reference), line._broker.cancel(reference))
    line.lose(arrives=True)
    StackHandler(desk).step()
    line.restore()
    with desk.ledger.begin() as tx:
        order = live_broker_orders(tx, desk.account)[-1]
        cancel_instrument_order(tx, order.shares[0].instrument_order_id, now=desk.now(), who="me", why="no more")

    def orders(account: str) -> OrdersSnapshot:
        told = line._broker.orders(account)
        state = next(each for each in told.orders if each.client_ref == order.client_ref)
        unfilled = tuple(replace(leg, filled=0) for leg in state.legs)
        works = state if cancelled else replace(state, status=BrokerOrderStatus.WORKING, legs=unfilled)
        return replace(told, orders=tuple(works if each is state else each for each in told.orders))

    line.__dict__["orders"] = orders
    StackHandler(desk).step()
    assert cancelled == [order.client_ref]
    with desk.ledger.read() as view:
        assert order.contract_order_id not in {each.id for each in open_contract_orders(view, desk.account)}
        sent = table_of(view, broker_orders)
        assert (sent["contract_order_id"] == order.contract_order_id).sum() == 1, "and it is not sent again"
    line.__dict__.pop("orders")
    StackHandler(desk).step()
    assert_sound(desk)


def test_an_order_whose_quote_has_become_too_old_before_it_is_sent_is_not_sent(trading_desk: Desk, line: UnreliableLine) -> None:
    desk = trading_desk
    spawn_contract_orders(desk)
    sent: list[str] = []

    def slow(intent: object) -> OrderState:
        state = line._broker.submit(intent)
        sent.append(state.client_ref)
        desk.clock.wait(desk.settings.execution.max_quote_age_seconds + 1)
        return state

    line.__dict__["submit"] = slow
    intents, _ = send_orders(desk)
    assert intents > 1 and len(sent) == 1
    with desk.ledger.read() as view:
        statuses = table_of(view, broker_orders)["status"].tolist()
    assert statuses == ["working", *["never_arrived"] * (intents - 1)]
