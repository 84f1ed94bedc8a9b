"""The fixed-weight example system gives the reference's figures at every stage, to 1e-8, missing values included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import SHARED, needs_shared
from tradeflow_core.strategy import Backtest, BacktestData, StrategyConfig, load_strategy, run_backtest

pytestmark = needs_shared("golden", "system_a")

TOLERANCE = 1e-8
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
    return load_strategy(SHARED / "golden" / "system_a" / "futuresconfig.yaml")


@pytest.fixture(scope="module")
def backtest(config: StrategyConfig, data: BacktestData) -> Backtest:
    return run_backtest(config, data)


def golden(name: str, read: Reader, folder: str = "system_a") -> pd.DataFrame:
    path: Path = SHARED / "golden" / folder / f"{name}.parquet"
    table = read(pd.read_parquet(path))
    return table.drop(columns="net_percent", errors="ignore")


def assert_equal(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Same columns, same missing values on all dates of both, same figures to the tolerance."""
    ours = ours[theirs.columns]
    dates = ours.index.union(theirs.index)
    got, wanted = ours.reindex(dates).to_numpy(dtype=float), theirs.reindex(dates).to_numpy(dtype=float)
    missing = np.isnan(got) != np.isnan(wanted)
    assert not missing.any(), f"{missing.sum()} missing values differ, first at {dates[np.argwhere(missing)[0][0]]}"
    floor = 1e-6 * np.nanmax(np.abs(wanted), axis=0)
    error = np.abs(got - wanted) / np.maximum(np.abs(wanted), np.where(floor > 0, floor, 1.0))
    worst = np.nanmax(error)
    row = int(np.nanargmax(error)) // error.shape[1]
    assert worst <= TOLERANCE, f"off by {worst:.2g} at {dates[row]}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_equals_the_reference(stage: str, backtest: Backtest) -> None:
    file, read = STAGES[stage]
    theirs = golden(file, read)
    ours = backtest.stage(stage)
    assert set(ours.columns) >= set(theirs.columns)
    assert_equal(ours, theirs)


def test_the_fixed_scalars_are_those_of_the_rules(backtest: Backtest) -> None:
    table = pd.read_parquet(SHARED / "golden" / "system_a" / "forecast_scalar_fixed.parquet")
    last = backtest.stage("forecast_scalar").ffill().iloc[-1]
    wanted = table.set_index(["instrument", "rule"])["scalar"]
    np.testing.assert_allclose(last[wanted.index], wanted, rtol=1e-12)


def test_costs_in_sharpe_ratio_units_equal_the_reference(config: StrategyConfig, data: BacktestData) -> None:
    backtest = run_backtest(config.model_copy(update={"use_SR_costs": True}), data)
    assert_equal(backtest.stage("instrument_pandl"), golden("pandl_instrument_SR_costs", rules_as_columns))
    assert_equal(backtest.stage("portfolio_pandl"), golden("pandl_portfolio_SR_costs", wide))


def test_instrument_turnovers_equal_the_reference(backtest: Backtest) -> None:
    table = pd.read_parquet(SHARED / "golden" / "system_a" / "turnovers.parquet").set_index("instrument")
    ours = backtest.accounts.turnovers[table.index]
    np.testing.assert_allclose(ours, table["instrument_turnover"], rtol=TOLERANCE)
