"""The system with estimated scalars, weights and multipliers gives the reference's figures at every stage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.conftest import SHARED, needs_shared
from tests.parity.figures import GOLDEN, assert_same, assert_same_rows, pivoted, read
from tradeflow_core.strategy import Backtest, BacktestData, StrategyConfig, load_strategy, run_backtest
from tradeflow_core.strategy.config.compat import Correction

pytestmark = needs_shared("golden", "system_b")

SEARCH, DUST = 1e-4, 1e-6
"""Weights come from a numerical search, whose last digits depend on the library's version."""


@pytest.fixture(scope="module")
def data() -> BacktestData:
    return BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")


@pytest.fixture(scope="module")
def config() -> StrategyConfig:
    return load_strategy(GOLDEN / "system_b" / "futuresestimateconfig.yaml")


@pytest.fixture(scope="module")
def backtest(config: StrategyConfig, data: BacktestData) -> Backtest:
    return run_backtest(config, data)


@pytest.fixture(scope="module")
def exact(config: StrategyConfig, data: BacktestData) -> Backtest:
    return run_backtest(config.model_copy(update={"compat": (Correction.EXACT_OPTIMISER,)}), data)


def wide(name: str) -> pd.DataFrame:
    return read("system_b", name).set_index("date")


def test_pooled_scalars(backtest: Backtest) -> None:
    assert_same_rows(
        backtest.stage("forecast_scalar"), read("system_b", "forecast_scalar_estimated"), "forecast_scalar", "instrument", "rule"
    )


def test_pooled_correlations_of_forecasts(backtest: Backtest) -> None:
    theirs = read("system_b", "forecast_correlations_pooled").set_index(["period_start", "a", "b"])["corr"]
    found = backtest.combined.diversification.correlations("CORN")
    assert len(found) == theirs.index.get_level_values(0).nunique()
    for period, matrix in found:
        wanted = theirs.loc[period.period_start].unstack().loc[list(matrix.columns), list(matrix.columns)]
        np.testing.assert_allclose(matrix.values, wanted.to_numpy(), rtol=1e-8, atol=1e-12)


def test_weights_of_rules(backtest: Backtest) -> None:
    for code, theirs in read("system_b", "forecast_weights_raw_monthly").groupby("instrument"):
        assert_same(backtest.forecast_weight_tables[str(code)], pivoted(theirs, "weight", "rule"), SEARCH, absolute=DUST)
    weights = pivoted(read("system_b", "forecast_weights"), "weight", "instrument", "rule")
    assert_same(backtest.stage("forecast_weights"), weights, SEARCH, absolute=DUST)


def test_multiplier_and_combined_forecast(backtest: Backtest) -> None:
    assert_same(backtest.stage("fdm"), wide("fdm"), 1e-6)
    assert_same(backtest.stage("combined_forecast"), wide("combined_forecast"), 1e-3, absolute=DUST)


def test_profit_and_loss_of_each_instrument_traded_alone(backtest: Backtest) -> None:
    assert_same(backtest.stage("subsystem_position"), wide("subsystem_position"), 1e-3, absolute=DUST)
    assert_same(backtest.subsystem_accounts.net, wide("pandl_across_subsystems_daily"))


def test_correlations_weights_and_multiplier_of_instruments(backtest: Backtest) -> None:
    theirs = read("system_b", "instrument_correlations").set_index(["period_start", "a", "b"])["corr"]
    for period, matrix in backtest.portfolio.estimates.correlations:
        wanted = theirs.loc[period.period_start].unstack().loc[list(matrix.columns), list(matrix.columns)]
        np.testing.assert_allclose(matrix.values, wanted.to_numpy(), rtol=1e-8, atol=1e-12)
    assert_same(backtest.portfolio.estimates.table, wide("instrument_weights_raw"), SEARCH, absolute=DUST)
    assert_same(backtest.stage("instrument_weights"), wide("instrument_weights"), SEARCH, absolute=DUST)
    assert_same(backtest.stage("idm"), wide("idm"), SEARCH)


def test_positions_and_profit_and_loss(backtest: Backtest) -> None:
    assert_same(backtest.stage("notional_position"), wide("notional_position"), 1e-3, absolute=DUST)
    bands = read("system_b", "buffers").rename(columns={"top_pos": "upper", "bot_pos": "lower"})
    theirs = bands.pivot(index="date", columns="instrument", values=["upper", "lower"]).swaplevel(axis=1)
    assert_same(backtest.stage("buffers"), theirs, 1e-3, absolute=DUST)
    assert_same(backtest.stage("portfolio_pandl"), wide("portfolio_pandl"))


def test_exact_optima_lie_close_to_what_the_search_finds(exact: Backtest) -> None:
    for code, theirs in read("system_b", "forecast_weights_raw_monthly").groupby("instrument"):
        assert_same(exact.forecast_weight_tables[str(code)], pivoted(theirs, "weight", "rule"), 0.0, absolute=5e-3)
    assert_same(exact.stage("fdm"), wide("fdm"), 0.0, absolute=3e-3)
    assert_same(exact.stage("combined_forecast"), wide("combined_forecast"), 0.0, absolute=0.15)
