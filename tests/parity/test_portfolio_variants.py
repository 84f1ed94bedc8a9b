"""Other settings of the fixed-weight system, its P&L by rule and dynamic optimisation give the reference's figures."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import SHARED, needs_shared
from tests.parity.figures import GOLDEN, assert_same, pivoted, read
from tradeflow_core.strategy import Backtest, BacktestData, load_strategy, run_backtest
from tradeflow_core.strategy.config.estimates import CapitalMultiplier
from tradeflow_core.strategy.positions.rule_accounts import Weighting

pytestmark = needs_shared("golden", "more_positions")


@cache
def data() -> BacktestData:
    return BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")


def system_a(**settings: Any) -> Backtest:
    config = load_strategy(GOLDEN / "system_a" / "futuresconfig.yaml")
    return run_backtest(config.model_copy(update=settings), data())


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    return system_a()


def wide(name: str, folder: str = "more_positions") -> pd.DataFrame:
    return read(folder, name).set_index("date")


def test_turnover_and_costs_of_rules(backtest: Backtest) -> None:
    theirs = read("system_a", "forecast_turnover_and_cost").set_index(["instrument", "rule"])
    ours = backtest.rule_costs.loc[theirs.index]
    np.testing.assert_allclose(ours["turnover"], theirs["forecast_turnover_pooled"], rtol=1e-10)
    np.testing.assert_allclose(ours["sr_cost"], theirs["SR_cost_forecast"], rtol=1e-10)


@pytest.mark.parametrize("code", ["CORN", "SOFR"])
def test_profit_and_loss_of_a_forecast(code: str, backtest: Backtest) -> None:
    tables = backtest.rule_accounts.forecast("carry", "unweighted")
    ours = pd.DataFrame({part: table[code] for part, table in tables.items()})
    assert_same(ours, wide(f"pandl_forecast_carry_{code}", "system_a"))


@pytest.mark.parametrize("rule", ["carry", "ewmac16_64"])
@pytest.mark.parametrize("weighting", ["weighted", "within_rule", "unweighted"])
def test_profit_and_loss_of_a_rule(weighting: Weighting, rule: str, backtest: Backtest) -> None:
    theirs = read("more_positions", f"system_a_pandl_trading_rule_{rule}").query("kind == @weighting")
    assert_same(backtest.rule_accounts.of_rule(rule, weighting), theirs.set_index("date")[["gross", "costs", "net"]])


def test_profit_and_loss_by_instrument_and_rule(backtest: Backtest) -> None:
    assert_same(backtest.rule_accounts.of_instrument("CORN"), wide("system_a_pandl_instrument_rules_CORN"))
    assert_same(backtest.rule_accounts.total, wide("system_a_pandl_all_trading_rules"))
    ours = pd.DataFrame({part: table["CORN"] for part, table in backtest.rule_accounts.forecast("carry").items()})
    theirs = wide("system_a_pandl_forecast_weighted_CORN_carry")
    assert_same(ours, theirs[["gross", "costs", "net"]])


@pytest.mark.parametrize("by_sharpe_ratio", [False, True])
def test_profit_and_loss_of_instruments_traded_alone(*, by_sharpe_ratio: bool) -> None:
    theirs = read("more_positions", "system_a_pandl_subsystem").query("SR_costs == @by_sharpe_ratio")
    ours = system_a(use_SR_costs=by_sharpe_ratio).subsystem_accounts.by_instrument
    for code, table in theirs.groupby("instrument"):
        assert_same(ours[code], table.set_index("date")[["gross", "costs", "net"]])


@pytest.mark.parametrize("method", ["fixed_capital", "full_compounding", "half_compounding"])
def test_capital_that_follows_profits(method: str) -> None:
    backtest = system_a(capital_multiplier=CapitalMultiplier(func=method))
    factor = wide(f"capital_multiplier_{method}", "system_a")[["capital_multiplier"]]
    assert_same(backtest.stage("capital_multiplier"), factor)
    assert_same(backtest.stage("actual_pandl")[["net"]], wide("capital_multiplier_pandl")[[method]].set_axis(["net"], axis=1))
    positions = read("more_positions", "capital_multiplier_positions").query("which == @method").set_index("date")
    assert_same(backtest.actual_accounts.positions.values, positions.drop(columns="which"))


ESTIMATES: dict[str, dict[str, Any]] = {
    "SR_adjusted": {"equalise_SR": False},
    "shrinkage_SR": {"method": "shrinkage", "shrinkage_SR": 0.5, "shrinkage_corr": 0.2, "equalise_SR": False},
    "rolling5": {"date_method": "rolling", "rollyears": 5},
    "cost_weight": {"apply_cost_weight": True},
    "no_cleaning": {"cleaning": False},
    "equalise_gross_cost2": {"method": "one_period", "equalise_gross": True, "cost_multiplier": 2.0, "equalise_SR": False},
}


@pytest.mark.parametrize("case", ESTIMATES)
def test_estimated_weights_of_instruments(case: str) -> None:
    section = system_a().config.instrument_weight_estimate.model_copy(update=ESTIMATES[case])
    backtest = system_a(use_instrument_weight_estimates=True, instrument_weight_estimate=section)
    theirs = read("more_positions", "system_a_estimated_weights_variants").query("case == @case")
    assert_same(backtest.portfolio.estimates.table, pivoted(theirs, "weight", "instrument"), 1e-3, absolute=1e-5)


def test_two_instruments_without_weight_and_one_held_long_only() -> None:
    backtest = system_a(
        use_instrument_weight_estimates=True,
        use_instrument_div_mult_estimates=True,
        allocate_zero_instrument_weights_to_these_instruments=("US10", "V2X"),
        long_only_instruments=("MXP",),
    )
    assert_same(backtest.portfolio.estimates.table, wide("system_a_estimated_zero_two_weights_raw"), 1e-4, absolute=1e-6)
    assert_same(backtest.stage("instrument_weights"), wide("system_a_estimated_zero_two_weights"), 1e-4, absolute=1e-6)
    assert_same(backtest.stage("idm"), wide("system_a_estimated_zero_two_idm"), 1e-4)


@cache
def with_two_more_markets() -> BacktestData:
    """The folder's data and the two instruments that the dynamic backtest needs beside them."""
    prices, contracts = (
        read("more_positions", f"dynopt_backtest_input_{kind}_prices_EUR_KR10") for kind in ("adjusted", "multiple")
    )
    adjusted = {str(code): one.set_index("date")["price"] for code, one in prices.groupby("instrument")}
    multiple = {str(code): one.set_index("date").drop(columns="instrument") for code, one in contracts.groupby("instrument")}
    base = data()
    return replace(
        base,
        adjusted_prices={**dict(base.adjusted_prices), **adjusted},
        multiple_prices={**dict(base.multiple_prices), **multiple},
    )


@pytest.fixture(scope="module")
def dynamic() -> Backtest:
    config = load_strategy(GOLDEN / "dynopt" / "backtest_config.yaml")
    return run_backtest(config.model_copy(update={"dynamic_optimisation": True}), with_two_more_markets())


def test_inputs_of_dynamic_optimisation(dynamic: Backtest) -> None:
    days = dynamic.raw_data.calendar.days[dynamic.portfolio.days]
    assert_same(dynamic.stage("position_before_overlay"), wide("backtest_notional_positions", "dynopt"))
    values = pd.DataFrame(dynamic.dynamic.contract_value, index=days, columns=dynamic.instruments)
    assert_same(values, wide("backtest_per_contract_value", "dynopt"))
    costs = pd.DataFrame(dynamic.dynamic.costs, index=days, columns=dynamic.instruments)
    today = read("dynopt", "backtest_costs").set_index("instrument")["cost_per_notional_weight"]
    assert_same(costs / today, wide("backtest_cost_deflator", "dynopt"))


def test_positions_and_profit_and_loss_of_dynamic_optimisation(dynamic: Backtest) -> None:
    theirs = wide("backtest_optimised_positions", "dynopt")
    pd.testing.assert_frame_equal(
        dynamic.stage("optimised_position")[theirs.columns], theirs, check_names=False, check_freq=False, check_dtype=False
    )
    assert_same(dynamic.stage("portfolio_pandl"), wide("backtest_pandl", "dynopt"))
