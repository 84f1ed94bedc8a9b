"""The paper exchange: how orders are matched, what they cost, and what the account is worth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.brokers.conftest import ACCOUNT, CAPITAL, OPEN, Desk, filled, fills_of, find_state, open_desk, state_of
from tradeflow_core.brokers import BrokerError, NoQuote, OrderRejected, UnknownOrder
from tradeflow_core.brokers.paper.book import fold_executions, read_holdings
from tradeflow_core.errors import StateError
from tradeflow_core.model import BrokerOrderStatus, Fill, Leg, OrderIntent, OrderType

MARCH, JUNE = 20240300, 20240600
NIGHT = datetime(2024, 1, 13, 3, 0, tzinfo=UTC)
"""A Saturday."""


def order(ref: str, quantity: int, code: str = "SP500_micro", *, contract: int = MARCH, **more) -> OrderIntent:
    return OrderIntent(ref, ACCOUNT, code, (Leg(contract, quantity),), **more)


def spread(
    ref: str, quantity: int, code: str = "CRUDE_W_mini", *, near: int = 20240300, far: int = 20240400, **more
) -> OrderIntent:
    return OrderIntent(ref, ACCOUNT, code, (Leg(near, -quantity), Leg(far, quantity)), **more)


def fills(desk: Desk, ref: str) -> list[Fill]:
    return fills_of(desk.broker, ref)


def wait(desk: Desk, **span: float) -> None:
    desk.clock.advance_to(desk.clock.now() + timedelta(**span))


def value(desk: Desk) -> Decimal:
    return desk.broker.account_snapshot(ACCOUNT).net_liquidation["USD"]


def test_a_market_order_buys_at_the_ask_or_slightly_worse(desk):
    quote = desk.broker.quote("SP500_micro", MARCH)
    state = desk.broker.submit(order("a", 3))
    assert (state.status, filled(state)) == (BrokerOrderStatus.FILLED, (3,))
    (fill,) = fills(desk, "a")
    assert quote.ask <= fill.price <= quote.ask + (quote.ask - quote.bid) / 2
    assert (fill.quantity, fill.contract, fill.time, fill.currency) == (3, MARCH, OPEN, "USD")
    assert desk.broker.positions(ACCOUNT) == {("SP500_micro", MARCH): 3}


def test_a_market_order_sells_at_the_bid_or_slightly_worse(desk):
    quote = desk.broker.quote("EUROSTX", MARCH)
    desk.broker.submit(order("a", -2, "EUROSTX"))
    (fill,) = fills(desk, "a")
    assert quote.bid - (quote.ask - quote.bid) / 2 <= fill.price <= quote.bid


def test_the_commission_of_a_fill_is_that_of_the_instrument(desk):
    desk.broker.submit(order("a", 3))
    (fill,) = fills(desk, "a")
    assert fill.commission == 3 * Decimal("0.57")


def test_the_same_reference_twice_makes_one_order(desk):
    first = desk.broker.submit(order("a", 3))
    wait(desk, minutes=30)
    assert desk.broker.submit(order("a", 3)) == first
    assert desk.broker.positions(ACCOUNT) == {("SP500_micro", MARCH): 3}
    with pytest.raises(OrderRejected, match="used for another order"):
        desk.broker.submit(order("a", 4))


def test_an_order_larger_than_the_quote_fills_in_parts_that_add_up(desk):
    quantity = desk.broker.quote("EUROSTX", MARCH).ask_size * 2 + 3
    state = desk.broker.submit(order("a", quantity, "EUROSTX"))
    assert state.status == BrokerOrderStatus.WORKING
    assert 0 < filled(state)[0] < quantity
    assert state_of(desk.broker, "a") == state, "asking again at the same instant must not fill more"
    for _ in range(5):
        wait(desk, minutes=5)
        state = state_of(desk.broker, "a")
    assert (state.status, filled(state)) == (BrokerOrderStatus.FILLED, (quantity,))
    parts = fills(desk, "a")
    assert sum(fill.quantity for fill in parts) == quantity
    assert len({fill.exec_id for fill in parts}) == len(parts) >= 3
    assert [fill.time for fill in parts] == sorted(fill.time for fill in parts)


def test_the_legs_of_a_spread_fill_together(desk):
    desk.broker.submit(spread("roll", 5))
    for _ in range(40):
        state = state_of(desk.broker, "roll")
        assert filled(state)[0] == -filled(state)[1]
        if state.status == BrokerOrderStatus.FILLED:
            break
        wait(desk, minutes=5)
    assert filled(state) == (-5, 5)
    assert desk.broker.positions(ACCOUNT) == {("CRUDE_W_mini", 20240300): -5, ("CRUDE_W_mini", 20240400): 5}


def test_a_spread_with_a_leg_that_cannot_trade_fills_nothing(new_desk: Callable[[datetime], Desk]):
    desk = new_desk(NIGHT)
    state = desk.broker.submit(spread("roll", 2))
    assert (state.status, filled(state)) == (BrokerOrderStatus.WORKING, (0, 0))


def test_a_closed_market_leaves_the_order_working_until_it_opens(new_desk: Callable[[datetime], Desk]):
    desk = new_desk(NIGHT)
    assert not desk.broker.is_open("SP500_micro")
    with pytest.raises(NoQuote, match="closed"):
        desk.broker.quote("SP500_micro", MARCH)
    assert desk.broker.submit(order("a", 1)).status == BrokerOrderStatus.WORKING
    wait(desk, hours=24)
    assert state_of(desk.broker, "a").status == BrokerOrderStatus.WORKING
    desk.clock.advance_to(datetime(2024, 1, 16, 15, 0, tzinfo=UTC))
    assert state_of(desk.broker, "a").status == BrokerOrderStatus.FILLED


def test_a_limit_order_waits_for_its_price_and_gets_it_or_better(desk):
    quote = desk.broker.quote("SP500_micro", MARCH)
    assert (
        desk.broker.submit(order("high", 1, order_type=OrderType.LIMIT, limit_price=quote.ask + 5)).status
        == BrokerOrderStatus.FILLED
    )
    assert fills(desk, "high")[0].price == quote.ask
    limits = {"low": (1, quote.bid - 2), "top": (-1, quote.ask + 2)}
    for ref, (side, limit) in limits.items():
        assert (
            desk.broker.submit(order(ref, side, order_type=OrderType.LIMIT, limit_price=limit)).status
            == BrokerOrderStatus.WORKING
        )
    done: set[str] = set()
    while not done:
        wait(desk, minutes=15)
        done = {ref for ref in limits if state_of(desk.broker, ref).status == BrokerOrderStatus.FILLED}
        if desk.broker.is_open("SP500_micro"):
            now = desk.broker.quote("SP500_micro", MARCH)
            assert ("low" in done) == (now.ask <= limits["low"][1])
            assert ("top" in done) == (now.bid >= limits["top"][1])
    for ref in done:
        assert [fill.price for fill in fills(desk, ref)] == [limits[ref][1]]


def test_a_limit_on_a_spread_is_on_the_difference_of_its_legs(desk):
    near, far = (desk.broker.quote("CRUDE_W_mini", contract) for contract in (20240300, 20240400))
    sells_at = round(near.bid - far.ask, 6)
    too_much = spread("no", 1, order_type=OrderType.LIMIT, limit_price=sells_at + 0.5)
    assert desk.broker.submit(too_much).status == BrokerOrderStatus.WORKING
    assert (
        desk.broker.submit(spread("yes", 1, order_type=OrderType.LIMIT, limit_price=sells_at)).status == BrokerOrderStatus.FILLED
    )
    first, second = fills(desk, "yes")
    assert first.price - second.price == pytest.approx(sells_at)


def test_a_cancelled_order_keeps_what_it_filled_and_fills_no_more(desk):
    quantity = desk.broker.quote("EUROSTX", MARCH).ask_size * 3
    done = filled(desk.broker.submit(order("a", quantity, "EUROSTX")))
    desk.broker.cancel("a")
    wait(desk, hours=1)
    state = state_of(desk.broker, "a")
    assert (state.status, filled(state)) == (BrokerOrderStatus.CANCELLED, done)
    desk.broker.cancel("a")
    assert desk.broker.positions(ACCOUNT) == {("EUROSTX", MARCH): done[0]}


def test_a_filled_order_cannot_be_cancelled_any_more(desk):
    desk.broker.submit(order("a", 1))
    desk.broker.cancel("a")
    assert state_of(desk.broker, "a").status == BrokerOrderStatus.FILLED


@pytest.mark.parametrize(
    ("intent", "why"),
    [
        (order("a", 1, contract=20240400), "20240400"),
        (order("a", 1, contract=20231200), "expired on 2023-12"),
        (order("a", 0), "quantity"),
        (order("a", 1, code="BUND"), "not traded here"),
        (OrderIntent("a", "DU2", "SP500_micro", (Leg(MARCH, 1),)), "DU2"),
        (OrderIntent("a", ACCOUNT, "SP500_micro", ()), "quantity"),
        (OrderIntent("a", ACCOUNT, "SP500_micro", (Leg(MARCH, 1), Leg(MARCH, -1))), "same contract"),
        (order("a", 1, order_type=OrderType.BEST), "orders of type best are not accepted here"),
        (order("a", 1, order_type=OrderType.LIMIT), "limit price"),
    ],
)
def test_an_order_that_makes_no_sense_is_rejected_for_good_and_stays_on_record(desk, intent, why):
    for _ in range(2):
        with pytest.raises(OrderRejected, match=why):
            desk.broker.submit(intent)
    state = state_of(desk.broker, "a")
    assert state.status == BrokerOrderStatus.REJECTED
    assert why in state.reason
    assert desk.broker.executions(ACCOUNT).fills == ()
    assert desk.broker.positions(ACCOUNT) == {}


def test_an_order_never_seen_and_an_account_never_opened_are_named(desk):
    assert find_state(desk.broker, "nobody") is None
    for ask in (desk.broker.cancel, lambda ref: desk.broker.modify(ref, 1.0)):
        with pytest.raises(UnknownOrder, match="nobody"):
            ask("nobody")
    with pytest.raises(BrokerError, match="DU2"):
        desk.broker.positions("DU2")


def test_the_account_moves_by_price_times_position_times_point_size_times_rate_less_commission(desk):
    market = desk.broker.market
    assert value(desk) == CAPITAL
    for ref, code, contract, quantity in (
        ("a", "SP500_micro", MARCH, 4),
        ("b", "EUROSTX", MARCH, -7),
        ("c", "HANG_mini", 20240100, 1),
    ):
        desk.broker.submit(order(ref, quantity, code, contract=contract))
    wait(desk, days=5)
    expected = CAPITAL
    for fill in desk.broker.executions(ACCOUNT).fills:
        now = desk.clock.now()
        move = market.mark(fill.instrument, fill.contract, now) - fill.price
        local = move * fill.quantity * market.instruments[fill.instrument].point_size - float(fill.commission)
        expected += Decimal(local * market.fx_rate(fill.currency, now))
    assert len(desk.broker.executions(ACCOUNT).fills) == 3
    assert value(desk) != CAPITAL
    assert float(value(desk)) == pytest.approx(float(expected), abs=0.02)


def test_a_round_trip_costs_spreads_and_commissions(desk):
    desk.broker.submit(order("in", 2))
    desk.broker.submit(order("out", -2))
    bought, sold = fills(desk, "in")[0], fills(desk, "out")[0]
    assert desk.broker.positions(ACCOUNT) == {}
    assert value(desk) == CAPITAL - Decimal(str((bought.price - sold.price) * 2 * 5)) - 4 * Decimal("0.57")


def test_a_position_takes_margin_and_a_calendar_spread_takes_less(desk):
    def margin() -> Decimal:
        snapshot = desk.broker.account_snapshot(ACCOUNT)
        return snapshot.net_liquidation["USD"] - snapshot.excess_liquidity["USD"]

    assert margin() == 0
    desk.broker.submit(order("a", 10))
    outright = margin()
    price = desk.broker.quote("SP500_micro", MARCH).mid
    assert Decimal("0.01") < outright / Decimal(10 * 5 * price) < Decimal("0.10")
    desk.broker.submit(order("b", -10, contract=JUNE))
    while state_of(desk.broker, "b").status != BrokerOrderStatus.FILLED:
        wait(desk, minutes=5)
    assert margin() < outright / 5


def test_a_position_in_an_expired_contract_becomes_cash_at_the_last_price(desk):
    desk.broker.submit(order("a", 1, "HANG_mini", contract=20240100))
    expiry = desk.broker.contract("HANG_mini", 20240100).expiry
    desk.clock.advance_to(datetime(expiry.year, expiry.month, expiry.day, tzinfo=UTC) + timedelta(days=1))
    assert desk.broker.positions(ACCOUNT) == {}
    now = desk.clock.now()
    last = desk.broker.bars("HANG_mini", 20240100, "D", start=now - timedelta(days=5), end=now)["FINAL"].iloc[-1]
    fill, settlement = desk.broker.executions(ACCOUNT).fills
    assert (settlement.quantity, settlement.price, settlement.client_ref, settlement.is_liquidation) == (-1, last, "", True)
    local = (last - fill.price) * 10 - float(fill.commission + settlement.commission)
    settled = local * desk.broker.fx_rates("HKD", now - timedelta(days=5), now).iloc[-1]
    assert float(value(desk) - CAPITAL) == pytest.approx(settled, abs=0.01)
    with pytest.raises(OrderRejected, match="expired"):
        desk.broker.submit(order("b", 1, "HANG_mini", contract=20240100))


def test_the_book_outlives_the_broker(tmp_path):
    desk = open_desk(tmp_path)
    desk.broker.submit(order("a", 3))
    before = desk.broker.executions(ACCOUNT).fills, value(desk)
    desk.broker.close()
    again = open_desk(tmp_path)
    assert (again.broker.executions(ACCOUNT).fills, value(again)) == before
    assert again.broker.positions(ACCOUNT) == {("SP500_micro", MARCH): 3}


def test_neither_the_capital_of_a_book_nor_its_account_changes(tmp_path):
    desk = open_desk(tmp_path)
    with pytest.raises(
        StateError, match=r"capital is 5, and the account of this home began with \d+, which cannot be changed later"
    ):
        open_desk(tmp_path, capital=Decimal(5))
    broker = type(desk.broker)
    assert broker.name == "simulated"
    from tradeflow_core.brokers.paper.exchange import Exchange

    with pytest.raises(StateError, match="DU1"):
        Exchange(desk.broker.market, f"sqlite:///{tmp_path / 'book.db'}", account="DU2", base_currency="USD", capital=CAPITAL)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["SP500_micro", "EUROSTX"]), st.integers(-400, 400).filter(bool), st.integers(0, 90)),
        max_size=6,
    )
)
def test_whatever_is_traded_positions_are_the_sum_of_fills_and_fills_never_pass_the_order(tmp_path_factory, trades):
    desk = open_desk(tmp_path_factory.mktemp("book"))
    asked = {}
    for number, (code, quantity, minutes) in enumerate(trades):
        wait(desk, minutes=minutes)
        desk.broker.submit(order(f"r{number}", quantity, code))
        asked[f"r{number}"] = quantity
    wait(desk, minutes=20)
    held: dict[tuple[str, int], int] = {}
    for ref, quantity in asked.items():
        done = sum(fill.quantity for fill in fills(desk, ref))
        state = state_of(desk.broker, ref)
        assert done == filled(state)[0]
        assert abs(done) <= abs(quantity)
        assert done * quantity >= 0
        assert (done == quantity) == (state.status == BrokerOrderStatus.FILLED)
    for fill in desk.broker.executions(ACCOUNT).fills:
        held[fill.instrument, fill.contract] = held.get((fill.instrument, fill.contract), 0) + fill.quantity
    assert desk.broker.positions(ACCOUNT) == {key: quantity for key, quantity in held.items() if quantity}
    with desk.broker.exchange._read() as connection:
        assert read_holdings(connection) == fold_executions(connection)
    desk.broker.close()
