"""Each known flaw of sizing, the portfolio, whole contracts and accounts is corrected at its place, and only where the strategy says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.strategy.corrections import (
    ACCELERATION,
    CARRY,
    SHOWN,
    TREND,
    changed,
    pair,
    shows,
    strategy,
    with_facts,
    without_rows,
)
from tests.strategy.long_markets import ESTIMATES, HOURLY, LIMITS, long_markets
from tests.strategy.markets import instrument, market
from tradeflow_core.instruments import Costs
from tradeflow_core.strategy import BacktestData
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.results.curve_statistics import statistics
from tradeflow_core.strategy.results.curves import AccountCurve
from tradeflow_core.strategy.results.order_simulators import simulated_curve
from tradeflow_core.strategy.results.summary import summarise

GAP = slice(300, 315)
POSITIONS = ("notional_position", "buffers", "held_position")
OF_ESTIMATES = {
    *("calendar_fits", "rolling_window", "calendar_length", "missing_weeks", "costs_known_then", "costs_over_all_days"),
    *("cost_pooling", "exact_optimiser", "current_weights", "no_backfill", "started_instruments"),
}


@pytest.fixture(scope="module")
def plain() -> BacktestData:
    """Three markets in dollars that trade once on every day."""
    return market(days=500)


@pytest.fixture(scope="module")
def gappy(plain: BacktestData) -> BacktestData:
    """The same, but A does not trade for three weeks."""
    return without_rows(plain, "A", GAP)


@pytest.mark.parametrize("correction", Correction)
def test_in_ordinary_markets_with_fixed_weights_no_correction_moves_a_position(correction: str, plain: BacktestData) -> None:
    both = pair(correction, plain)
    assert not any(changed(stage, both).any(axis=None) for stage in POSITIONS)


@pytest.mark.parametrize("correction", sorted(set(Correction) - OF_ESTIMATES))
def test_in_ordinary_markets_estimates_differ_by_corrections_of_estimates_only(correction: str, plain: BacktestData) -> None:
    both = pair(correction, plain, **{**ESTIMATES, "forecast_scalar_estimate": {"min_periods": 50, "backfill": False}})
    assert not any(changed(stage, both).any(axis=None) for stage in POSITIONS)


def test_every_correction_is_shown_by_a_test() -> None:
    from tests.strategy import test_corrections, test_corrections_of_estimates

    assert test_corrections and test_corrections_of_estimates
    assert set(SHOWN) == set(Correction)


# Prices


@shows("returns_over_gaps")
def test_the_change_over_a_pause_counts_on_the_first_day_after_it(gappy: BacktestData) -> None:
    both = pair("returns_over_gaps", gappy)
    price = both[0].stage("daily_price")["A"]
    after = price.index[GAP.stop]
    where = changed("daily_returns", both)
    assert list(where.index[where["A"]]) == [after]
    assert not where[["B", "C"]].any(axis=None)
    assert both[1].stage("daily_returns")["A"][after] == price[after] - price.iloc[GAP.start - 1]


@shows("paused_markets")
def test_a_paused_market_has_no_new_forecast_and_keeps_its_volatility(gappy: BacktestData) -> None:
    both = pair("paused_markets", gappy, trading_rules=ACCELERATION)
    days = gappy.multiple_prices["B"].index[GAP].normalize()
    forecasts, vol = changed("raw_forecast", both), changed("daily_returns_volatility", both)
    looks_back = ACCELERATION["acceleration"]["other_args"]["Lfast"]
    of_pause = np.zeros(len(forecasts), dtype=bool)
    of_pause[GAP.start : GAP.stop + looks_back] = True
    assert (forecasts["A", "acceleration"].to_numpy() <= of_pause).all()
    assert both[0].stage("raw_forecast").loc[days, ("A", "acceleration")].nunique() == len(days)
    assert both[1].stage("raw_forecast").loc[days, ("A", "acceleration")].isna().all()
    assert vol.loc[days, "A"].all()
    last = both[1].stage("daily_returns_volatility")["A"][days[0] - pd.offsets.BDay()]
    assert (both[1].stage("daily_returns_volatility").loc[days, "A"] == last).all()
    assert not forecasts[["B", "C"]].any(axis=None) and not vol[["B", "C"]].any(axis=None)


def test_a_pause_changes_nothing_for_the_others_where_scalars_are_pooled(plain: BacktestData, gappy: BacktestData) -> None:
    rules = {"trading_rules": ACCELERATION, "use_forecast_scale_estimates": True, "forecast_scalar_estimate": {"min_periods": 50}}
    days = plain.multiple_prices["B"].index[GAP].normalize()
    in_pause = {}
    for compat in ("pst", ["paused_markets"]):
        scalars = strategy(gappy, compat, **rules).stage("forecast_scalar").loc[days, ("B", "acceleration")]
        until = without_rows(gappy, "A", slice(GAP.start, None))
        known = strategy(until, compat, **rules).stage("forecast_scalar").loc[days, ("B", "acceleration")]
        in_pause[str(compat)] = np.abs(scalars / known - 1).max()
    assert in_pause["pst"] > 1e-4
    assert in_pause["['paused_markets']"] < 1e-12


@shows("no_backfill")
def test_scalars_and_contract_values_before_the_first_known_one_are_missing(plain: BacktestData) -> None:
    young = without_rows(plain, "C", slice(0, 200))
    estimated = {"use_forecast_scale_estimates": True, "forecast_scalar_estimate": {"min_periods": 100}}
    both = pair("no_backfill", young, **estimated, dynamic_optimisation=True)
    scalars = changed("forecast_scalar", both)
    known = both[1].stage("forecast_scalar").notna()
    assert not known.iloc[:99].any(axis=None)
    own = both[0].stage("raw_forecast").notna()
    assert (scalars == ~known)[own].where(own, True).all(axis=None)
    values = [backtest.dynamic.contract_value[:200, 2] for backtest in both]
    assert (values[0] == values[0][0]).all() and np.isnan(values[1]).all()


@shows("daily_values_at_close")
def test_an_hourly_forecast_in_the_morning_does_not_know_the_close() -> None:
    data = long_markets()
    rules = {"trading_rules": {**TREND, "hourly": HOURLY}, "instruments": ["A", "B"]}
    table = data.multiple_prices["B"]
    close = table.index[500]
    assert (close.hour, table.index[499].hour) == (23, 10)
    other = table.assign(PRICE=table["PRICE"].where(table.index != close, table["PRICE"] + 5.0))
    moved = BacktestData.from_frames({**data.multiple_prices, "B": other}, data.fx, data.instruments)
    change = {}
    for compat in ("pst", ["daily_values_at_close"]):
        before, after = (strategy(one, compat, **rules).stage("combined_forecast")["B"].dropna() for one in (data, moved))
        change[str(compat)] = (after - before)[close.normalize() + pd.Timedelta(hours=10)]
    assert change["pst"] != 0.0
    assert change["['daily_values_at_close']"] == 0.0


def test_what_weekend_prices_say_is_known_when_the_weekend_has_them() -> None:
    rules = {"trading_rules": {**TREND, "hourly": HOURLY}, "instruments": ["B"]}
    stamps = strategy(long_markets(), ["daily_values_at_close"], **rules).combined.of("B").index
    fridays = stamps[(stamps.day_of_week == 4) & (stamps.hour == 23)]
    with_sunday = {day for day in stamps[stamps.day_of_week == 6].normalize()}
    assert with_sunday
    assert not {friday.normalize() + pd.Timedelta(days=2) for friday in fridays} & with_sunday


# Positions


@shows("point_risk")
def test_below_a_price_of_zero_positions_keep_their_side(plain: BacktestData) -> None:
    low = {code: table.assign(**(table[["PRICE", "CARRY", "FORWARD"]] - 205.0)) for code, table in plain.multiple_prices.items()}
    both = pair("point_risk", BacktestData.from_frames(low, plain.fx, plain.instruments))
    price = both[0].stage("daily_denominator_price")
    where = changed("average_position", both)
    assert (where == (price < 0) & both[0].stage("average_position").notna()).all(axis=None)
    assert where.any().any() and not where.all().any()
    assert (both[1].stage("average_position").dropna() > 0).all(axis=None)


@shows("restricted_untraded")
@pytest.mark.parametrize("named_in", ["bad_markets", "trading_restrictions"])
def test_a_restricted_market_is_not_traded_and_the_others_take_its_share(named_in: str, plain: BacktestData) -> None:
    both = pair("restricted_untraded", plain, exclude_instrument_lists={named_in: ["C"]})
    shares = [backtest.stage("instrument_weights").iloc[-1] for backtest in both]
    np.testing.assert_allclose(shares[0], 1 / 3)
    np.testing.assert_allclose(shares[1], [0.5, 0.5, 0.0])


@shows("started_instruments")
def test_a_market_takes_its_share_from_its_first_position_on(plain: BacktestData) -> None:
    table = plain.multiple_prices["C"]
    late = table.assign(CARRY=table["CARRY"].where(np.arange(len(table)) >= 200))
    data = BacktestData.from_frames({**plain.multiple_prices, "C": late}, plain.fx, plain.instruments)
    both = pair("started_instruments", data, trading_rules=CARRY, instrument_weight_ewma_span=1)
    first = int(np.flatnonzero(both[0].stage("subsystem_position")["C"].fillna(0.0))[0])
    assert first >= 200
    shares = [backtest.stage("instrument_weights")["C"] for backtest in both]
    np.testing.assert_allclose(shares[0].iloc[20:], 1 / 3)
    np.testing.assert_allclose(shares[1].iloc[20:first], 0.0)
    np.testing.assert_allclose(shares[1].iloc[first:], 1 / 3)


@shows("overlay_scales_buffers")
def test_buffers_shrink_with_the_positions_that_the_overlay_scales(plain: BacktestData) -> None:
    both = pair("overlay_scales_buffers", plain, risk_overlay=LIMITS, instrument_div_multiplier=2.0)
    scalar = both[0].stage("risk_overlay")["risk_scalar"]
    assert 0.2 < (scalar < 1.0).mean() < 0.95
    bands = [backtest.stage("buffers")["A"] for backtest in both]
    width = [band["upper"] - band["lower"] for band in bands]
    known = width[0].notna()
    np.testing.assert_allclose(width[1][known], (width[0] * scalar)[known])
    assert not changed("notional_position", both).any(axis=None)


@shows("half_compounding_once")
def test_half_compounding_follows_the_account_below_its_high(plain: BacktestData) -> None:
    both = pair("half_compounding_once", plain, capital_multiplier={"func": "half_compounding"}, percentage_vol_target=50.0)
    growth = np.cumprod(1.0 + both[0].accounts.total["net"] / 1_000_000)
    expected = growth / np.maximum(growth.cummax(), 1.0)
    np.testing.assert_allclose(both[1].stage("capital_multiplier")["capital_multiplier"], expected)
    assert expected.min() < 0.8
    assert changed("capital_multiplier", both)["capital_multiplier"].mean() > 0.5


@shows("careful_optimiser")
def test_whole_contracts_are_optimised_within_the_limits_of_the_overlay(plain: BacktestData) -> None:
    small = {"dynamic_optimisation": True, "notional_trading_capital": 400_000, "instrument_div_multiplier": 2.0}
    both = pair("careful_optimiser", plain, **small, risk_overlay=LIMITS)
    days = both[0].portfolio.days
    risk = [backtest.portfolio.risk.of_held(backtest.dynamic.positions, days).normal.max() for backtest in both]
    limit = 0.7 * 0.16
    assert risk[0] > 1.25 * limit
    assert risk[1] < 1.25 * limit
    free = pair("careful_optimiser", plain, **small)
    assert not changed("held_position", free).any(axis=None)


# Accounts


@shows("commission_on_held_price")
def test_a_commission_in_percent_is_of_the_contract_held(plain: BacktestData) -> None:
    share = replace(instrument("A"), costs=Costs(percentage=0.001), roll_rule=None)
    data = with_facts(plain, {"A": share})
    both = pair("commission_on_held_price", data, vol_normalise_currency_costs=False)
    trades = both[0].accounts.held.values["A"].diff().abs()
    prices = [both[0].stage(stage)["A"] for stage in ("daily_price", "daily_denominator_price")]
    for backtest, price in zip(both, prices, strict=True):
        paid = -backtest.accounts.costs["A"][trades > 0]
        np.testing.assert_allclose(paid, (trades * price * 0.001 * share.point_size)[trades > 0])
    assert (prices[0] - prices[1]).abs().max() > 1.0
    assert not changed("instrument_pandl", both)[["B", "C"]].any(axis=None)


@shows("weighted_pandl_lagged_once")
def test_a_lone_rule_earns_in_the_portfolio_what_it_earns_by_itself() -> None:
    both = pair("weighted_pandl_lagged_once", market("A", 500), trading_rules={"fast": TREND["fast"]})
    for backtest, same in zip(both, (False, True), strict=True):
        alone, weighted = (backtest.rule_accounts.of_rule("fast", how)["gross"] for how in ("unweighted", "weighted"))
        assert np.allclose(alone, weighted) is same
    late, alone = (both[0].rule_accounts.of_rule("fast", how)["gross"] for how in ("weighted", "unweighted"))
    assert abs(late).sum() == pytest.approx(abs(alone).sum(), rel=0.1)


@shows("statistics")
def test_a_loss_at_the_start_is_a_drawdown_and_steady_losses_are_risk(plain: BacktestData) -> None:
    steady = AccountCurve.of_returns(pd.Series([-1.0, -1.0, 3.0, -1.0], pd.bdate_range("2020-01-06", periods=4)), 100.0)
    reference, corrected = (statistics(steady.returns(), corrected=mode) for mode in (False, True))
    assert (reference["worst_drawdown"], corrected["worst_drawdown"]) == (-1.0, -2.0)
    assert not np.isfinite(reference["sortino"]) and corrected["sortino"] == 0.0
    both = pair("statistics", plain)
    found = [summarise(backtest).statistics["net"] for backtest in both]
    assert {name for name in found[0] if not np.isclose(found[0][name], found[1][name], equal_nan=True)} <= {
        *("worst_drawdown", "avg_drawdown", "time_in_drawdown", "calmar", "avg_return_to_drawdown", "sortino")
    }
    assert found[0]["sortino"] != found[1]["sortino"]


def test_simulated_fills_pay_their_percentage_of_the_contract_held_too(plain: BacktestData) -> None:
    data = with_facts(plain, {"A": replace(instrument("A"), costs=Costs(percentage=0.001), roll_rule=None)})
    both = pair("commission_on_held_price", data, vol_normalise_currency_costs=False)
    level = (both[0].stage("daily_denominator_price") / both[0].stage("daily_price"))["A"]
    paid = [simulated_curve(backtest, "A", "daily_market").costs for backtest in both]
    np.testing.assert_allclose(paid[1], paid[0] * level.reindex(paid[0].index))
    assert np.abs(level - 1.0).max() > 0.01
