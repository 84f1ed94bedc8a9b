"""No limit leaks: what is on its way counts, every leg counts, and what a person forbids is not sent, also when orders exist already."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from tradeflow_core import business_day
from tradeflow_core.brokers import Quote
from tradeflow_core.desk import Desk
from tradeflow_core.execution import (
    StackHandler,
    blocked_orders,
    price_problem,
    quote_problem,
    send_orders,
    spawn_contract_orders,
)
from tradeflow_core.home import SETTINGS_FILE, ExecutionSettings, Home
from tradeflow_core.ledger import (
    ANY,
    add_broker_order,
    add_contract_order,
    add_instrument_order,
    close_all_orders,
    current_roll,
    ledger_problems,
    live_broker_orders,
    open_contract_orders,
    positions_by_strategy,
    set_override,
    set_position_limit,
    set_trade_limit,
)
from tradeflow_core.model import Leg, OrderIntent, OrderType, Override, OverrideKind
from tradeflow_core.orders import Allowance, OnTheWay, Standing, allowed_change, allowed_now, standing_at_work, standings

limits = st.none() | st.integers(0, 40)
sizes = st.integers(-40, 40)


@pytest.fixture
def priced_desk(trading_desk: Desk) -> Desk:
    """A desk with prices, and nothing on its stack."""
    with trading_desk.ledger.begin() as tx:
        close_all_orders(tx, trading_desk.account, trading_desk.now())
    return trading_desk


def order(desk: Desk, strategy: str, quantity: int, instrument: str = "CORN") -> int:
    """An instrument order with its contract order; returns the id of the latter."""
    with desk.ledger.begin() as tx:
        parent = add_instrument_order(
            tx,
            account=desk.account,
            strategy=strategy,
            instrument=instrument,
            quantity=quantity,
            order_type=OrderType.BEST,
            day=desk.today(),
            now=desk.now(),
        )
        leg = Leg(current_roll(tx, instrument).price_contract, quantity)
        return add_contract_order(tx, parent, order_type=OrderType.BEST, legs=[leg], now=desk.now())


def working(desk: Desk, strategy: str, quantity: int) -> None:
    """An order of that strategy in CORN that works at the broker, unfilled."""
    child = order(desk, strategy, quantity)
    with desk.ledger.begin() as tx:
        leg = Leg(current_roll(tx, "CORN").price_contract, quantity)
        add_broker_order(tx, child, OrderIntent(f"ref {child}", desk.account, "CORN", (leg,)), now=desk.now())


def allowed(desk: Desk, strategy: str, *legs: Leg) -> Allowance:
    with desk.ledger.read() as view:
        return allowed_now(standing_at_work(view, desk, strategy, instrument="CORN"), strategy, legs, sizes=[1000] * len(legs))


def test_two_strategies_cannot_use_the_same_trade_limit_twice(priced_desk: Desk) -> None:
    desk = priced_desk
    with desk.ledger.begin() as tx:
        set_trade_limit(tx, ANY, "CORN", days=1, contracts=5, now=desk.now(), who="me", why="careful")
    assert allowed(desk, "fast", Leg(20240300, 4)).quantities == (4,)
    working(desk, "fast", 4)
    assert allowed(desk, "slow", Leg(20240300, -4)) == Allowance((-1,), "trade limit")


def test_both_legs_of_a_spread_count_against_a_trade_limit(priced_desk: Desk) -> None:
    desk = priced_desk
    with desk.ledger.begin() as tx:
        set_trade_limit(tx, ANY, "CORN", days=1, contracts=10, now=desk.now(), who="me", why="careful")
    assert allowed(desk, "_rolls", Leg(20240300, -10), Leg(20240500, 10)).quantities == (-5, 5)


def test_two_strategies_cannot_use_the_same_position_limit_twice(priced_desk: Desk) -> None:
    desk = priced_desk
    with desk.ledger.begin() as tx:
        set_position_limit(tx, ANY, "CORN", contracts=10, now=desk.now(), who="me", why="careful")
    order(desk, "fast", -10)
    with desk.ledger.read() as view:
        standing = standings(view, desk, "slow", instruments=["CORN"])["CORN"]
    assert allowed_change(standing, -10) == (0, "position limit")
    assert allowed_change(standing, 10) == (10, "")
    working(desk, "fast", -7)
    assert allowed(desk, "slow", Leg(20240300, -10)) == Allowance((-3,), "position limit")


def test_a_strategy_s_limit_counts_its_own_orders_on_the_way(priced_desk: Desk) -> None:
    desk = priced_desk
    with desk.ledger.begin() as tx:
        set_position_limit(tx, "slow", "CORN", contracts=6, now=desk.now(), who="me", why="careful")
    working(desk, "slow", 4)
    assert allowed(desk, "slow", Leg(20240300, 9)).quantities == (2,)
    assert allowed(desk, "fast", Leg(20240300, 9)).quantities == (9,)


@pytest.mark.parametrize(
    "override", [Override(OverrideKind.NO_TRADING, 0.0, "war"), Override(OverrideKind.REDUCE_ONLY, 1.0, "war")]
)
def test_an_order_on_the_stack_is_not_sent_once_a_person_forbids_it(trading_desk: Desk, override: Override) -> None:
    desk = trading_desk
    spawn_contract_orders(desk)
    with desk.ledger.begin() as tx:
        waiting = len(open_contract_orders(tx, desk.account))
        set_override(tx, ANY, ANY, override=override, now=desk.now(), who="me")
    desk.clock.wait(15 * 3600)
    assert waiting and send_orders(desk)[0] == 0
    assert {f"override {override.kind} (war)"} <= {blocked.why for blocked in blocked_orders(desk)}
    with desk.ledger.read() as view:
        assert live_broker_orders(view, desk.account) == []


def test_an_override_of_zero_still_lets_a_position_be_closed() -> None:
    closing = Standing(5, 5, override=Override(OverrideKind.FRACTION, 0.0, "out"))
    assert allowed_now(closing, "slow", [Leg(20240300, -5)], sizes=[9]).quantities == (-5,)
    assert allowed_now(closing, "slow", [Leg(20240300, 2)], sizes=[9]).quantities == (0,)


def test_two_orders_under_reduce_only_do_not_close_a_position_twice() -> None:
    reduce_only = Override(OverrideKind.REDUCE_ONLY, 1.0, "out")
    standing = Standing(5, 5, override=reduce_only, own_on_the_way=OnTheWay(selling=-4), all_on_the_way=OnTheWay(selling=-4))
    assert allowed_now(standing, "slow", [Leg(20240300, -5)], sizes=[9]).quantities == (-1,)
    assert allowed_now(
        replace(standing, own_on_the_way=OnTheWay(selling=-5)), "slow", [Leg(20240300, -5)], sizes=[9]
    ).quantities == (0,)
    short = replace(standing, position=-5, own_on_the_way=OnTheWay(buying=3))
    assert allowed_now(short, "slow", [Leg(20240300, 5)], sizes=[9]).quantities == (2,)


def test_a_roll_is_not_held_back_by_what_limits_a_strategy() -> None:
    standing = Standing(0, 12, override=Override(OverrideKind.REDUCE_ONLY, 1.0, "out"), strategy_limit=0, instrument_limit=12)
    assert allowed_now(standing, "_rolls", [Leg(20240300, -12)], sizes=[99]).quantities == (-12,)
    assert allowed_now(standing, "_rolls", [Leg(20240500, 12)], sizes=[99]) == Allowance((0,), "position limit")
    closed = replace(standing, instrument_position=0)
    assert allowed_now(closed, "_rolls", [Leg(20240500, 12)], sizes=[99]).quantities == (12,)


@given(st.integers(-40, 40), sizes, limits, limits, st.lists(sizes, max_size=4), st.lists(sizes, max_size=4), st.data())
def test_whatever_is_filled_of_the_orders_on_the_way_no_limit_is_broken_by_the_trade(
    held: int,
    trade: int,
    strategy_limit: int | None,
    instrument_limit: int | None,
    own: list[int],
    others: list[int],
    data: st.DataObject,
) -> None:
    mine, everybody = OnTheWay(), OnTheWay()
    for quantity in own:
        mine, everybody = mine + quantity, everybody + quantity
    for quantity in others:
        everybody = everybody + quantity
    standing = Standing(
        held,
        held,
        strategy_limit=strategy_limit,
        instrument_limit=instrument_limit,
        own_on_the_way=mine,
        all_on_the_way=everybody,
    )
    (quantity,) = allowed_now(standing, "slow", [Leg(20240300, trade)], sizes=[1000]).quantities
    assert quantity * trade >= 0 and abs(quantity) <= abs(trade)
    filled_own = sum(data.draw(st.integers(min(size, 0), max(size, 0))) for size in own)
    filled = filled_own + sum(data.draw(st.integers(min(size, 0), max(size, 0))) for size in others)
    for limit, before in ((strategy_limit, held + filled_own), (instrument_limit, held + filled)):
        if limit is not None and quantity:
            after = before + quantity
            assert abs(after) <= limit or abs(after) < abs(before)


def renamed(desk: Desk, section: str) -> Desk:
    """The desk with other strategies in its settings."""
    file = desk.home.path / SETTINGS_FILE
    file.write_text(f"{file.read_text(encoding='utf-8')}\n{section}", encoding="utf-8")
    return Desk(Home.open(desk.home.path))


def test_a_renamed_strategy_opens_nothing_on_top_of_what_its_old_name_holds(trading_desk: Desk) -> None:
    StackHandler(trading_desk).run(trading_desk.home.at(trading_desk.today(), trading_desk.settings.day.session_end))
    with trading_desk.ledger.read() as view:
        held = {instrument for _, instrument in positions_by_strategy(view, trading_desk.account)}
        before = positions_by_strategy(view, trading_desk.account)
    desk = renamed(trading_desk, '[strategies.new_name]\nconfig = "static_trend_carry"\n')
    business_day.run_day(desk, business_day.days_to_run(desk, 1)[-1])
    with desk.ledger.read() as view:
        assert {key: size for key, size in positions_by_strategy(view, desk.account).items() if key[1] in held} == before
    (alert,) = [each for each in desk.alerts.read() if each["subject"] == "positions of a removed strategy"]
    assert (
        "strategy trend_carry, which is not in the settings, holds" in alert["message"]
        and "`tradeflow reconcile` says" in alert["message"]
    )
    desk = renamed(desk, '[strategies.trend_carry]\nconfig = "static_trend_carry"\nweight = 0\n')
    for today in business_day.days_to_run(desk, 3):
        business_day.run_day(desk, today)
    with desk.ledger.read() as view:
        assert {strategy for strategy, _ in positions_by_strategy(view, desk.account)} == {"new_name"}
        assert ledger_problems(view) == []


NOW = datetime(2024, 1, 8, 15, tzinfo=UTC)
GOOD = Quote("CORN", 20240300, NOW, 100.0, 100.5, 10, 10)


@pytest.mark.parametrize(
    ("quote", "words"),
    [
        (GOOD, ""),
        (replace(GOOD, time=NOW - timedelta(hours=6)), "21600 s old"),
        (replace(GOOD, bid=101.0), "crossed"),
        (replace(GOOD, ask=120.0), "too wide"),
    ],
)
def test_a_quote_that_is_old_crossed_or_far_too_wide_is_not_traded_on(quote: Quote, words: str) -> None:
    problem = quote_problem(quote, ExecutionSettings(), spread_cost=0.25, now=NOW)
    assert words in problem and bool(words) == bool(problem)


def test_a_market_that_has_moved_a_fifth_since_the_decision_is_not_traded_in() -> None:
    assert price_problem(GOOD, 101.0, ExecutionSettings()) == ""
    assert "decided at 75" in price_problem(GOOD, 75.0, ExecutionSettings())
    assert price_problem(replace(GOOD, bid=-37.0, ask=-36.5), 18.0, ExecutionSettings())


def test_an_order_waits_while_the_price_is_too_far_from_its_reference(
    trading_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEFLOW_EXECUTION__MAX_PRICE_CHANGE", "1e-9")
    desk = Desk(Home.open(trading_desk.home.path))
    desk.clock.wait(15 * 3600)
    done = StackHandler(desk).step()
    assert done.sent == 0 and done.spawned
    assert all("the order was decided at" in blocked.why for blocked in blocked_orders(desk) if blocked.why != "market closed")
