"""Sessions at the broker: who may trade, what a snapshot holds, and what an order would cost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.brokers.conftest import ACCOUNT, CAPITAL, OPEN, filled, find_state, open_desk, state_of
from tradeflow_core.brokers import Health, OrderRejected, SessionLost
from tradeflow_core.model import BrokerOrderStatus, Leg, OrderIntent, OrderType

MARCH = 20240300


def order(ref: str, quantity: int = 1, **more) -> OrderIntent:
    return OrderIntent(ref, ACCOUNT, "SP500_micro", (Leg(MARCH, quantity),), **more)


def limit(ref: str, price: float, quantity: int = 1) -> OrderIntent:
    return order(ref, quantity, order_type=OrderType.LIMIT, limit_price=price)


def test_a_newer_generation_takes_the_session_and_the_older_one_may_only_read(tmp_path):
    old, new = open_desk(tmp_path).broker, open_desk(tmp_path).broker
    old.connect(1)
    old.submit(limit("a", 1000.0))
    new.connect(2)
    for change in (lambda: old.submit(order("b")), lambda: old.modify("a", 1001.0), lambda: old.cancel("a")):
        with pytest.raises(SessionLost, match="generation 2 has claimed"):
            change()
    with pytest.raises(SessionLost):
        old.connect(1)
    assert [state.limit_price for state in old.orders(ACCOUNT).orders] == [1000.0], "nothing was changed"
    assert old.positions(ACCOUNT) == {} and old.executions(ACCOUNT).fills == ()
    new.cancel("a")
    assert state_of(old, "a").status == BrokerOrderStatus.CANCELLED


def test_a_generation_outlives_the_client_that_claimed_it(tmp_path):
    first = open_desk(tmp_path).broker
    first.connect(5)
    first.close()
    later = open_desk(tmp_path).broker
    with pytest.raises(SessionLost):
        later.connect(4)
    later.connect(5)
    assert later.submit(order("a")).status == BrokerOrderStatus.FILLED


def test_a_client_that_claims_nothing_reads_beside_a_trader_but_does_not_trade(tmp_path):
    trader, reader = open_desk(tmp_path).broker, open_desk(tmp_path).broker
    reader.connect()
    assert reader.submit(order("a")).status == BrokerOrderStatus.FILLED, "nobody has claimed the session yet"
    trader.connect(1)
    reader.connect()
    assert reader.positions(ACCOUNT) == {("SP500_micro", MARCH): 1}
    with pytest.raises(SessionLost):
        reader.submit(order("b"))


def test_every_connection_is_a_synchronisation_of_its_own(desk):
    assert not desk.broker.health().connected
    desk.broker.connect()
    first = desk.broker.health()
    assert first == Health(connected=True, resync=first.resync)
    assert desk.broker.orders(ACCOUNT).resync == desk.broker.executions(ACCOUNT).resync == first.resync
    desk.broker.connect()
    assert desk.broker.health().resync != first.resync
    assert desk.broker.accounts() == [ACCOUNT]


def test_a_snapshot_says_everything_about_an_order_and_forgets_it_a_week_after_its_end(desk):
    desk.broker.submit(limit("waits", 1000.0, 7))
    desk.broker.submit(order("done", -1))
    snapshot = desk.broker.orders(ACCOUNT)
    waiting, done = snapshot.orders
    assert (snapshot.time, waiting.client_ref, waiting.account, waiting.instrument) == (OPEN, "waits", ACCOUNT, "SP500_micro")
    assert (waiting.legs, waiting.order_type, waiting.limit_price) == ((Leg(MARCH, 7, 0),), OrderType.LIMIT, 1000.0)
    assert (done.status, done.legs, done.limit_price) == (BrokerOrderStatus.FILLED, (Leg(MARCH, -1, -1),), None)
    desk.clock.advance_to(OPEN + timedelta(days=7))
    assert find_state(desk.broker, "done") is not None
    desk.clock.advance_to(OPEN + timedelta(days=7, seconds=1))
    assert [state.client_ref for state in desk.broker.orders(ACCOUNT).orders] == ["waits"]


def test_executions_are_told_from_a_time_on(desk):
    desk.broker.submit(order("a"))
    desk.clock.advance_to(OPEN + timedelta(minutes=10))
    desk.broker.submit(order("b"))
    told = desk.broker.executions(ACCOUNT, OPEN + timedelta(minutes=10)).fills
    assert [(fill.client_ref, fill.broker_id, fill.replaces) for fill in told] == [("b", "2", None)]
    assert len(desk.broker.executions(ACCOUNT).fills) == 2


def test_a_limit_that_is_moved_to_the_market_fills_the_order(desk):
    quote = desk.broker.quote("SP500_micro", MARCH)
    intent = limit("a", quote.bid - 50)
    assert filled(desk.broker.submit(intent)) == (0,)
    desk.broker.modify("a", quote.ask)
    state = state_of(desk.broker, "a")
    assert (state.status, state.limit_price) == (BrokerOrderStatus.FILLED, quote.ask)
    assert desk.broker.submit(intent) == state, "the order as it was sent first is still the same order"
    desk.broker.modify("a", quote.ask + 1)
    assert state_of(desk.broker, "a") == state, "too late"


def test_a_limit_is_not_moved_where_there_is_none_or_to_a_price_that_is_none(desk):
    desk.broker.submit(order("market", 10**6))
    desk.broker.submit(limit("limit", 1000.0))
    for ref, price in (("market", 1000.0), ("limit", float("nan"))):
        with pytest.raises(OrderRejected, match="cancel it and send another"):
            desk.broker.modify(ref, price)


def test_what_an_order_would_cost_is_told_without_placing_it(desk):
    change = desk.broker.what_if(order("a", 3))
    assert (change.currency, change.before, change.commission) == ("USD", Decimal(0), 3 * Decimal("0.57"))
    desk.broker.submit(order("a", 3))
    snapshot = desk.broker.account_snapshot(ACCOUNT)
    assert change.after == snapshot.net_liquidation["USD"] - snapshot.excess_liquidity["USD"] > 0
    closing = desk.broker.what_if(order("b", -3))
    assert (closing.before, closing.after) == (change.after, Decimal(0))
    assert len(desk.broker.orders(ACCOUNT).orders) == 1
    with pytest.raises(OrderRejected, match="quantity"):
        desk.broker.what_if(order("c", 0))
    assert snapshot.net_liquidation["USD"] < CAPITAL
