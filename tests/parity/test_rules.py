"""Rule functions give the reference's figures: alone, and fed by the engine from prices on."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from tests.conftest import SHARED, needs_shared
from tests.parity.figures import GOLDEN, assert_same, read
from tradeflow_core.strategy import Backtest, BacktestData, load_strategy, run_backtest, strategy_from_dict
from tradeflow_core.strategy.common.panel import Panel
from tradeflow_core.strategy.inputs import factors
from tradeflow_core.strategy.rules import RULES

pytestmark = needs_shared("golden", "rules")

PRICES = "daily_prices"
VOL = "daily_returns_volatility"
OWN = "cumulative_daily_vol_normalised_returns"
CLASS = "normalised_price_for_asset_class"
SKEW = "demeaned_neg_skew_365_historic_average_factor_value_all_assets"
SKEW_IN_CLASS = "demeaned_neg_skew_180_average_factor_value_in_asset_class_for_instrument"
CALLS: dict[str, tuple[str, tuple[str, ...], dict[str, int]]] = {
    "ewmac(2,8)": ("ewmac", (PRICES, VOL), {"Lfast": 2, "Lslow": 8}),
    "ewmac(16,64)": ("ewmac", (PRICES, VOL), {"Lfast": 16, "Lslow": 64}),
    "ewmac(64,256)": ("ewmac", (PRICES, VOL), {"Lfast": 64, "Lslow": 256}),
    "ewmac_calc_vol(16,64) on cum_norm_returns": ("ewmac_calc_vol", (OWN,), {"Lfast": 16, "Lslow": 64}),
    "ewmac_calc_vol(32,128) on asset class price": ("ewmac_calc_vol", (CLASS,), {"Lfast": 32, "Lslow": 128}),
    "ewmac_forecast_with_defaults": ("ewmac_calc_vol", (PRICES,), {}),
    "ewmac_forecast_with_defaults_no_vol": ("ewmac_with_defaults", (PRICES, VOL), {}),
    "breakout(10)": ("breakout", (PRICES,), {"lookback": 10}),
    "breakout(40)": ("breakout", (PRICES,), {"lookback": 40}),
    "breakout(320)": ("breakout", (PRICES,), {"lookback": 320}),
    "breakout(40,smooth=5)": ("breakout", (PRICES,), {"lookback": 40, "smooth": 5}),
    "carry(90)": ("carry", ("raw_carry",), {"smooth_days": 90}),
    "carry(10)": ("carry", ("raw_carry",), {"smooth_days": 10}),
    "relative_carry": ("relative_carry", ("smoothed_carry", "median_carry_for_asset_class"), {}),
    "accel(4)": ("accel", (PRICES, VOL), {"Lfast": 4}),
    "accel(32)": ("accel", (PRICES, VOL), {"Lfast": 32}),
    "mr_wings(4)": ("mr_wings", (PRICES, VOL), {"Lfast": 4}),
    "cs_mr(250)": ("cross_sectional_mean_reversion", (OWN, CLASS), {"horizon": 250}),
    "cs_mr(1000)": ("cross_sectional_mean_reversion", (OWN, CLASS), {"horizon": 1000}),
    "relmom(20)": ("relative_momentum", (OWN, CLASS), {"horizon": 20}),
    "relmom(250)": ("relative_momentum", (OWN, CLASS), {"horizon": 250}),
    f"factor(90) on {SKEW}": ("factor_trading_rule", (SKEW,), {"smooth": 90}),
    f"factor(45) on {SKEW_IN_CLASS}": ("factor_trading_rule", (SKEW_IN_CLASS,), {"smooth": 45}),
    "conditioned_factor(90)": ("conditioned_factor_trading_rule", (SKEW, SKEW_IN_CLASS), {"smooth": 90}),
}


def given(item: str) -> pd.DataFrame:
    if item == "smoothed_carry":
        return RULES["carry"](given("raw_carry"), smooth_days=90)
    return read("rules", f"input_{item}").set_index("date")


def on_rows_of(ours: Panel, theirs: pd.DataFrame, value: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ours and theirs by (date, instrument), on the rows that theirs has."""
    wanted = theirs.set_index(["date", "instrument"])[[value]]
    stacked = ours.values.stack(future_stack=True).to_frame(value)
    return stacked.reindex(wanted.index), wanted


@pytest.fixture(scope="module")
def outputs() -> pd.DataFrame:
    return read("rules", "output_functions_head300_tail600")


@pytest.fixture(scope="module")
def data() -> BacktestData:
    return BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")


@pytest.fixture(scope="module")
def thirty_six_rules(data: BacktestData) -> Backtest:
    return run_backtest(load_strategy(GOLDEN / "system_c" / "config_static_no_overlay.yaml"), data)


def test_every_call_of_the_reference_is_compared(outputs: pd.DataFrame) -> None:
    assert set(CALLS) == set(outputs["rule"])


@pytest.mark.parametrize("call", CALLS)
def test_a_rule_equals_the_reference(call: str, outputs: pd.DataFrame) -> None:
    name, inputs, arguments = CALLS[call]
    tables = [given(item) for item in inputs]
    table = RULES[name](*tables, **arguments)
    theirs = outputs[outputs["rule"] == call].set_index(["date", "instrument"])[["forecast"]]
    ours = table.stack(future_stack=True).to_frame("forecast").reindex(theirs.index)
    assert_same(ours, theirs)


@pytest.mark.parametrize("call", CALLS)
def test_a_rule_gives_one_instrument_alone_what_it_gives_it_among_others(call: str) -> None:
    name, inputs, arguments = CALLS[call]
    tables = [given(item) for item in inputs]
    among_others = RULES[name](*tables, **arguments)["EUROSTX"]
    alone = RULES[name](*(table["EUROSTX"] for table in tables), **arguments)
    pd.testing.assert_series_equal(alone, among_others, check_names=False, rtol=1e-12)


def test_skewness_and_kurtosis_equal_the_reference() -> None:
    returns = given("daily_percentage_returns")
    assert_same(-factors.skew(returns, 180), read("rules", "output_neg_skew_180D").set_index("date"))
    assert_same(factors.kurtosis(returns, 365), read("rules", "output_kurtosis_365D").set_index("date"))


RAW = "forecasts_raw_head60_tail250"


@needs_shared("golden", "system_c")
def test_thirty_six_rules_from_prices_on_equal_the_reference(thirty_six_rules: Backtest) -> None:
    by_rule = dict(list(read("system_c", RAW).groupby("rule")))
    assert set(by_rule) == set(thirty_six_rules.forecasts.rules)
    for rule, theirs in by_rule.items():
        assert_same(*on_rows_of(thirty_six_rules.forecasts.of(str(rule)).raw, theirs, "forecast"))


@needs_shared("golden", "system_c")
def test_attenuation_by_volatility_equals_the_reference(thirty_six_rules: Backtest) -> None:
    theirs = read("system_c", "vol_attenuation_head300_tail600")
    assert_same(*on_rows_of(thirty_six_rules.raw_data.attenuation, theirs, "vol_attenuation"))


SKEW_RULES = ("skewabs365", "skewrv180", "skewown")


@needs_shared("golden", "more")
def test_skew_rules_with_all_four_ways_of_demeaning_equal_the_reference(data: BacktestData) -> None:
    name = "v5_autogroup_skew"
    settings = yaml.safe_load((GOLDEN / "more" / "variants.yaml").read_text())[name]
    backtest = run_backtest(strategy_from_dict(settings, name), data)
    theirs = read("more", f"{name}_forecasts_capped_tail400")
    for rule in SKEW_RULES:
        assert_same(*on_rows_of(backtest.forecasts.of(rule).capped, theirs[theirs["rule"] == rule], "forecast"))
