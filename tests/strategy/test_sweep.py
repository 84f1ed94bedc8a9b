"""Configurations that share what they have in common give what each would give alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import SHARED, needs_shared
from tests.strategy.markets import market
from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy import (
    BacktestData,
    Correction,
    StrategyConfig,
    load_strategy,
    packaged_strategies,
    run_backtest,
)
from tradeflow_core.strategy.config.changes import parse_grid
from tradeflow_core.strategy.config.sections import RawDataSection
from tradeflow_core.strategy.results.curve_statistics import statistics
from tradeflow_core.strategy.results.curves import portfolio_curve
from tradeflow_core.strategy.sweeps import Sweep, Workshop, sweep

OVERLAY = {
    "max_risk_fraction_normal_risk": 0.7,
    "max_risk_fraction_stdev_risk": 3.6,
    "max_risk_limit_sum_abs_risk": 3.4,
    "max_risk_leverage": 13,
}
ESTIMATES: dict[str, Any] = {
    "use_forecast_scale_estimates": True,
    "use_forecast_weight_estimates": True,
    "use_forecast_div_mult_estimates": True,
    "use_instrument_weight_estimates": True,
    "use_instrument_div_mult_estimates": True,
    "forecast_weights": None,
}


def config(**changes: Any) -> StrategyConfig:
    return load_strategy(packaged_strategies()["static_trend_carry"], changes, rule_modules=["tests.strategy.own_rules"])


@pytest.fixture(scope="module")
def data() -> BacktestData:
    """Three markets in euros; one is younger than the others, and one has no carry at first."""
    whole = market(currency="EUR")
    tables = dict(whole.multiple_prices)
    tables["C"] = tables["C"].iloc[250:]
    tables["A"] = tables["A"].assign(CARRY=tables["A"]["CARRY"].where(np.arange(len(tables["A"])) >= 200))
    return BacktestData.from_frames(tables, whole.fx, whole.instruments)


def assert_as_alone(configs: dict[str, StrategyConfig], data: BacktestData) -> Sweep:
    """Every figure of the sweep is that of a backtest of its own."""
    found = sweep(configs, data)
    assert list(found.table.index) == list(configs) and list(found.returns.columns) == list(configs)
    for name, one in configs.items():
        net = portfolio_curve(run_backtest(one, data).accounts).returns("net")
        alone = found.returns[name].dropna()
        pd.testing.assert_series_equal(alone, net.values.dropna(), check_names=False, check_freq=False, rtol=0, atol=0)
        assert found.table.loc[name, "sharpe"] == statistics(net, corrected=one.compat == "fixed")["sharpe"]
    return found


# Each setting that a part of a backtest might read, with two values that matter.
SETTINGS: dict[str, tuple[Any, Any]] = {
    "compat": ("pst", "fixed"),
    "start_date": ("2010-01-01", "2010-06-01"),
    "base_currency": ("USD", "EUR"),
    "notional_trading_capital": (1e6, 3e6),
    "percentage_vol_target": (10, 20),
    "volatility_calculation.days": (20, 35),
    "volatility_calculation.vol_abs_min": (1e-10, 1.2),
    "trading_rules.carry.other_args.smooth_days": (30, 90),
    "trading_rules.carry.forecast_scalar": (10, 30),
    "forecast_scalars.carry": (10, 30),
    "forecast_cap": (10, 20),
    "forecast_floor": (0, -20),
    "average_absolute_forecast": (8, 10),
    "use_attenuation": (["carry"], []),
    "forecast_weights": ({"carry": 1.0}, {"carry": 0.5, "ewmac8_32": 0.5}),
    "forecast_weight_ewma_span": (1, 125),
    "forecast_div_multiplier": (1.0, 1.5),
    "forecast_mapping.A": ({"threshold": 5.0, "a_param": 1.5, "b_param": 1.5}, None),
    "long_only_instruments": (["A", "B"], []),
    "instruments": (["A", "B"], ["A", "B", "C"]),
    "instrument_weights": ({"A": 0.5, "B": 0.5}, {"A": 0.2, "B": 0.8}),
    "instrument_weight_ewma_span": (1, 125),
    "instrument_div_multiplier": (1.0, 2.0),
    "allocate_zero_instrument_weights_to_these_instruments": (["A"], []),
    "exclude_instrument_lists.bad_markets": (["A"], []),
    "exclude_instrument_lists.ignore_instruments": (["A"], []),
    "risk_overlay": (OVERLAY, None),
    "dynamic_optimisation": (True, False),
    "buffer_method": ("position", "forecast"),
    "buffer_size": (0.05, 0.3),
    "buffer_trade_to_edge": (True, False),
    "use_SR_costs": (True, False),
    "vol_normalise_currency_costs": (True, False),
    "multiply_roll_costs_by": (0.0, 1.0),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_whatever_is_changed_each_configuration_gets_its_own_figures(setting: str, data: BacktestData) -> None:
    values = (*SETTINGS[setting], SETTINGS[setting][0])
    configs = {f"{place}: {value}": config(**{setting: value}) for place, value in enumerate(values)}
    found = assert_as_alone(configs, data)
    first, second, again = found.returns.to_numpy().T
    np.testing.assert_array_equal(first, again)
    # The two scalars of the rule itself win over this one.
    assert setting == "forecast_scalars.carry" or not np.array_equal(first, second, equal_nan=True)


ESTIMATED_SETTINGS = {
    **{name: SETTINGS[name] for name in ("compat", "notional_trading_capital", "buffer_size", "use_SR_costs", "forecast_cap")},
    "forecast_scalar_estimate.pool_instruments": (True, False),
    "forecast_weight_estimate.method": ("handcraft", "equal_weights"),
    "forecast_cost_estimates.use_pooled_costs": (True, False),
    "forecast_post_ceiling_cost_SR": (0.001, 999),
    "forecast_div_mult_estimate.dm_max": (1.1, 2.5),
    "forecast_correlation_estimate.frequency": ("D", "W"),
    "instrument_weight_estimate.method": ("handcraft", "equal_weights"),
    "instrument_correlation_estimate.ew_lookback": (25, 250),
    "instrument_div_mult_estimate.dm_max": (1.1, 2.5),
    "use_instrument_weight_estimates": (True, False),
    "rule_variations": (["carry", "ewmac8_32"], ["carry", "ewmac8_32", "ewmac16_64"]),
}


@pytest.mark.parametrize("setting", ESTIMATED_SETTINGS)
def test_the_same_with_everything_estimated(setting: str, data: BacktestData) -> None:
    values = ESTIMATED_SETTINGS[setting]
    assert_as_alone({str(value): config(**{**ESTIMATES, setting: value}) for value in values}, data)


def test_only_what_differs_is_computed_again(data: BacktestData) -> None:
    by_buffer = sweep({str(size): config(buffer_size=size) for size in (0.05, 0.1, 0.2)}, data)
    assert by_buffer.shared == {"raw data": 2, "combined forecasts": 2, "positions of instruments": 2, "portfolio": 2}
    by_rule = sweep({str(days): config(**{"trading_rules.carry.other_args.smooth_days": days}) for days in (30, 60, 90)}, data)
    assert by_rule.shared == {"raw data": 2, "rules": 2 * 4}
    by_volatility = sweep({str(days): config(**{"volatility_calculation.days": days}) for days in (20, 30)}, data)
    assert by_volatility.shared == {}


def test_an_order_that_jumps_between_settings_shares_as_much(data: BacktestData) -> None:
    grid = parse_grid(["buffer_size=0.05,0.1", "volatility_calculation.days=20,30"])
    found = sweep({str(point): config(**point) for point in grid}, data)
    assert found.shared["raw data"] == 2 and found.shared["portfolio"] == 2
    assert list(found.table.index) == [str(point) for point in grid]


def test_nothing_is_kept_once_it_is_needed_no_more(data: BacktestData) -> None:
    workshop = Workshop(data, {str(size): config(buffer_size=size) for size in (0.1, 0.2)})
    for name in workshop.order:
        workshop.backtest(name).stage("portfolio_pandl")
        assert workshop._parts
        workshop.finish(name)
    assert not workshop._parts


def test_a_part_cannot_read_a_setting_that_it_is_not_known_to_read() -> None:
    section = RawDataSection.of(config())
    assert section.volatility_calculation.days == 35 and section.corrections == RawDataSection.READS
    with pytest.raises(AttributeError, match="forecast_cap"):
        _ = section.forecast_cap  # type: ignore[attr-defined]
    with pytest.raises(KeyError, match="statistics"):
        section.corrects(Correction.STATISTICS)


def test_rules_by_the_hour_are_shared_too(data: BacktestData) -> None:
    tables = {}
    for code, table in data.multiple_prices.items():
        noon = table.set_axis(pd.DatetimeIndex(table.index) - pd.Timedelta(hours=11), axis=0).assign(PRICE=table["PRICE"] - 0.3)
        tables[code] = pd.concat([table, noon]).sort_index()
    hourly = BacktestData.from_frames(tables, data.fx, data.instruments)
    rules = {
        "trading_rules.noon": {"function": "tests.strategy.own_rules.known_days_only", "data": ["hourly_price"]},
        "trading_rules.noon.forecast_scalar": 5.0,
        "forecast_weights": {"noon": 0.5, "carry": 0.5},
    }
    found = assert_as_alone({str(cap): config(**{**rules, "forecast_weights.carry": cap}) for cap in (0.3, 0.6)}, hourly)
    assert found.shared["rules"] == 2
    assert found.table["sharpe"].nunique() == 2


def test_progress_is_told_and_errors_name_their_configuration(data: BacktestData) -> None:
    told: list[str] = []
    sweep({"a": config(), "b": config(buffer_size=0.3)}, data, told.append)
    assert sorted(told) == ["a", "b"]
    with pytest.raises(ConfigError, match=r"forecast_weights names rules.*magic"):
        sweep({"a": config(), "b": config(forecast_weights={"magic": 1.0})}, data)


@needs_shared("golden", "system_b")
@pytest.mark.parametrize("system", ["system_a/futuresconfig.yaml", "system_b/futuresestimateconfig.yaml"])
def test_the_same_on_real_prices(system: str) -> None:
    real = BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")
    configs = {str(size): load_strategy(SHARED / "golden" / system, {"buffer_size": size}) for size in (0.1, 0.2)}
    assert_as_alone(configs, real)
