"""Simulated orders: when they are filled, at what price, and what they earn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from tests.strategy.markets import instrument, market, multiple_prices
from tests.strategy.test_backtest import strategy
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.series import hourly_prices
from tradeflow_core.strategy import Backtest, BacktestData, run_backtest
from tradeflow_core.strategy.results.order_simulators import simulated_curve, simulated_curves, trade

HOURS = (9, 12, 15, 23)


def series(values: list[float]) -> pd.Series:
    return pd.Series(values, index=pd.bdate_range("2020-01-01", periods=len(values)), dtype=float)


def through_the_day(code_seed: int, days: int = 400) -> pd.DataFrame:
    """Four prices a day, the last of them the close."""
    table = multiple_prices(code_seed, days * len(HOURS))
    stamps = [day + pd.Timedelta(hours=hour) for day in pd.bdate_range("2010-01-04", periods=days) for hour in HOURS]
    return table.set_axis(pd.DatetimeIndex(stamps))


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    tables = {code: through_the_day(place) for place, code in enumerate("AB")}
    return run_backtest(strategy(), BacktestData.from_frames(tables, {}, {code: instrument(code) for code in tables}))


def test_a_market_order_is_filled_at_the_price_of_the_next_row() -> None:
    done = trade(series([2.4, 2.4, -1.0, np.nan]), series([10.0, 11.0, 12.0, 13.0]))
    assert done.position.tolist() == [0.0, 2.0, 2.0, -1.0]
    assert done.fills.to_numpy().tolist() == [[2.0, 11.0], [-3.0, 13.0]]


def test_a_limit_order_waits_until_the_price_is_through_it() -> None:
    done = trade(series([1.0] * 5), series([10.0, 11.0, 11.0, 10.5, 12.0]), limit_orders=True)
    assert done.position.tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert done.fills.to_numpy().tolist() == [[1.0, 11.0]]


def test_a_limit_order_to_sell_waits_for_a_rise() -> None:
    done = trade(series([-1.0] * 4), series([10.0, 9.0, 9.0, 9.5]), limit_orders=True)
    assert done.fills.to_numpy().tolist() == [[-1.0, 9.0]]


@pytest.mark.parametrize("limit_orders", [False, True])
@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(90, 110)), min_size=2, max_size=60))
def test_nobody_holds_more_than_was_wanted_so_far(limit_orders: bool, rows: list[tuple[float, int]]) -> None:
    wanted, price = series([row[0] for row in rows]), series([row[1] for row in rows])
    done = trade(wanted, price, limit_orders=limit_orders)
    seen = wanted.round().shift(1).fillna(0.0)
    assert (done.position <= seen.cummax().clip(lower=0)).all()
    assert (done.position >= seen.cummin().clip(upper=0)).all()
    assert done.fills["quantity"].sum() == done.position.iloc[-1]


def test_daily_orders_earn_what_the_rounded_positions_do() -> None:
    backtest = run_backtest(strategy(buffer_method="none"), market("A"))
    held, simulated = backtest.accounts, simulated_curve(backtest, "A", "daily_market")
    np.testing.assert_allclose(simulated.returns("gross", "money").values, held.total["gross"])
    costs = simulated.returns("costs", "money").values.sum()
    assert costs == pytest.approx(held.total["costs"].sum(), rel=0.05)


@pytest.mark.parametrize("kind", ["daily_market", "hourly_market", "hourly_limit"])
def test_a_portfolio_of_simulated_orders_is_the_sum_of_its_instruments(kind: str, backtest: Backtest) -> None:
    group = simulated_curves(backtest, kind)  # type: ignore[arg-type]
    assert set(group.members) == {"A", "B"}
    assert group.net.sum() == pytest.approx(sum(curve.net.sum() for curve in group.members.values()))
    assert (group.costs <= 0).all()


def test_a_limit_fill_pays_no_spread_but_misses_trades(backtest: Backtest) -> None:
    market_orders, limits = simulated_curve(backtest, "A", "hourly_market"), simulated_curve(backtest, "A", "hourly_limit")
    assert abs(limits.costs.sum()) < abs(market_orders.costs.sum())


def test_what_a_limit_fill_makes_counts_from_its_price(backtest: Backtest) -> None:
    """Fills, marked at the last price, are worth what the account has made."""
    price = backtest.raw_data.hourly_price["A"]
    wanted = backtest.stage("notional_position")["A"].dropna()
    done = trade(wanted.set_axis(wanted.index + pd.Timedelta(days=1)), price, limit_orders=True)
    marked = (done.fills["quantity"] * (price.iloc[-1] - done.fills["price"])).sum() * 50.0
    assert simulated_curve(backtest, "A", "hourly_limit").gross.sum() == pytest.approx(marked)


def test_hourly_orders_follow_a_close_on_the_next_day_only(backtest: Backtest) -> None:
    """Another close changes no trade of its own day."""
    table = through_the_day(0)
    last_close = table.index[-1]
    other = table.copy()
    other.loc[last_close, ["PRICE", "CARRY", "FORWARD"]] += 30.0
    fills = []
    for prices in (table, other):
        single = run_backtest(strategy(), BacktestData.from_frames({"A": prices}, {}, {"A": instrument("A")}))
        fills.append(simulated_curve(single, "A", "hourly_market").gross)
    pd.testing.assert_series_equal(fills[0], fills[1])


def test_hours_are_stamped_at_their_start_and_closes_left_out() -> None:
    stamps = pd.to_datetime(["2020-01-02 09:05", "2020-01-02 09:50", "2020-01-02 10:00", "2020-01-02 23:00"])
    hours = hourly_prices(pd.Series([1.0, 2.0, 3.0, 4.0], index=stamps))
    assert hours.to_dict() == {pd.Timestamp("2020-01-02 09:00"): 2.0, pd.Timestamp("2020-01-02 10:00"): 3.0}


def test_hourly_orders_need_hourly_prices() -> None:
    with pytest.raises(DataError, match=r"instrument A has no prices within the day.*daily_market"):
        simulated_curves(run_backtest(strategy(), market("A")), "hourly_market")


def test_costs_in_sharpe_ratio_units_are_refused() -> None:
    with pytest.raises(ConfigError, match="use_SR_costs"):
        simulated_curves(run_backtest(strategy(use_SR_costs=True), market("A")), "daily_market")
