"""The fixed-weight example system gives the reference's figures at every stage, to 1e-8, missing values included."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import SHARED, needs_shared
from tests.parity.figures import GOLDEN, TOLERANCE, assert_same, read as read_golden
from tradeflow_core.strategy import Backtest, BacktestData, StrategyConfig, load_strategy, run_backtest, strategy_from_dict
from tradeflow_core.strategy.common.grouping import grouped_weights

pytestmark = needs_shared("golden", "system_a")

Reader = Callable[[pd.DataFrame], pd.DataFrame]


def wide(golden: pd.DataFrame) -> pd.DataFrame:
    """A column per instrument already."""
    return golden.set_index("date")


def one_value(golden: pd.DataFrame) -> pd.DataFrame:
    """Rows of date, instrument, value."""
    return golden.pivot(index="date", columns="instrument", values="value")


def by_rule(golden: pd.DataFrame) -> pd.DataFrame:
    """Rows of date, instrument, rule, forecast."""
    return golden.pivot(index="date", columns=["instrument", "rule"], values="forecast")


def rules_as_columns(golden: pd.DataFrame) -> pd.DataFrame:
    """Rows of date, instrument and a column for each rule or part."""
    names = [name for name in golden.columns if name not in ("date", "instrument")]
    return golden.pivot(index="date", columns="instrument", values=names).swaplevel(axis=1)


def bands(golden: pd.DataFrame) -> pd.DataFrame:
    """Rows of date, instrument, top_pos, bot_pos."""
    return rules_as_columns(golden.rename(columns={"top_pos": "upper", "bot_pos": "lower"}))


STAGES: dict[str, tuple[str, Reader]] = {
    "daily_price": ("rawdata_daily_prices", wide),
    "daily_returns": ("rawdata_daily_returns", wide),
    "daily_denominator_price": ("rawdata_daily_denominator_price", wide),
    "daily_percentage_returns": ("rawdata_daily_percentage_returns", wide),
    "daily_returns_volatility": ("rawdata_daily_returns_volatility", wide),
    "daily_percentage_volatility": ("rawdata_daily_percentage_volatility", wide),
    "daily_annualised_roll": ("rawdata_daily_annualised_roll", wide),
    "raw_carry": ("rawdata_raw_carry", wide),
    "daily_vol_normalised_returns": ("rawdata_daily_vol_normalised_returns", wide),
    "cumulative_daily_vol_normalised_returns": ("rawdata_cumulative_daily_vol_normalised_returns", wide),
    "raw_futures_roll": ("rawdata_raw_futures_roll", one_value),
    "roll_differentials": ("rawdata_roll_differentials", one_value),
    "raw_forecast": ("forecasts_raw", by_rule),
    "capped_forecast": ("forecasts_capped", by_rule),
    "forecast_weights": ("forecast_weights", rules_as_columns),
    "fdm": ("fdm", wide),
    "combined_forecast_before_cap": ("combined_forecast_before_cap", wide),
    "combined_forecast": ("combined_forecast", wide),
    "block_value": ("sizing_block_value", wide),
    "instrument_currency_vol": ("sizing_instrument_currency_vol", wide),
    "instrument_value_vol": ("sizing_instrument_value_vol", wide),
    "average_position": ("sizing_average_position_at_subsystem_level", wide),
    "subsystem_position": ("sizing_subsystem_position", wide),
    "instrument_weights": ("instrument_weights", wide),
    "idm": ("idm", wide),
    "notional_position": ("notional_position", wide),
    "buffers": ("buffers", bands),
    "buffered_position_rounded": ("buffered_position_rounded", wide),
    "buffered_position_unrounded": ("buffered_position_unrounded", wide),
    "instrument_pandl": ("pandl_instrument_cash_costs", rules_as_columns),
    "portfolio_pandl": ("pandl_portfolio_cash_costs", wide),
}


@pytest.fixture(scope="module")
def data() -> BacktestData:
    return BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")


@pytest.fixture(scope="module")
def config() -> StrategyConfig:
    return load_strategy(GOLDEN / "system_a" / "futuresconfig.yaml")


@pytest.fixture(scope="module")
def backtest(config: StrategyConfig, data: BacktestData) -> Backtest:
    return run_backtest(config, data)


def golden(name: str, read: Reader, folder: str = "system_a") -> pd.DataFrame:
    return read(read_golden(folder, name)).drop(columns="net_percent", errors="ignore")


def assert_equal(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Same columns, same missing values on all dates of both, same figures."""
    assert_same(ours, theirs, all_dates=True)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_equals_the_reference(stage: str, backtest: Backtest) -> None:
    file, read = STAGES[stage]
    theirs = golden(file, read)
    ours = backtest.stage(stage)
    assert set(ours.columns) >= set(theirs.columns)
    assert_equal(ours, theirs)


def test_the_fixed_scalars_are_those_of_the_rules(backtest: Backtest) -> None:
    table = read_golden("system_a", "forecast_scalar_fixed")
    last = backtest.stage("forecast_scalar").ffill().iloc[-1]
    wanted = table.set_index(["instrument", "rule"])["scalar"]
    np.testing.assert_allclose(last[wanted.index], wanted, rtol=1e-12)


def test_costs_in_sharpe_ratio_units_equal_the_reference(config: StrategyConfig, data: BacktestData) -> None:
    backtest = run_backtest(config.model_copy(update={"use_SR_costs": True}), data)
    assert_equal(backtest.stage("instrument_pandl"), golden("pandl_instrument_SR_costs", rules_as_columns))
    assert_equal(backtest.stage("portfolio_pandl"), golden("pandl_portfolio_SR_costs", wide))


def changed(config: StrategyConfig, **settings: Any) -> StrategyConfig:
    """The system with some settings replaced."""
    return StrategyConfig.model_validate({**config.model_dump(), **settings})


BUFFERS: dict[str, dict[str, Any]] = {
    "position": {"buffer_method": "position"},
    "none": {"buffer_method": "none"},
    "no_edge": {"buffer_trade_to_edge": False},
    "position_no_edge": {"buffer_method": "position", "buffer_trade_to_edge": False},
}


@pytest.mark.parametrize("variant", BUFFERS)
def test_every_way_of_buffering_equals_the_reference(variant: str, config: StrategyConfig, data: BacktestData) -> None:
    backtest = run_backtest(changed(config, **BUFFERS[variant]), data)
    assert_equal(backtest.stage("buffered_position_rounded"), golden(f"system_a_buffered_{variant}", wide, "more_positions"))
    corn = backtest.stage("buffers")[[("CORN", "upper"), ("CORN", "lower")]].set_axis(["top_pos", "bot_pos"], axis=1)
    assert_equal(corn, golden(f"system_a_buffers_CORN_{variant}", wide, "more_positions"))


POSITIONS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "some markets only long": (
        {"long_only_instruments": ["CORN", "US10"]},
        {
            "subsystem_position": "system_a_subsystem_position_long_only_CORN_US10",
            "instrument_weights": "system_a_instrument_weights_long_only",
        },
    ),
    "a market without weight": (
        {"allocate_zero_instrument_weights_to_these_instruments": ["US10"]},
        {"instrument_weights": "system_a_instrument_weights_zero_US10"},
    ),
    "markets left out, others restricted": (
        {
            "exclude_instrument_lists": {
                "ignore_instruments": ["SOFR"],
                "trading_restrictions": ["US10"],
                "bad_markets": ["V2X"],
            },
            "duplicate_instruments": {"exclude": {"peso": "MXP"}},
        },
        {"instrument_weights": "system_a_instrument_weights_with_exclusions"},
    ),
    "money in pounds": (
        {"base_currency": "GBP"},
        {
            "subsystem_position": "system_a_subsystem_position_base_GBP",
            "portfolio_pandl": "system_a_portfolio_pandl_base_GBP",
        },
    ),
}


@pytest.mark.parametrize("case", POSITIONS)
def test_a_change_of_the_system_equals_the_reference(case: str, config: StrategyConfig, data: BacktestData) -> None:
    settings, files = POSITIONS[case]
    backtest = run_backtest(changed(config, **settings), data)
    for stage, file in files.items():
        assert_equal(backtest.stage(stage), golden(file, wide, "more_positions"))


def test_fractions_of_contracts_are_accounted_as_the_reference_does(config: StrategyConfig, data: BacktestData) -> None:
    backtest = run_backtest(config, data)
    fractions = backtest.accounts_of(backtest.buffered_position_unrounded, rounded=False)
    assert_equal(fractions.total, golden("system_a_portfolio_unrounded", wide, "more_positions"))


FIXED_VARIANTS = ("v4_fixed_forms", "v6_equal_nofw")


@pytest.mark.parametrize("variant", FIXED_VARIANTS)
def test_other_forms_of_fixed_weights_equal_the_reference(variant: str, data: BacktestData) -> None:
    settings = yaml.safe_load((GOLDEN / "more" / "variants.yaml").read_text())[variant]
    backtest = run_backtest(strategy_from_dict(settings, variant), data)
    capped = read_golden("more", f"{variant}_forecasts_capped_tail400")
    dates = pd.DatetimeIndex(capped["date"].unique())
    ours = backtest.stage("capped_forecast")
    theirs = by_rule(capped)
    assert_equal(ours[ours.index.isin(dates)][list(theirs.columns)].where(theirs.notna()), theirs)
    combined = read_golden("more", f"{variant}_combined_forecast")
    assert_equal(backtest.stage("combined_forecast"), combined.pivot(index="date", columns="instrument", values="forecast"))


def test_weights_from_a_tree_of_groups_equal_the_reference() -> None:
    table = read_golden("more_positions", "autogroup_weights")
    for _, wanted in table.groupby(["config_json", "excluded_json"]):
        tree, excluded = json.loads(wanted["config_json"].iloc[0]), json.loads(wanted["excluded_json"].iloc[0])
        weights = grouped_weights({"auto_weight_from_grouping": tree}, frozenset(excluded))
        assert weights == pytest.approx(dict(zip(wanted["name"], wanted["weight"], strict=True)), rel=1e-12)


def test_instrument_turnovers_equal_the_reference(backtest: Backtest) -> None:
    table = read_golden("system_a", "turnovers").set_index("instrument")
    ours = backtest.accounts.turnovers[table.index]
    np.testing.assert_allclose(ours, table["instrument_turnover"], rtol=TOLERANCE)
