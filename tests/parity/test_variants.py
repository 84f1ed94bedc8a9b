"""Nine strategies, from nothing pooled to an hourly rule, give the reference's figures up to the combined forecast."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import SHARED, needs_shared
from tests.parity.figures import GOLDEN, assert_same, assert_same_rows, pivoted, read
from tradeflow_core.strategy import Backtest, BacktestData, run_backtest, strategy_from_dict

pytestmark = needs_shared("golden", "more")

SEARCHED = ("v1_unpooled_shrinkage", "v2_rolling_one_period", "v3_ceiling_costweight", "v7_base_eur_variations")
"""Their weights come from a numerical search, whose last digits depend on the library's version."""

SEARCH, EXACT = (1e-4, 1e-6), (1e-8, 1e-14)
"""Relative tolerance, and the absolute difference that is none."""

VARIANTS = (
    "v1_unpooled_shrinkage",
    "v2_rolling_one_period",
    "v3_ceiling_costweight",
    "v4_fixed_forms",
    "v5_autogroup_skew",
    "v6_equal_nofw",
    "v7_base_eur_variations",
    "v8_hierarchy_fdm_inst",
    "v9_hourly_rule",
)


@cache
def data() -> BacktestData:
    return BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")


@cache
def backtest(variant: str) -> Backtest:
    settings = yaml.safe_load((GOLDEN / "more" / "variants.yaml").read_text())[variant]
    return run_backtest(strategy_from_dict(settings), data())


@pytest.mark.parametrize("variant", VARIANTS)
def test_costs_and_turnover_of_rules(variant: str) -> None:
    theirs = read("more", f"{variant}_SR_cost_and_turnover").set_index(["instrument", "rule"])
    ours = backtest(variant).rule_costs.loc[theirs.index]
    np.testing.assert_allclose(ours["sr_cost"], theirs["SR_cost"], rtol=1e-9)
    np.testing.assert_allclose(ours["turnover"], theirs["turnover"], rtol=1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_scalars_and_capped_forecasts(variant: str) -> None:
    scalars = read("more", f"{variant}_forecast_scalar_every25rows")
    assert_same_rows(backtest(variant).stage("forecast_scalar"), scalars, "forecast_scalar", "instrument", "rule")
    capped = read("more", f"{variant}_forecasts_capped_tail400")
    assert_same_rows(backtest(variant).stage("capped_forecast"), capped, "forecast", "instrument", "rule")


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_before_they_are_smoothed(variant: str) -> None:
    tolerance, dust = SEARCH if variant in SEARCHED else EXACT
    tables = backtest(variant).forecast_weight_tables
    for code, theirs in read("more", f"{variant}_forecast_weights_raw").groupby("instrument"):
        wanted = pivoted(theirs, "weight", "rule")
        ours = tables[str(code)]
        assert_same(ours.set_axis(wanted.index) if len(ours) == 1 else ours, wanted, tolerance, absolute=dust)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_multiplier_and_combined_forecast(variant: str) -> None:
    tolerance, dust = SEARCH if variant in SEARCHED else EXACT
    weights = read("more", f"{variant}_forecast_weights_every25rows")
    ours = backtest(variant).stage("forecast_weights")
    assert_same_rows(ours, weights, "weight", "instrument", "rule", tolerance=tolerance, absolute=dust)
    multiplier = read("more", f"{variant}_fdm_every5rows")
    assert_same_rows(backtest(variant).stage("fdm"), multiplier, "fdm", "instrument", tolerance=tolerance)
    combined = read("more", f"{variant}_combined_forecast")
    ours = backtest(variant).stage("combined_forecast")
    # A sum of rules that nearly cancel is as exact as its terms are, not as itself.
    assert_same_rows(ours, combined, "forecast", "instrument", tolerance=tolerance, absolute=1e3 * dust)


def test_the_figures_are_those_of_different_strategies() -> None:
    one, other = (backtest(name).stage("combined_forecast") for name in ("v4_fixed_forms", "v6_equal_nofw"))
    assert not one.tail(100).equals(other.tail(100))
    assert isinstance(one.index, pd.DatetimeIndex)
