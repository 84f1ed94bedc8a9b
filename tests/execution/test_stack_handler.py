"""The stack handler loses no order and doubles none, whatever the broker does, and stops when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from tests.frames import table_of
from tradeflow_core import business_day as day
from tradeflow_core.brokers import Broker, BrokerUnavailable, OrderState
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.execution import StackHandler, position_breaks, reconcile
from tradeflow_core.ledger import (
    active_stop,
    fills,
    ledger_problems,
    lift_stop,
    live_broker_orders,
    lock_instrument,
    locked_instruments,
    open_instrument_orders,
    positions_by_strategy,
    set_roll_state,
    stop_trading,
)
from tradeflow_core.ledger.schema import broker_orders
from tradeflow_core.model import OrderIntent, RollState
from tradeflow_core.reports import check_desk


class UnreliableLine:
    """The desk's real broker behind a line that fails when it is told to: a call is dropped before or after it arrives."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.before: Callable[[str], bool] = lambda _: False
        self.after: Callable[[str], bool] = lambda _: False

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._broker, name)
        if not callable(call):
            return call

        def through(*arguments: Any, **named: Any) -> Any:
            if self.before(name):
                raise BrokerUnavailable("the line is dead")
            answer = call(*arguments, **named)
            if self.after(name):
                raise BrokerUnavailable("the answer was lost")
            return answer

        return through

    def lose(self, *, arrives: bool) -> None:
        """From the first order on, no order is answered, nor any question about orders; `arrives`: the orders get there."""
        sent: list[str] = []

        def before(name: str) -> bool:
            if name == "submit":
                sent.append(name)
                return not arrives
            return name == "orders" and bool(sent)

        self.before, self.after = before, lambda name: name == "submit"

    def restore(self) -> None:
        """The line works."""
        self.before = self.after = lambda _: False


@pytest.fixture
def line(trading_desk: Desk) -> UnreliableLine:
    line = UnreliableLine(trading_desk.broker)
    trading_desk.__dict__["broker"] = line
    return line


def later(desk: Desk, minutes: float) -> None:
    desk.clock.wait(minutes * 60)


def orders_at_exchange(desk: Desk) -> list[str]:
    return [state.client_ref for state in desk.broker.orders(desk.account).orders]


def assert_sound(desk: Desk) -> None:
    assert check_desk(desk) == []


def test_a_day_ends_with_positions_at_the_edge_of_the_buffer_and_nothing_at_work(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.read() as view:
        wanted = {order.instrument: order.quantity for order in open_instrument_orders(view, desk.account)}
    assert wanted
    StackHandler(desk).run(desk.home.at(desk.today(), desk.settings.day.session_end))
    with desk.ledger.read() as view:
        held = {code: quantity for (_, code), quantity in positions_by_strategy(view, desk.account).items()}
        assert live_broker_orders(view, desk.account) == [] and open_instrument_orders(view, desk.account) == []
    assert held == wanted
    assert_sound(desk)


def test_an_order_whose_answer_was_lost_is_found_again_and_not_sent_twice(trading_desk: Desk, line: UnreliableLine) -> None:
    desk, handler = trading_desk, StackHandler(trading_desk)
    later(desk, 15 * 60)
    line.lose(arrives=True)
    handler.step()
    line.restore()
    with desk.ledger.read() as view:
        waiting = live_broker_orders(view, desk.account)
    assert waiting and all(order.status == "sending" for order in waiting)
    handler.step()
    with desk.ledger.read() as view:
        sent = table_of(view, broker_orders)
        booked = table_of(view, fills)
    first = {order.client_ref for order in waiting}
    assert first <= set(orders_at_exchange(desk))
    assert set(booked["broker_order_id"]) & set(sent.loc[sent["client_ref"].isin(first), "id"])
    handler.run(desk.home.at(desk.today(), desk.settings.day.session_end))
    assert_sound(desk)


def test_an_order_that_never_arrived_is_recorded_as_such_and_then_sent_anew(trading_desk: Desk, line: UnreliableLine) -> None:
    desk, handler = trading_desk, StackHandler(trading_desk)
    later(desk, 15 * 60)
    line.lose(arrives=False)
    handler.step()
    with desk.ledger.read() as view:
        assert {order.status for order in live_broker_orders(view, desk.account)} == {"sending"}, "nobody knows yet"
    line.restore()
    handler.step()
    with desk.ledger.read() as view:
        statuses = table_of(view, broker_orders)["status"]
    assert (statuses == "never_arrived").any() and (statuses == "filled").any()
    assert any("never arrived" in alert["subject"] for alert in desk.alerts.read())
    assert_sound(desk)


def test_an_order_is_recorded_before_the_broker_hears_of_it(trading_desk: Desk, line: UnreliableLine) -> None:
    desk = trading_desk
    later(desk, 15 * 60)
    seen: list[bool] = []

    def look(intent: OrderIntent) -> OrderState:
        with desk.ledger.read() as view:
            seen.append(any(order.client_ref == intent.client_ref for order in live_broker_orders(view, desk.account)))
        return line._broker.submit(intent)

    line.__dict__["submit"] = look
    StackHandler(desk).step()
    assert seen and all(seen)


def test_a_broker_that_does_not_tell_positions_does_not_mean_flat(trading_desk: Desk, line: UnreliableLine) -> None:
    desk = trading_desk
    later(desk, 15 * 60)
    StackHandler(desk).step()
    line.before = lambda name: name == "positions"
    with pytest.raises(BrokerUnavailable):
        reconcile(desk)
    with desk.ledger.read() as view:
        assert locked_instruments(view) == {}


def test_a_position_that_the_broker_does_not_have_locks_the_instrument_until_both_agree(trading_desk: Desk) -> None:
    desk = trading_desk
    later(desk, 15 * 60)
    StackHandler(desk).step()
    assert position_breaks(desk) == []
    with desk.ledger.begin() as tx:
        code, contract = tx.exec_driver_sql("select instrument, contract from contract_positions where quantity <> 0").first()  # type: ignore[misc]
        tx.execute(
            text(f"update contract_positions set quantity = quantity + 1 where instrument = '{code}' and contract = {contract}")
        )
        lock_instrument(tx, code, "person", now=desk.now(), why="mine")
    assert [found.instrument for found in reconcile(desk)] == [code]
    with desk.ledger.begin() as tx:
        assert "reconciliation" in locked_instruments(tx)[code]
        tx.execute(
            text(f"update contract_positions set quantity = quantity - 1 where instrument = '{code}' and contract = {contract}")
        )
    reconcile(desk)
    with desk.ledger.read() as view:
        assert locked_instruments(view) == {code: "person: mine"}


def test_nothing_is_sent_in_a_locked_instrument(trading_desk: Desk) -> None:
    desk = trading_desk
    later(desk, 15 * 60)
    with desk.ledger.begin() as tx:
        for order in open_instrument_orders(tx, desk.account):
            lock_instrument(tx, order.instrument, "person", now=desk.now(), why="no")
    done = StackHandler(desk).step()
    assert (done.spawned, done.sent) == (0, 0)


def test_stopped_means_stopped_until_it_is_lifted(trading_desk: Desk) -> None:
    desk, handler = trading_desk, StackHandler(trading_desk)
    with desk.ledger.begin() as tx:
        stop_trading(tx, desk.now(), "me", why="storm")
    later(desk, 15 * 60)
    assert handler.step().sent == 0
    with pytest.raises(StateError, match=r"trading is stopped.*tradeflow resume"):
        day.run_day(desk, desk.today())
    with desk.ledger.begin() as tx:
        assert active_stop(tx) is not None
        lift_stop(tx, desk.now(), "me", why="over")
    assert handler.step().sent > 0


def test_a_forced_roll_moves_the_position_with_one_spread_order(trading_desk: Desk) -> None:
    desk, handler = trading_desk, StackHandler(trading_desk)
    handler.run(desk.home.at(desk.today(), desk.settings.day.session_end))
    with desk.ledger.begin() as tx:
        (_, code), quantity = next(iter(positions_by_strategy(tx, desk.account).items()))
        set_roll_state(tx, code, RollState.FORCE, now=desk.now(), who="me", why="now")
        held = {contract: size for (name, contract), size in desk.broker.positions(desk.account).items() if name == code}
    assert len(held) == 1
    desk.clock.wait(20 * 3600 - 5 * 60)
    done = handler.step()
    assert (done.rolls, done.spawned) == (1, 0)
    while (left := [q for (name, c), q in desk.broker.positions(desk.account).items() if name == code and c in held]) and left[0]:
        later(desk, 60)
        handler.step()
    rolled = {contract: size for (name, contract), size in desk.broker.positions(desk.account).items() if name == code}
    assert list(rolled.values()) == [quantity] and not set(rolled) & set(held)
    with desk.ledger.read() as view:
        assert positions_by_strategy(view, desk.account)[("trend_carry", code)] == quantity
        assert ledger_problems(view) == []
    assert_sound(desk)


def test_making_the_orders_of_a_day_again_adds_nothing(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.read() as view:
        before = open_instrument_orders(view, desk.account)
    plans = day.instrument_orders_step(desk)
    assert all(decision.quantity == 0 for plan in plans.values() for decision in plan.decisions)
    with desk.ledger.read() as view:
        assert open_instrument_orders(view, desk.account) == before
    StackHandler(desk).run(desk.home.at(desk.today(), desk.settings.day.session_end))
    plans = day.instrument_orders_step(desk)
    assert all(decision.quantity == 0 for plan in plans.values() for decision in plan.decisions)
