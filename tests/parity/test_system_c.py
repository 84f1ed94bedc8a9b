"""Thirty-six rules with attenuation, pooled scalars, estimated multipliers and the risk overlay give the reference's figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import SHARED, needs_shared
from tests.parity.figures import GOLDEN, assert_same, assert_same_rows, read
from tradeflow_core.strategy import Backtest, BacktestData, StrategyConfig, load_strategy, run_backtest
from tradeflow_core.strategy.config.estimates import RiskOverlay

pytestmark = needs_shared("golden", "system_c")


@pytest.fixture(scope="module")
def data() -> BacktestData:
    return BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")


@pytest.fixture(scope="module")
def config() -> StrategyConfig:
    return load_strategy(GOLDEN / "system_c" / "config_static_no_overlay.yaml")


@pytest.fixture(scope="module")
def backtest(config: StrategyConfig, data: BacktestData) -> Backtest:
    return run_backtest(config, data)


@pytest.fixture(scope="module")
def tight(config: StrategyConfig, data: BacktestData) -> Backtest:
    limits = RiskOverlay(
        max_risk_fraction_normal_risk=1.2,
        max_risk_fraction_stdev_risk=3.0,
        max_risk_limit_sum_abs_risk=2.5,
        max_risk_leverage=10,
    )
    return run_backtest(config.model_copy(update={"risk_overlay": limits}), data)


def wide(name: str, folder: str = "system_c") -> pd.DataFrame:
    return read(folder, name).set_index("date")


def bands(table: pd.DataFrame) -> pd.DataFrame:
    renamed = table.rename(columns={"top_pos": "upper", "bot_pos": "lower"})
    return renamed.pivot(index="date", columns="instrument", values=["upper", "lower"]).swaplevel(axis=1)


def test_scalars_are_pooled_over_all_instruments(backtest: Backtest) -> None:
    theirs = wide("forecast_scalars_pooled_every20rows")
    for rule in theirs.columns:
        ours = backtest.forecasts.of(str(rule)).scalars.values.max(axis=1).reindex(theirs.index)
        np.testing.assert_allclose(ours, theirs[rule], rtol=1e-10)


def test_capped_forecasts(backtest: Backtest) -> None:
    assert_same_rows(
        backtest.stage("capped_forecast"), read("system_c", "forecasts_capped_tail60"), "forecast", "instrument", "rule"
    )


def test_weights_of_rules(backtest: Backtest) -> None:
    theirs = read("system_c", "forecast_weights_head100_tail100_3instr")
    long = theirs.melt(["date", "instrument"], var_name="rule", value_name="weight")
    assert_same_rows(backtest.stage("forecast_weights"), long, "weight", "instrument", "rule")


def test_multiplier_and_combined_forecast(backtest: Backtest) -> None:
    assert_same_rows(backtest.stage("fdm"), read("system_c", "fdm_head300_tail600"), "fdm", "instrument")
    assert_same(backtest.stage("combined_forecast"), wide("combined_forecast"))


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("subsystem_position", "subsystem_position"),
        ("instrument_weights", "instrument_weights_every5rows"),
        ("idm", "idm"),
        ("notional_position", "notional_position"),
        ("buffered_position_rounded", "buffered_position_rounded"),
        ("portfolio_pandl", "portfolio_pandl"),
    ],
)
def test_a_stage_of_the_portfolio(stage: str, file: str, backtest: Backtest) -> None:
    assert_same(backtest.stage(stage), wide(file))


def test_buffers(backtest: Backtest) -> None:
    assert_same(backtest.stage("buffers"), bands(read("system_c", "buffers")))


def test_the_risk_overlay_and_its_measures(config: StrategyConfig, data: BacktestData) -> None:
    limits = RiskOverlay.model_validate(yaml.safe_load((GOLDEN / "system_c" / "risk_overlay.yaml").read_text()))
    backtest = run_backtest(config.model_copy(update={"risk_overlay": limits}), data)
    assert_same(backtest.stage("risk_overlay"), wide("risk_overlay"))


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("risk_scalar", "risk_scalar"),
        ("notional_position", "notional_position"),
        ("buffered_position_rounded", "buffered_position"),
        ("portfolio_pandl", "portfolio_pandl"),
    ],
)
def test_tight_limits_scale_positions_on_half_of_the_days(stage: str, file: str, tight: Backtest) -> None:
    assert_same(tight.stage(stage), wide(f"system_c_tight_overlay_{file}", "more_positions"))


def test_buffers_under_tight_limits(tight: Backtest) -> None:
    assert_same(tight.stage("buffers"), bands(read("more_positions", "system_c_tight_overlay_buffers")))


def test_risk_of_the_contracts_held(tight: Backtest) -> None:
    held = tight.buffered_position
    risk = tight.portfolio.risk.of_held(held, tight.portfolio.days)
    theirs = wide("system_c_tight_overlay_risk_rounded_buffered", "more_positions")
    ours = pd.DataFrame({"rounded_buffered": risk.normal}, index=tight.stage("risk_overlay").index)
    assert_same(ours, theirs)
