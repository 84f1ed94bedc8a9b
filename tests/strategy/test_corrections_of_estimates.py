"""Each known flaw of estimates is corrected at its place, and only where the strategy says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.strategy.corrections import CARRY, TREND, changed, copies, pair, shows, strategy, with_facts, without_rows
from tests.strategy.long_markets import LIMITS
from tests.strategy.markets import instrument, market
from tradeflow_core.instruments import Costs
from tradeflow_core.strategy import Backtest, BacktestData
from tradeflow_core.strategy.forecasts.forecast_accounts import ForecastAccounts

DAYS = 1100
BOTH: dict[str, Any] = {"trading_rules": {**TREND, **CARRY}}
RULE_WEIGHTS: dict[str, Any] = {**BOTH, "use_forecast_weight_estimates": True}
SHARES: dict[str, Any] = {"use_instrument_weight_estimates": True}
PLAIN_MOMENTS = {name: {"using_exponent": False} for name in ("correlation_estimate", "mean_estimate", "vol_estimate")}


@pytest.fixture(scope="module")
def plain() -> BacktestData:
    """Three markets in dollars that trade once on every day."""
    return market(days=DAYS)


@pytest.fixture(scope="module")
def young(plain: BacktestData) -> BacktestData:
    """The same, but C starts after two years."""
    return without_rows(plain, "C", slice(0, 520))


def shares(backtest: Backtest) -> pd.DataFrame:
    return backtest.portfolio.estimates.table


def test_with_fixed_weights_and_multipliers_there_is_no_correlation_to_ask_for(plain: BacktestData) -> None:
    for backtest in pair("calendar_fits", plain):
        assert len(backtest.forecast_weight_tables["A"]) == len(shares(backtest)) == 1


# When, and from how much


@shows("calendar_fits")
def test_weights_change_at_new_year_whatever_the_last_day_is(plain: BacktestData) -> None:
    both = pair("calendar_fits", plain, **RULE_WEIGHTS)
    steps, years = (backtest.forecast_weight_tables["A"].index for backtest in both)
    assert list(years[1:]) == list(pd.to_datetime(["2012-01-01", "2013-01-01", "2014-01-01"]))
    last_week = plain.multiple_prices["A"].index[-1].normalize() + pd.offsets.Week(weekday=6)
    assert (last_week - steps[-1].floor("D")).days == 365
    short = {code: table.iloc[:150] for code, table in plain.multiple_prices.items()}
    one_year = strategy(BacktestData.from_frames(short, plain.fx, plain.instruments), ["calendar_fits"], **RULE_WEIGHTS)
    np.testing.assert_allclose(one_year.forecast_weight_tables["A"], [[1 / 3] * 3])


@shows("rolling_window")
def test_a_rolling_estimate_forgets_what_lies_before_its_window(plain: BacktestData) -> None:
    found = {}
    for method in ("expanding", "rolling"):
        section = {"date_method": method, "rollyears": 1, "interval_frequency": "12M"}
        both = pair("rolling_window", plain, use_instrument_div_mult_estimates=True, instrument_correlation_estimate=section)
        for name, backtest in zip(("reference", "corrected"), both, strict=True):
            found[method, name] = backtest.portfolio.estimates.correlations[-1][1].values
    np.testing.assert_array_equal(found["rolling", "reference"], found["expanding", "reference"])
    np.testing.assert_array_equal(found["expanding", "corrected"], found["expanding", "reference"])
    assert np.abs(found["rolling", "corrected"] - found["expanding", "corrected"]).max() > 1e-4


@shows("calendar_length")
def test_three_times_the_same_market_is_not_three_times_the_years() -> None:
    how = {**RULE_WEIGHTS, "forecast_weight_estimate": PLAIN_MOMENTS}
    tilt = {}
    for compat in ("pst", ["calendar_length"]):
        alone, pooled = (strategy(copies(codes), compat, **how).forecast_weight_tables["A"].iloc[-1] for codes in ("A", "ABC"))
        tilt[str(compat)] = (pooled.max() - 1 / 3) / (alone.max() - 1 / 3)
    assert tilt["pst"] > 1.1
    assert tilt["['calendar_length']"] == pytest.approx(1.0, abs=0.02)


@shows("missing_weeks")
def test_a_market_that_has_not_started_has_no_returns_instead_of_returns_of_nothing(
    plain: BacktestData, young: BacktestData
) -> None:
    reference, corrected = (shares(backtest) for backtest in pair("missing_weeks", young, **SHARES))
    early = reference.index[1] < young.multiple_prices["C"].index[0]
    assert early
    assert reference["C"].iloc[1] > 0.1
    assert np.isnan(corrected["C"].iloc[1])
    always = [shares(backtest) for backtest in pair("missing_weeks", plain, **SHARES)]
    np.testing.assert_allclose(*always, atol=2e-4)  # but for the two weeks before the first volatility


# Costs


CEILING = 0.15
"""Above the cost of the fast rule in A while A moves as ever, below that in its calm last year."""


@pytest.fixture(scope="module")
def calmer(plain: BacktestData) -> BacktestData:
    """A moves a tenth as much in its last year, so that a trade costs ten times the risk."""
    table = plain.multiple_prices["A"]
    calm = np.where(np.arange(DAYS) < DAYS - 270, 1.0, 0.1)
    price = 200.0 + (table["PRICE"].diff().fillna(0.0) * calm).cumsum()
    moved = table[["PRICE", "CARRY", "FORWARD"]].add(price - table["PRICE"], axis=0)
    tables = {**plain.multiple_prices, "A": table.assign(**moved)}
    return BacktestData.from_frames(tables, plain.fx, plain.instruments)


@shows("costs_known_then")
def test_a_rule_is_too_expensive_from_the_year_on_in_which_that_is_known(calmer: BacktestData, plain: BacktestData) -> None:
    ceiling = {"forecast_post_ceiling_cost_SR": CEILING, "forecast_weight_ewma_span": 1}
    both = pair("costs_known_then", calmer, **ceiling)
    weights = [backtest.stage("forecast_weights")["A"]["fast"] for backtest in both]
    known = pd.Timestamp("2014-01-01")
    assert calmer.multiple_prices["A"].index[-1] > known
    assert weights[0].isna().all()
    np.testing.assert_allclose(weights[1][weights[1].index < known], 0.5)
    assert (weights[1][known:] == 0.0).all()
    assert not changed("forecast_weights", pair("costs_known_then", plain, forecast_post_ceiling_cost_SR=10)).any(axis=None)


def test_a_group_s_weight_goes_to_its_rules_that_were_cheap_then(calmer: BacktestData) -> None:
    groups = {"trend": {"fast": 0.5, "slow": 0.5}, "other": {"carry": 1.0}}
    first = {"apply_forecast_post_ceiling_cost_SR_before_weighting": True}
    tree = {"auto_weight_from_grouping": {"parameters": first, "groups": groups}}
    both = pair("costs_known_then", calmer, **BOTH, forecast_weights=tree, forecast_post_ceiling_cost_SR=CEILING)
    tables = [backtest.forecast_weight_tables["A"] for backtest in both]
    costs = both[1].rule_costs.loc["A", "sr_cost"]
    assert set(costs.index[costs > CEILING]) == {"fast"}
    assert list(tables[0].columns) == ["carry", "slow"]
    np.testing.assert_allclose(tables[1].iloc[0][["carry", "fast", "slow"]], [0.5, 0.25, 0.25])
    np.testing.assert_allclose(tables[1].loc["2014-01-01", ["carry", "fast", "slow"]], [0.5, 0.0, 0.5])


def test_a_market_too_expensive_to_trade_is_given_up_at_once_and_the_others_take_its_share(calmer: BacktestData) -> None:
    ceiling = {"forecast_post_ceiling_cost_SR": 0.06, "instrument_weight_ewma_span": 1}
    backtest = strategy(calmer, ["costs_known_then", "started_instruments"], **ceiling)
    of_costs = backtest.forecast_weight_tables["A"].sum(axis=1)
    given_up = of_costs.index[of_costs == 0.0]
    assert list(given_up) == [pd.Timestamp("2014-01-01")]
    after = backtest.stage("instrument_weights").loc[given_up[0] :]
    np.testing.assert_allclose(after["A"], 0.0)
    assert (backtest.stage("subsystem_position").loc[given_up[0] :, "A"] == 0.0).all()
    assert (backtest.stage("subsystem_position").loc["2013-06-01":"2013-12-31", "A"].abs() > 0.0).all()


def test_compounding_at_costs_known_then_takes_each_trade_at_the_costs_of_its_day(plain: BacktestData) -> None:
    compounding = {"capital_multiplier": {"func": "full_compounding"}}
    both = pair("costs_known_then", plain, **compounding)
    as_paid = strategy(plain, ["costs_known_then"], **compounding, vol_normalise_currency_costs=False)
    gained = [backtest.stage("capital_multiplier").iloc[-1].item() for backtest in (*both, as_paid)]
    assert gained[1] != gained[0]
    assert gained[1] == pytest.approx(gained[2], rel=1e-9)
    assert not changed("instrument_pandl", both).any(axis=None)


@shows("costs_over_all_days")
def test_days_without_a_trade_make_a_market_cheaper() -> None:
    cheap = market("AB", DAYS)
    dear = with_facts(cheap, {"B": replace(instrument("B"), costs=Costs(spread_cost=0.1))})
    unequal = {**SHARES, "instrument_weight_estimate": {"method": "shrinkage", "equalise_SR": False}}
    both = [pair("costs_over_all_days", data, **unequal) for data in (cheap, dear)]
    lost = [shares(before)["B"].iloc[-1] - shares(after)["B"].iloc[-1] for before, after in zip(*both, strict=True)]
    assert 0.0 < lost[1] < 0.7 * lost[0]
    equal = pair("costs_over_all_days", dear, **SHARES)
    np.testing.assert_allclose(shares(equal[0]), shares(equal[1]))


@shows("cost_pooling")
def test_pooled_turnover_is_priced_at_the_instrument_s_own_cost_per_trade(plain: BacktestData) -> None:
    costs = {"cost_multiplier": 20.0, "method": "one_period", "equalise_SR": False}
    estimate = {**RULE_WEIGHTS, "forecast_weight_estimate": costs}
    both = pair("cost_pooling", plain, **estimate)
    for backtest, clean in zip(both, (False, True), strict=True):
        table = backtest.rule_costs.loc["A"]
        charged = -backtest.combined.tables.estimates._cost_sharpe("A", ("carry", "fast", "slow"))
        own = table["turnover"] * backtest.rule_costs.loc["A", "trading"] / table["turnover"] + table["holding"]
        assert np.allclose(charged, own) is clean
    assert not both[0].forecast_weight_tables["A"].equals(both[1].forecast_weight_tables["A"])
    alone = market("A", DAYS)
    without = pair("cost_pooling", alone, **estimate)
    pd.testing.assert_frame_equal(*(backtest.forecast_weight_tables["A"] for backtest in without))


@shows("fx_neutral_forecast_pandl")
def test_a_rule_earns_as_much_in_a_market_in_another_currency() -> None:
    same = copies("AB", 400)
    rate = pd.Series(0.01, index=pd.bdate_range("2010-01-01", periods=420))
    abroad = BacktestData.from_frames(
        same.multiple_prices, {"JPYUSD": rate}, {**same.instruments, "B": instrument("B", currency="JPY")}
    )
    for backtest, factor in zip(pair("fx_neutral_forecast_pandl", abroad), (0.01, 1.0), strict=True):
        gross = ForecastAccounts(backtest.forecasts, backtest.config).of("fast", np.zeros(2)).gross.values
        assert gross["A"].abs().sum() > 0
        np.testing.assert_allclose(gross["B"], factor * gross["A"], atol=1e-9)


# Optimisation


@shows("exact_optimiser")
def test_weights_are_the_optimum_itself_which_the_search_only_comes_near(plain: BacktestData) -> None:
    how = {**RULE_WEIGHTS, "forecast_weight_estimate": {"method": "shrinkage"}}
    searched, exact = (backtest.forecast_weight_tables["A"] for backtest in pair("exact_optimiser", plain, **how))
    distance = (exact - searched).abs().max().max()
    assert 0 < distance < 0.005
    np.testing.assert_allclose(exact.sum(axis=1), 1.0)


@shows("lone_asset")
def test_the_risk_of_a_strategy_of_one_market_is_known(plain: BacktestData) -> None:
    one = market("A", 500)
    tight = {"risk_overlay": LIMITS, "percentage_vol_target": 20.0}
    reference, corrected = (backtest.stage("risk_overlay")["normal_risk"] for backtest in pair("lone_asset", one, **tight))
    position = strategy(one, "pst", **tight).stage("position_before_overlay")["A"]
    held = position.abs() > 0
    assert held.sum() > 400
    assert (reference[held] == 0.0).mean() > 0.9
    assert (corrected[held] > 0.0).all()
    assert not changed("risk_overlay", pair("lone_asset", plain, **tight)).any(axis=None)


@shows("current_weights")
def test_a_multiplier_follows_a_market_that_joins_during_the_year(plain: BacktestData, young: BacktestData) -> None:
    estimated = {"use_instrument_div_mult_estimates": True, "instrument_div_mult_estimate": {"ewma_span": 1}}
    reference, corrected = (backtest.stage("idm")["idm"] for backtest in pair("current_weights", young, **estimated))
    starts = [period.period_start for period, _ in strategy(young, "pst", **estimated).portfolio.estimates.correlations]
    joined = young.multiple_prices["C"].index[0] + pd.Timedelta(days=30)
    year = slice(joined, next(start for start in starts if start > joined) - pd.Timedelta(days=1))
    assert len(reference.loc[year]) > 30
    assert reference.loc[year].nunique() == 1
    assert corrected.loc[year].nunique() == len(corrected.loc[year])
    assert not changed("idm", pair("current_weights", plain, **estimated)).iloc[400:].any(axis=None)
