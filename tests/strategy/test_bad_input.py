"""Whole backtests of bad input: a sentence that says what is wrong and what to do, or figures without it and a caveat that says so.

Every case is run as the reference and with all corrections, with fixed weights, with everything estimated, and with dynamic optimisation; a
warning of NumPy or pandas fails the test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.strategy.corrections import CARRY, TREND, with_facts
from tests.strategy.long_markets import ESTIMATES
from tests.strategy.markets import euros, instrument, market
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.instruments import Costs
from tradeflow_core.strategy import Backtest, BacktestData, load_strategy, run_backtest, strategy_from_dict
from tradeflow_core.strategy.results.summary import summarise
from tradeflow_core.strategy.stages import STAGES

pytestmark = [pytest.mark.filterwarnings("error::RuntimeWarning"), pytest.mark.filterwarnings("error::FutureWarning")]

DAYS = 560
PRICES = ["PRICE", "CARRY", "FORWARD"]
LIMITS = {
    "max_risk_fraction_normal_risk": 1.4,
    "max_risk_fraction_stdev_risk": 3.6,
    "max_risk_limit_sum_abs_risk": 3.4,
    "max_risk_leverage": 13,
}
KINDS: dict[str, dict[str, Any]] = {
    "static": {"risk_overlay": LIMITS},
    "estimated": {**ESTIMATES, "forecast_scalar_estimate": {"min_periods": 50}, "risk_overlay": LIMITS},
    "dynamic": {"dynamic_optimisation": True},
}
FINITE = (
    "combined_forecast",
    "average_position",
    "subsystem_position",
    "instrument_weights",
    "idm",
    "notional_position",
    "buffers",
)
WAYS = pytest.mark.parametrize(("kind", "compat"), [(kind, compat) for kind in KINDS for compat in ("pst", "fixed")])


@cache
def good() -> BacktestData:
    return market("ABC", DAYS)


def with_table(change: Callable[[pd.DataFrame], pd.DataFrame]) -> BacktestData:
    tables = {**good().multiple_prices, "B": change(good().multiple_prices["B"].copy())}
    return BacktestData.from_frames(tables, good().fx, good().instruments)


def in_euros(rate: pd.Series) -> BacktestData:
    facts = {**good().instruments, "B": instrument("B", currency="EUR")}
    return BacktestData.from_frames(good().multiple_prices, {"EURUSD": rate}, facts)


def with_instrument(**facts: Any) -> BacktestData:
    return with_facts(good(), {"B": replace(instrument("B"), **facts)})


def strategy(data: BacktestData, kind: str, compat: str, **settings: Any) -> Backtest:
    tree = {"compat": compat, "trading_rules": {**TREND, **CARRY}, **KINDS[kind], **settings}
    return run_backtest(strategy_from_dict(tree, "my.yaml"), data)


def everything_of(backtest: Backtest) -> set[tuple[str, str]]:
    """Computes all stages, and tells the caveats: (instrument, kind)."""
    for stage in STAGES:
        if stage != "optimised_position" or backtest.config.dynamic_optimisation:
            backtest.stage(stage)
    backtest.latest()
    return {(one.instrument, one.kind) for one in summarise(backtest).shortcomings}


def doubled(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table]).sort_index()


# What is refused

REFUSED_DATA: dict[str, tuple[Callable[[], BacktestData], dict[str, Any], type[Exception], str]] = {
    "a weighted instrument without prices": (
        *(good, {"instrument_weights": {"A": 0.5, "X": 0.5}}, DataError),
        "no adjusted prices for X: add them to the data, or exclude",
    ),
    "a listed instrument without prices": (good, {"instruments": ["A", "X"]}, DataError, "no adjusted prices for X: add them"),
    "prices without facts": (
        lambda: BacktestData.from_frames(good().multiple_prices, good().fx, {code: instrument(code) for code in "AC"}),
        *({}, DataError, "instrument B has prices but no facts .*: add it to the table"),
    ),
    "no price at all": (
        lambda: BacktestData.from_frames(
            {code: table.iloc[:0] for code, table in good().multiple_prices.items()}, good().fx, good().instruments
        ),
        *({}, DataError, "no prices since 1900-01-01 for any of A, B, C: add prices or move start_date"),
    ),
    "a start date after all prices": (
        good,
        {"start_date": "2050-01-01"},
        DataError,
        "no prices since 2050-01-01 .* move start_date",
    ),
    "stamps that occur twice": (
        *(lambda: with_table(doubled), {}, DataError),
        "instrument B: multiple prices have stamps more than once, the first at 2010-01-04 23:00:00: keep one",
    ),
    "a column that is missing": (
        *(lambda: with_table(lambda table: table.drop(columns="CARRY")), {}, DataError),
        "multiple prices of B: columns missing: CARRY",
    ),
    "an infinite price": (
        lambda: with_table(lambda table: table.assign(PRICE=table["PRICE"].where(np.arange(DAYS) != 300, np.inf))),
        *({}, DataError, "of B.*: infinite at 2011-02-28 23:00:00; drop or correct the price"),
    ),
    "an unknown currency": (
        *(lambda: with_instrument(currency="ZZZ"), {}, DataError),
        r"no FX rate for currency ZZZ \(needed by B\): give a series ZZZUSD",
    ),
    "an unknown base currency": (good, {"base_currency": "ZZZ"}, DataError, r"no FX rate for currency ZZZ \(needed by A\)"),
    "rates that are all missing": (
        *(lambda: in_euros(euros(DAYS) * np.nan), {}, DataError),
        r"no FX rate for currency EUR \(needed by B\): give a series EURUSD",
    ),
    "a rate of zero": (
        *(lambda: in_euros(euros(DAYS).where(np.arange(DAYS) != 9, 0.0)), {}, DataError),
        "FX series EURUSD: 0.0 at 2010-01-15 00:00:00 is not a rate; drop the row or correct it",
    ),
    "a negative rate": (*(lambda: in_euros(-euros(DAYS)), {}, DataError), "FX series EURUSD: -1.1.* is not a rate"),
    "a point size of zero": (
        *(lambda: with_instrument(point_size=0.0), {}, DataError),
        "instrument B: point size 0.0 is not above 0: correct it in the table",
    ),
    "a negative point size": (
        lambda: with_instrument(point_size=-50.0),
        {},
        DataError,
        "instrument B: point size -50.0 is not above 0",
    ),
    "an unknown cost": (
        *(lambda: with_instrument(costs=Costs(spread_cost=np.nan)), {}, DataError),
        "instrument B: spread_cost nan is not a cost: give a number of at least 0",
    ),
    "a negative cost": (
        lambda: with_instrument(costs=Costs(per_block=-2.0)),
        {},
        DataError,
        "instrument B: per_block -2.0 is not a cost",
    ),
    "an empty list of instruments": (
        good,
        {"instruments": []},
        ConfigError,
        "my.yaml: no instruments: give instrument_weights or",
    ),
    "every instrument ignored": (
        *(good, {"exclude_instrument_lists": {"ignore_instruments": ["A", "B", "C"]}}, ConfigError),
        "my.yaml: no instruments",
    ),
}


@WAYS
@pytest.mark.parametrize("case", REFUSED_DATA)
def test_data_that_cannot_be_traded_is_refused_in_a_sentence(case: str, kind: str, compat: str) -> None:
    data, settings, error, sentence = REFUSED_DATA[case]
    with pytest.raises(error, match=sentence):
        everything_of(strategy(data(), kind, compat, **settings))


GROUP = {"auto_weight_from_grouping": {"parameters": {}, "groups": {"x": {"A": 1, "B": -1}, "y": {"C": 1}}}}
REFUSED_LINES = {
    "instrument_weights: {A: 1.0, B: -0.5}": "instrument_weights: not a number of at least 0 for B",
    "instrument_weights: {A: 1.0, B: .nan}": "instrument_weights: not a number of at least 0 for B",
    "instrument_weights: {A: 1.0, B: much}": "instrument_weights: not a number of at least 0 for B",
    f"instrument_weights: {GROUP}": "instrument_weights: not a number of at least 0 for B",
    "forecast_weights: {trend: 1.5, carry: -0.5}": "forecast_weights: not a number of at least 0 for carry",
    "forecast_weights: {A: {trend: .inf}, B: {trend: 1}}": "forecast_weights: not a number of at least 0 for trend",
    "forecast_weights: {}": "forecast_weights: no rule is named; leave the key out to weigh all rules alike",
    "forecast_cap: 0": "forecast_cap: Input should be greater than 0; found 0",
    "forecast_cap: -20": "forecast_cap: Input should be greater than 0; found -20",
    "forecast_cap: .nan": "forecast_cap: Input should be a finite number; found nan",
    "forecast_scalar: .nan": "forecast_scalar: Input should be a finite number; found nan",
    "notional_trading_capital: .inf": "notional_trading_capital: Input should be a finite number; found inf",
    "percentage_vol_target: 0": "percentage_vol_target: Input should be greater than 0; found 0",
    "instrument_div_multiplier: 0": "instrument_div_multiplier: Input should be greater than 0; found 0",
    "volatility_calculation: {days: 1}": "volatility_calculation.days: Input should be greater than or equal to 2; found 1",
    "forecast_mapping: {A: {threshold: .nan, a_param: 1, b_param: 1}}": "forecast_mapping.A.threshold: Input should be a finite number",
}


@pytest.mark.parametrize("line", REFUSED_LINES)
def test_a_wrong_setting_is_refused_with_file_line_and_key(line: str, tmp_path: Any) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"trading_rules:\n  trend: {{function: breakout}}\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(f"{file}, line 3: {REFUSED_LINES[line]}")):
        load_strategy(file)


OWN = "tests.strategy.own_rules"


@WAYS
@pytest.mark.parametrize(
    ("function", "error", "sentence"),
    [
        ("raises", DataError, f"my.yaml: trading_rules.mine: {OWN}.raises, instrument B, failed: ZeroDivisionError: no luck"),
        ("an_array", ConfigError, f"my.yaml: trading_rules.mine: {OWN}.an_array, instrument A, returned a ndarray of shape"),
    ],
)
def test_a_rule_that_fails_or_returns_something_else_is_named(
    function: str, error: type[Exception], sentence: str, *, kind: str, compat: str
) -> None:
    rules = {"mine": {"function": f"{OWN}.{function}", "data": ["daily_price"]}}
    with pytest.raises(error, match=re.escape(sentence)):
        everything_of(strategy(good(), kind, compat, trading_rules=rules))


# What is left out, visibly


def all_missing(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**dict.fromkeys(PRICES, np.nan))


def flat_from(row: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.iloc[:row].reindex(table.index).ffill()

    return change


def years_missing(table: pd.DataFrame) -> pd.DataFrame:
    ids = {"PRICE_CONTRACT": 20200300.0, "CARRY_CONTRACT": 20200600.0, "FORWARD_CONTRACT": 20200600.0}
    return pd.concat([table.iloc[:120], table.iloc[480:]]).assign(**ids)


def at_zero(table: pd.DataFrame) -> pd.DataFrame:
    """Down to zero and below, and up again; zero itself several times."""
    level = 250.0 - np.abs(np.arange(DAYS) - 300.0)
    moved = (table[PRICES].sub(200.0, axis=0) / 10.0).add(np.round(level / 5.0) * 5.0 - 100.0, axis=0)
    zero = moved["PRICE"].abs() < 3.0
    return table.assign(**moved.sub(moved["PRICE"].where(zero, 0.0), axis=0))


LEFT_OUT: dict[str, tuple[Callable[[], BacktestData], set[str]]] = {
    "prices that are all missing": (lambda: with_table(all_missing), {"no prices", "never traded"}),
    "no rows": (lambda: with_table(lambda table: table.iloc[:0]), {"no prices", "never traded"}),
    "one old row": (lambda: with_table(lambda table: table.iloc[:1]), {"short history", "prices end early", "never traded"}),
    "one new row": (lambda: with_table(lambda table: table.iloc[-1:]), {"short history", "never traded"}),
    "a price that never moved": (
        *(lambda: with_table(flat_from(1)),),
        {"short history", "price stands still", "never traded", "time without the contract"},
    ),
    "a price that moves no more": (
        *(lambda: with_table(flat_from(300)),),
        {"short history", "price stands still", "time without the contract"},
    ),
    "years without prices": (lambda: with_table(years_missing), {"short history", "gaps"}),
    "prices at zero and below": (lambda: with_table(at_zero), {"short history"}),
    "contracts of carry that are the priced ones": (
        *(lambda: with_table(lambda table: table.assign(CARRY_CONTRACT=table["PRICE_CONTRACT"])),),
        {"short history"},
    ),
    "rates that begin later": (lambda: in_euros(euros(DAYS).iloc[250:]), {"short history", "no FX rate"}),
    "rates that begin after the last price": (
        *(lambda: in_euros(euros(DAYS).shift(2 * DAYS, freq="B")),),
        {"short history", "no FX rate", "never traded"},
    ),
    "rates that end early": (lambda: in_euros(euros(DAYS).iloc[:250]), {"short history", "FX rate ends early"}),
    "rates with gaps, unsorted and twice": (
        *(lambda: in_euros(pd.concat([euros(DAYS).where(np.arange(DAYS) % 3 > 0), euros(DAYS).iloc[::-1]])),),
        {"short history"},
    ),
    "rows in no order": (lambda: with_table(lambda table: table.iloc[::-1]), {"short history"}),
    "no costs": (lambda: with_instrument(costs=Costs()), {"short history", "no costs"}),
}


ENDLESS_IN_THE_REFERENCE = {"a price that never moved"}
"""A position without bounds, for which the risk overlay gives up all others (see the correction point_risk)."""


@WAYS
@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_an_instrument_lacks_is_a_caveat_and_the_others_are_traded(case: str, kind: str, compat: str) -> None:
    data, kinds = LEFT_OUT[case]
    backtest = strategy(data(), kind, compat)
    caveats = {told for code, told in everything_of(backtest) if code == "B"}
    for stage in FINITE:
        assert not np.isinf(backtest.stage(stage).to_numpy(float)).any(), stage
    held = backtest.stage("held_position")
    traded = held.abs().max() > 0
    assert traded["B"] != ("never traded" in caveats)
    if compat == "fixed":
        assert caveats - {"high costs"} == kinds
        assert traded[["A", "C"]].all()
    else:
        assert caveats >= kinds - {"never traded"}
        assert case in ENDLESS_IN_THE_REFERENCE or traded[["A", "C"]].all()
    wanted = backtest.stage("notional_position")
    known = [code for code in wanted.columns[traded] if backtest.data.multiple_prices[code].index.max() >= held.index[-1]]
    assert wanted[known].iloc[-1].notna().all()


@WAYS
def test_one_row_of_prices_is_no_strategy_but_no_failure(kind: str, compat: str) -> None:
    short = {code: table.iloc[:1] for code, table in good().multiple_prices.items()}
    data = BacktestData.from_frames(short, good().fx, good().instruments)
    if (kind, compat) == ("estimated", "pst"):
        with pytest.raises(DataError, match="too short to estimate weights: give the weights, or correct the flaw calendar_fits"):
            everything_of(strategy(data, kind, compat))
        return
    assert {(code, "never traded") for code in "ABC"} <= everything_of(strategy(data, kind, compat))


@WAYS
def test_rates_from_before_the_start_date_do_not_count(kind: str, compat: str) -> None:
    backtest = strategy(in_euros(euros(DAYS).iloc[:50]), kind, compat, start_date="2010-06-01")
    assert {("B", "no FX rate"), ("B", "never traded")} <= everything_of(backtest)


# Weights


@pytest.mark.parametrize("compat", ["pst", "fixed"])
def test_weights_count_by_their_proportions_whatever_their_sum(compat: str) -> None:
    ones = strategy(
        good(), "static", compat, instrument_weights=dict.fromkeys("ABC", 1), forecast_weights=dict.fromkeys(TREND, 3)
    )
    thirds = strategy(
        good(), "static", compat, instrument_weights=dict.fromkeys("ABC", 1 / 3), forecast_weights=dict.fromkeys(TREND, 0.5)
    )
    pd.testing.assert_frame_equal(ones.stage("notional_position"), thirds.stage("notional_position"))


@pytest.mark.parametrize("compat", ["pst", "fixed"])
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"instrument_weights": {"A": 1, "B": 0, "C": 1}}, "Its weight in the portfolio is 0."),
        ({"allocate_zero_instrument_weights_to_these_instruments": ["B", "unknown"]}, "Its weight in the portfolio is 0."),
        (
            {"forecast_weights": {code: dict.fromkeys(TREND, weight) for code, weight in (("A", 0.5), ("B", 0), ("C", 0.5))}},
            "Its forecast was never different from 0.",
        ),
    ],
)
def test_an_instrument_with_no_weight_says_so(settings: dict[str, Any], why: str, compat: str) -> None:
    found = [
        one.detail for one in summarise(strategy(good(), "static", compat, **settings)).shortcomings if one.kind == "never traded"
    ]
    assert len(found) == 1 and found[0].startswith(why)


def test_what_is_ignored_or_looks_ahead_is_a_warning_of_the_strategy() -> None:
    tree = {"trading_rules": TREND, **ESTIMATES, "forecast_weights": dict.fromkeys(TREND, 0.5)}
    told = strategy_from_dict({**tree, "instrument_weight_estimate": {"date_method": "in_sample"}}, "my.yaml").warnings
    assert told == [
        "my.yaml: forecast_weights is ignored, since use_forecast_weight_estimates is true",
        "my.yaml: instrument_weight_estimate.date_method: in_sample learns from all data, so that earlier figures look ahead",
    ]
    fixed = strategy_from_dict({"trading_rules": TREND, "instrument_weight_estimate": {"date_method": "in_sample"}})
    assert fixed.warnings == []


@pytest.mark.parametrize("compat", ["pst", "fixed"])
def test_a_cost_ceiling_that_no_rule_is_below_leaves_nothing_to_trade_once_that_is_known(compat: str) -> None:
    after = strategy(good(), "static", compat, forecast_post_ceiling_cost_SR=0, forecast_weight_ewma_span=1)
    assert (after.stage("combined_forecast").loc["2012-01-02":] == 0.0).all(axis=None)
    before = {"forecast_weight_estimate": {"ceiling_cost_SR": 0}}
    if compat == "pst":
        with pytest.raises(
            ConfigError, match=r"every rule costs more than forecast_weight_estimate.ceiling_cost_SR 0.0 for A: raise it"
        ):
            everything_of(strategy(good(), "estimated", compat, **before))
    else:
        weights = strategy(good(), "estimated", compat, **before).forecast_weight_tables["A"]
        assert (weights.loc["2012-01-01":] == 0.0).all(axis=None)
