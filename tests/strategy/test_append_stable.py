"""With every flaw corrected, no figure that positions are made of changes when later data arrive: nothing looks ahead.

Data is cut at some moment. What a backtest of the shorter data says of the days that were over by then must be what a backtest of the longer
data says of them. An instrument's own figures are compared up to its last stamp before the moment.

Profit and loss is left out: money costs are those of today in proportion to volatility, so a later day changes what is reported of
earlier ones, and no position.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from tests.conftest import SHARED, needs_shared
from tests.strategy.long_markets import CODES, ESTIMATES, HOURLY, LIMITS, PAUSE, RULES, known_at, long_markets, some_rules
from tradeflow_core.strategy import Backtest, BacktestData, load_strategy, run_backtest, strategy_from_dict

STAGES = [
    *("daily_returns", "daily_percentage_returns", "daily_returns_volatility", "raw_carry", "median_carry_for_asset_class"),
    *("normalised_price_for_asset_class", "demeaned_factor_value", "raw_forecast", "attenuation", "forecast_scalar"),
    *("capped_forecast", "forecast_weights", "fdm", "combined_forecast", "average_position", "subsystem_position"),
    *("instrument_weights", "idm", "position_before_overlay", "risk_overlay", "notional_position", "buffers"),
    *("buffered_position_rounded", "buffered_position_unrounded", "held_position", "capital_multiplier", "actual_position"),
]
OF_ALL_INSTRUMENTS = {"instrument_weights", "idm", "risk_overlay", "capital_multiplier"}
"""Stages whose figures exist on every day, whichever instruments trade on it."""
TOLERANCE = 1e-9

FOUR = some_rules("trend", "carry", "acceleration", "breakout")
BY_GROUPS = {
    "parameters": {"use_approx_DM": True, "apply_forecast_post_ceiling_cost_SR_before_weighting": True},
    "groups": {"fast": {"trend": 1, "acceleration": 1}, "slow": {"carry": 0.5, "breakout": 0.5}},
}
CHEAP: dict[str, dict[str, Any]] = {
    "every rule": {"trading_rules": RULES},
    "an hourly rule": {"trading_rules": {**some_rules("trend", "carry")["trading_rules"], "hourly": HOURLY}},
    "attenuation, scalars of each instrument": {
        "trading_rules": RULES,
        "use_attenuation": list(RULES),
        "use_forecast_scale_estimates": True,
        "forecast_scalar_estimate": {"min_periods": 100, "pool_instruments": False, "backfill": True},
        "volatility_calculation": {"func": "robust_vol", "backfill": True},
    },
    "a cost ceiling": {**FOUR, "forecast_post_ceiling_cost_SR": 0.06},
    "a cost ceiling before groups share": {
        **FOUR,
        "forecast_post_ceiling_cost_SR": 0.06,
        "forecast_weights": {"auto_weight_from_grouping": BY_GROUPS},
    },
    "the risk overlay": {**FOUR, "risk_overlay": LIMITS},
    "half compounding": {**FOUR, "capital_multiplier": {"func": "half_compounding"}},
    "full compounding, costs in Sharpe ratios": {
        **FOUR,
        "capital_multiplier": {"func": "full_compounding"},
        "use_SR_costs": True,
    },
    "bins that do not end with fits": {
        **FOUR,
        "use_forecast_div_mult_estimates": True,
        "forecast_correlation_estimate": {"frequency": "7D", "interval_frequency": "M"},
        "use_instrument_div_mult_estimates": True,
        "instrument_correlation_estimate": {"frequency": "7D"},
        "risk_overlay": LIMITS,
        "instrument_returns_correlation": {"interval_frequency": "M"},
    },
}
DEAR: dict[str, dict[str, Any]] = {
    "everything estimated, handcrafted": {**some_rules("trend", "carry", "acceleration", "ahead_of_class"), **ESTIMATES},
    "shrinkage, rolling dates, cost weights": {
        **FOUR,
        **ESTIMATES,
        "forecast_weight_estimate": {
            **{"method": "shrinkage", "equalise_gross": True, "apply_cost_weight": True},
            **{"date_method": "rolling", "rollyears": 1},
        },
        "instrument_weight_estimate": {
            **{"method": "shrinkage", "equalise_SR": False, "equalise_gross": True, "apply_cost_weight": True},
            **{"date_method": "rolling", "rollyears": 1},
        },
    },
    "one period, nothing pooled, a ceiling, plain correlations": {
        **FOUR,
        **ESTIMATES,
        "forecast_weight_estimate": {"method": "one_period", "ceiling_cost_SR": 0.06, "pool_gross_returns": False},
        "instrument_weight_estimate": {"method": "one_period", "equalise_SR": False},
        "forecast_correlation_estimate": {"pool_instruments": False, "date_method": "rolling", "rollyears": 2},
        "instrument_correlation_estimate": {"using_exponent": False, "date_method": "rolling", "rollyears": 2},
        "use_SR_costs": True,
    },
    "estimates, pooled costs and a ceiling after them": {
        **FOUR,
        **ESTIMATES,
        "forecast_cost_estimates": {"use_pooled_costs": True},
        "forecast_post_ceiling_cost_SR": 0.06,
    },
    "dynamic optimisation": {**FOUR, "dynamic_optimisation": True, "notional_trading_capital": 500_000},
    "dynamic optimisation of estimates within limits": {
        **some_rules("trend", "carry", "acceleration"),
        **ESTIMATES,
        **{"dynamic_optimisation": True, "notional_trading_capital": 500_000, "risk_overlay": LIMITS},
    },
}
MOMENTS = {
    "before C has prices": "2012-02-15 23:30",
    "on the last day of a year, while B pauses": "2012-12-31 12:00",
    "in the first days of a year, while B pauses": "2013-01-09 00:00",
    "on a Sunday": "2013-06-30 23:00",
    "after D has ended": "2014-06-11 00:00",
}


def strategy(name: str, data: BacktestData) -> Backtest:
    tree = {"compat": "fixed", "instruments": list(CODES), "notional_trading_capital": 2_000_000, **(CHEAP | DEAR)[name]}
    return run_backtest(strategy_from_dict(tree), data)


@cache
def of_all_data(name: str) -> Backtest:
    return strategy(name, long_markets())


def start_of_its_day(moment: pd.Timestamp) -> pd.Timestamp:
    """A weekend belongs to its Friday, which is over when Monday begins."""
    midnight = moment.normalize()
    return midnight - pd.Timedelta(days=max(midnight.day_of_week - 4, 0))


def assert_unchanged(later: Backtest, earlier: Backtest, moment: pd.Timestamp, *, data: BacktestData) -> None:
    for stage in STAGES:
        then, now = (
            backtest.stage(stage).loc[lambda table: table.index < start_of_its_day(moment)] for backtest in (earlier, later)
        )
        assert list(then.columns) == list(now.columns)
        assert then.index.equals(now.index), f"{stage} has other days"
        optimised = stage == "held_position" and later.config.dynamic_optimisation
        for column in then.columns:
            rows = slice(None)
            if stage not in OF_ALL_INSTRUMENTS and not optimised:
                stamps = data.multiple_prices[column[0] if isinstance(column, tuple) else column].index
                rows = slice(0, then.index.searchsorted(stamps[: stamps.searchsorted(moment)].max(), side="right"))
            assert_same(now[column].to_numpy(dtype=float)[rows], then[column].to_numpy(dtype=float)[rows], f"{stage} of {column}")


def assert_same(now: np.ndarray, then: np.ndarray, what: str) -> None:
    """Equal, but for rounding relative to the largest figure."""
    size = np.nanmax(np.abs(then), initial=0.0) if np.isfinite(then).any() else 0.0
    np.testing.assert_allclose(now, then, rtol=TOLERANCE, atol=TOLERANCE * size, err_msg=what)


@pytest.mark.parametrize("name", CHEAP)
@given(minute=st.integers(30 * 1440, 1770 * 1440))
@settings(max_examples=8, deadline=None)
def test_nothing_changes_at_whatever_moment_the_data_was_cut(name: str, minute: int) -> None:
    moment = pd.Timestamp("2010-01-04") + pd.Timedelta(minutes=minute)
    assert_unchanged(of_all_data(name), strategy(name, known_at(long_markets(), moment)), moment, data=long_markets())


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.parametrize("name", DEAR)
def test_nothing_changes_where_much_is_estimated(name: str, moment: str) -> None:
    known = known_at(long_markets(), pd.Timestamp(moment))
    assert_unchanged(of_all_data(name), strategy(name, known), pd.Timestamp(moment), data=long_markets())


def test_the_strategies_trade_and_their_limits_bind() -> None:
    assert PAUSE[0] < MOMENTS["in the first days of a year, while B pauses"] < PAUSE[1]
    for name in (*CHEAP, *DEAR):
        held = of_all_data(name).stage("held_position")
        assert (held.abs().max() > 0).sum() >= 4, name
    assert of_all_data("the risk overlay").stage("risk_overlay")["risk_scalar"].min() < 0.9
    assert of_all_data("half compounding").stage("capital_multiplier").min().item() < 1.0


def test_the_reference_does_look_ahead() -> None:
    moment = pd.Timestamp(MOMENTS["after D has ended"])
    pst = {"compat": "pst", "instruments": list(CODES), **DEAR["everything estimated, handcrafted"]}
    later, earlier = (run_backtest(strategy_from_dict(pst), data) for data in (long_markets(), known_at(long_markets(), moment)))
    with pytest.raises(AssertionError):
        assert_unchanged(later, earlier, moment, data=long_markets())


@needs_shared("golden", "system_b")
@pytest.mark.slow
def test_nothing_changes_in_real_markets_with_estimates() -> None:
    data = BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")
    config = load_strategy(SHARED / "golden" / "system_b" / "futuresestimateconfig.yaml", {"compat": "fixed"})
    later = run_backtest(config, data)
    for moment in map(pd.Timestamp, ("2004-12-31 12:00", "2016-05-14 00:00", "2021-03-09 00:00")):
        earlier = run_backtest(config, known_at(data, moment, later.instruments))
        assert_unchanged(later, earlier, moment, data=data)
