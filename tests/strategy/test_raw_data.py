"""What is computed before any rule: from any prices, with no look into the future, each known flaw corrected at its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.strategy.markets import instrument, market, multiple_prices
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.strategy import Backtest, BacktestData, factors, run_backtest, strategy_from_dict
from tradeflow_core.strategy.attenuation import attenuation
from tradeflow_core.strategy.raw_data import RawData
from tradeflow_core.strategy.rules import RULES
from tradeflow_core.strategy.stamped_data import StampedData

OWN_AND_CLASS = ["cumulative_daily_vol_normalised_returns", "normalised_price_for_asset_class"]
PRICE_AND_VOL = ["daily_price", "daily_returns_volatility"]
RULE_DATA: dict[str, list[str]] = {
    "ewmac": PRICE_AND_VOL,
    "ewmac_calc_vol": OWN_AND_CLASS[:1],
    "ewmac_with_defaults": PRICE_AND_VOL,
    "breakout": ["daily_price"],
    "accel": PRICE_AND_VOL,
    "mr_wings": PRICE_AND_VOL,
    "carry": ["raw_carry"],
    "relative_carry": ["smoothed_carry", "median_carry_for_asset_class"],
    "cross_sectional_mean_reversion": OWN_AND_CLASS,
    "relative_momentum": OWN_AND_CLASS,
    "factor_trading_rule": ["neg_skew"],
    "conditioned_factor_trading_rule": ["kurtosis", "demeaned_factor_value"],
    "long_bias": ["daily_price"],
    "short_bias": ["daily_price"],
}
DAYS = 420


def strategy(data: BacktestData, compat: Any = "fixed", **more: Any) -> Backtest:
    """Every rule, on the instruments A, B and C."""
    rules = {name: {"function": name, "data": items} for name, items in RULE_DATA.items()}
    return run_backtest(strategy_from_dict({"compat": compat, "trading_rules": rules, "instruments": list("ABC"), **more}), data)


def fixed_prices(data: BacktestData) -> BacktestData:
    """The same data with its adjusted prices as they are now, so that a later roll does not move them."""
    return BacktestData.from_frames(data.multiple_prices, data.fx, data.instruments, dict(data.adjusted_prices))


def with_prices(data: BacktestData, code: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> BacktestData:
    """The data with the multiple prices of one instrument changed."""
    tables = {**data.multiple_prices, code: change(data.multiple_prices[code])}
    return BacktestData.from_frames(tables, data.fx, data.instruments)


@cache
def three_markets() -> BacktestData:
    return market("ABC", DAYS)


@cache
def uneven_markets() -> BacktestData:
    """A by the day; B from later on, with gaps and several stamps a day, some on Sundays; C of another class; D not traded."""
    tables = {code: multiple_prices(place, DAYS) for place, code in enumerate("ABCD")}
    keep = np.random.default_rng(5).random(DAYS) < 0.8
    late = tables["B"][keep].iloc[60:]
    morning = late.set_axis(late.index - pd.Timedelta(hours=40)) + 0.25
    tables["B"] = pd.concat([late, morning]).sort_index()
    tables["B"][["PRICE_CONTRACT", "CARRY_CONTRACT"]] = tables["B"][["PRICE_CONTRACT", "CARRY_CONTRACT"]].round()
    facts = {code: instrument(code) for code in "ABD"} | {"C": replace(instrument("C"), asset_class="Bond")}
    return fixed_prices(BacktestData.from_frames(tables, market("A", DAYS).fx, facts))


@cache
def uneven(compat: str) -> Backtest:
    return strategy(uneven_markets(), compat)


def until(data: BacktestData, day: pd.Timestamp) -> BacktestData:
    """The data as it was known at midnight."""
    tables = {code: table[table.index < day] for code, table in data.multiple_prices.items()}
    adjusted = {code: series[series.index < day] for code, series in data.adjusted_prices.items()}
    return BacktestData.from_frames(
        tables, {pair: rate[rate.index < day] for pair, rate in data.fx.items()}, data.instruments, adjusted
    )


def figures(backtest: Backtest) -> dict[str, pd.DataFrame]:
    """Every daily item, the factors demeaned in every way, the attenuation and every raw forecast."""
    raw_data = backtest.raw_data
    tables = {name: raw_data.item(name).values for name in RawData.ITEMS}
    for method in factors.DEMEAN_METHODS:
        tables[method] = raw_data.item("demeaned_factor_value", demean_method=method, lookback_days=90).values
    tables["attenuation"] = attenuation(raw_data, backtest.config).values
    return tables | {rule: backtest.forecasts.raw(rule).values for rule in backtest.forecasts.rules}


@settings(max_examples=12, deadline=None)
@given(days=st.integers(1, DAYS))
def test_what_was_known_on_a_day_does_not_change_when_more_days_are_known(days: int) -> None:
    day = pd.bdate_range("2010-01-04", periods=DAYS + 1)[days]
    backtest = strategy(until(uneven_markets(), day))
    quoted = backtest.raw_data.daily_price.rows  # a market that has ended has no figures any more, one that pauses has
    earlier = figures(backtest)
    for name, later in figures(uneven("fixed")).items():
        then = later.loc[: earlier[name].index[-1]].where(quoted)
        pd.testing.assert_frame_equal(earlier[name], then, rtol=1e-9, atol=1e-12, check_freq=False, obj=name)


def test_every_rule_is_tried() -> None:
    assert set(RULE_DATA) == set(RULES)


@pytest.mark.parametrize("compat", ["pst", "fixed"])
def test_every_figure_is_known_in_the_end_for_every_market(compat: str) -> None:
    for name, table in figures(uneven(compat)).items():
        if name not in ("mr_wings", "relative_carry", "cross_sectional_mean_reversion", "relative_momentum"):
            assert table.tail(30).notna().any().all(), name


# Bad or odd prices


@pytest.mark.parametrize("compat", ["pst", "fixed"])
def test_rows_in_any_order_and_doubled_stamps_change_nothing(compat: str) -> None:
    def shuffled(table: pd.DataFrame) -> pd.DataFrame:
        doubled = pd.concat([table.assign(PRICE=np.nan), table, table.assign(PRICE=np.nan)])
        return doubled.sort_index(kind="stable").iloc[::-1].sort_index(ascending=False, kind="stable").iloc[::-1]

    plain = fixed_prices(three_markets())
    odd = replace(plain, multiple_prices={**plain.multiple_prices, "A": shuffled(plain.multiple_prices["A"])})
    backwards = replace(odd, adjusted_prices={code: series.iloc[::-1] for code, series in odd.adjusted_prices.items()})
    expected = figures(strategy(plain, compat))
    for name, table in figures(strategy(backwards, compat)).items():
        pd.testing.assert_frame_equal(table, expected[name], obj=name)


@pytest.mark.parametrize("compat", ["pst", "fixed"])
@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.assign(PRICE=np.nan, CARRY=np.nan),
        lambda table: table.iloc[:1],
        lambda table: table.iloc[:0],
        lambda table: table.assign(PRICE_CONTRACT=np.nan, CARRY_CONTRACT=np.nan),
    ],
    ids=["no price at all", "one row", "no row", "no contract ids"],
)
def test_a_market_without_history_has_no_forecasts_and_does_not_disturb_the_others(
    compat: str, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    plain = fixed_prices(three_markets())
    another_class = {**plain.instruments, "C": replace(plain.instruments["C"], asset_class="Bond")}
    changed = change(plain.multiple_prices["C"])
    odd = BacktestData.from_frames(
        {**plain.multiple_prices, "C": changed}, plain.fx, another_class, {**plain.adjusted_prices, "C": changed["PRICE"]}
    )
    backtest, whole = strategy(odd, compat), strategy(replace(plain, instruments=another_class), compat)
    for rule in ("carry", "relative_carry"):
        assert backtest.forecasts.raw(rule).values["C"].isna().all()
    for rule in backtest.forecasts.rules:
        expected = whole.forecasts.raw(rule).values[["A", "B"]]
        pd.testing.assert_frame_equal(backtest.forecasts.raw(rule).values[["A", "B"]], expected, obj=rule)


@pytest.mark.parametrize("compat", ["pst", "fixed"])
def test_volatility_stays_known_and_about_the_same_through_a_gap_of_years(compat: str) -> None:
    data = with_prices(three_markets(), "A", lambda table: pd.concat([table.iloc[:200], table.iloc[200:].shift(freq="1461D")]))
    vol = strategy(data, compat).raw_data.daily_returns_volatility.values["A"]
    gap = vol.loc["2011-01-03":"2014-06-30"]
    np.testing.assert_allclose(gap, gap.iloc[0], rtol=0.02)
    assert vol.iloc[-1] == pytest.approx(1.0, rel=0.5)


def test_the_move_over_a_gap_counts_once_where_corrected_and_is_lost_in_the_reference() -> None:
    data = with_prices(three_markets(), "A", lambda table: table.drop(table.index[100:110]))
    for compat, days_without in (("pst", 11), ("fixed", 10)):
        raw_data = strategy(data, compat).raw_data
        returns, price = raw_data.daily_returns.values["A"].iloc[1:], raw_data.daily_price.values["A"]
        assert returns.isna().sum() == days_without
        if compat == "fixed":
            assert returns.sum() == pytest.approx(price.iloc[-1] - price.iloc[0])


@pytest.mark.parametrize("compat", ["pst", "fixed"])
@pytest.mark.parametrize("level", [-200.0, -500.0], ids=["prices around zero", "negative prices"])
def test_trend_works_at_any_level_of_the_price(compat: str, level: float) -> None:
    plain = fixed_prices(three_markets())
    shift = np.array([level, level, level, 0, 0, 0])
    tables = {code: table + shift for code, table in plain.multiple_prices.items()}
    lower = replace(
        plain,
        multiple_prices=tables,
        adjusted_prices={code: series + level for code, series in plain.adjusted_prices.items()},
    )
    ours, usual = strategy(lower, compat), strategy(plain, compat)
    for rule in ("ewmac", "carry"):
        pd.testing.assert_frame_equal(ours.forecasts.raw(rule).values, usual.forecasts.raw(rule).values, atol=1e-9)
    assert (ours.raw_data.daily_percentage_volatility.values.dropna() > 0).all(axis=None)


def test_at_a_price_of_zero_percentages_are_infinite_and_shape_is_measured_without_that_day() -> None:
    plain = fixed_prices(three_markets())
    held = plain.multiple_prices["A"]
    free = held.assign(PRICE=held["PRICE"].where(np.arange(len(held)) != 200, 0.0))
    data = replace(plain, multiple_prices={**plain.multiple_prices, "A": free})
    raw_data = strategy(data, "pst").raw_data
    day = raw_data.calendar.days[200]
    assert np.isinf(raw_data.daily_percentage_volatility.values["A"][day])
    assert np.isfinite(raw_data.item("skew").values["A"].iloc[-1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.tz_localize("UTC"), "multiple prices of A: stamps must be dates and times without time zone"),
        (lambda table: table.reset_index(drop=True), "multiple prices of A: stamps must be dates and times"),
        (lambda table: table.set_axis(table.index[:-1].append(pd.DatetimeIndex([pd.NaT]))), "1 rows have no stamp"),
        (lambda table: table.assign(PRICE="much"), "multiple prices of A, PRICE: not all values are numbers"),
        (lambda table: table.assign(CARRY=np.inf), "multiple prices of A, CARRY: infinite at 2010-01-04 23:00:00"),
        (lambda table: table.drop(columns="CARRY_CONTRACT"), "multiple prices of A: columns missing: CARRY_CONTRACT"),
    ],
)
def test_prices_that_cannot_be_used_are_refused_by_name(change: Callable[[pd.DataFrame], pd.DataFrame], said: str) -> None:
    plain = fixed_prices(three_markets())
    odd = replace(plain, multiple_prices={**plain.multiple_prices, "A": change(plain.multiple_prices["A"])})
    with pytest.raises(DataError, match=said):
        strategy(odd).stage("raw_carry")


def test_adjusted_prices_that_are_not_numbers_are_refused_by_name() -> None:
    plain = fixed_prices(three_markets())
    in_words = plain.adjusted_prices["B"].map(lambda price: f"{price} dollars")
    words = replace(plain, adjusted_prices={**plain.adjusted_prices, "B": in_words})
    with pytest.raises(DataError, match="adjusted prices of B: not all values are numbers"):
        strategy(words).stage("daily_price")


def test_a_market_that_the_data_lacks_is_named() -> None:
    with pytest.raises(DataError, match="no adjusted prices for X"):
        strategy(three_markets(), instruments=["A", "X"])


def test_prices_that_all_end_before_the_start_date_are_refused() -> None:
    with pytest.raises(DataError, match="no prices since 2030-01-01 for any of A, B, C"):
        strategy(three_markets(), start_date="2030-01-01").stage("daily_price")


@pytest.mark.parametrize("item", ["daily_returns_volatility", "raw_carry", "nothing"])
def test_volatility_of_what_is_made_of_volatility_is_refused(item: str) -> None:
    said = f"name_returns_attr_in_rawdata: volatility cannot be taken of {item}; name one of daily_price"
    with pytest.raises(ConfigError, match=said):
        strategy(three_markets(), volatility_calculation={"name_returns_attr_in_rawdata": item})


# Corrections


def one(correction: str, data: BacktestData | None = None) -> tuple[RawData, RawData]:
    """The reference's figures, and those with one correction."""
    markets = data or three_markets()
    return strategy(markets, "pst").raw_data, strategy(markets, [correction]).raw_data


def test_percentages_are_of_the_price_of_the_day_before() -> None:
    pst, corrected = one("previous_price")
    changes, price = pst.daily_returns.values, pst.daily_denominator_price.values
    pd.testing.assert_frame_equal(pst.daily_percentage_returns.values, changes / price)
    pd.testing.assert_frame_equal(corrected.daily_percentage_returns.values, changes / price.shift(1))


def test_volatility_is_filled_backwards_only_if_asked_and_not_corrected() -> None:
    asked = {"volatility_calculation": {"backfill": True}}
    missing = {
        str(compat): strategy(three_markets(), compat, **asked).raw_data.daily_returns_volatility.values.isna().sum().sum()
        for compat in ("pst", ["no_backfill"])
    }
    assert list(missing.values()) == [0, 30]


@pytest.mark.parametrize(
    ("ids", "years"),
    [
        ((20240300, 20240600), {"pst": 0.25, "by_date": 92 / 365.25}),
        ((20241200, 20250300), {"pst": 0.25, "by_date": 90 / 365.25}),
        ((20240315, 20240300), {"pst": -0.15 / 12, "by_date": -14 / 365.25}),
        ((20240315, 20240316), {"pst": 1 / 365.25, "by_date": 1 / 365.25}),
        (("20240300", "20240900"), {"pst": 0.5, "by_date": 184 / 365.25}),
        ((20240300, 20241300), {"pst": 10 / 12, "by_date": np.nan}),
        ((20240300, np.nan), {"pst": np.nan, "by_date": np.nan}),
        ((20240300, 0), {"pst": np.nan, "by_date": np.nan}),
        (("20240300", None), {"pst": np.nan, "by_date": np.nan}),
    ],
)
def test_the_time_between_contracts_is_counted_in_months_or_days(ids: tuple[Any, Any], years: dict[str, float]) -> None:
    plain = fixed_prices(three_markets())
    table = plain.multiple_prices["A"].assign(PRICE_CONTRACT=ids[0], CARRY_CONTRACT=ids[1])
    odd = replace(plain, multiple_prices={**plain.multiple_prices, "A": table})
    pst, by_date = one("carry_by_date", odd)
    for raw_data, wanted in ((pst, years["pst"]), (by_date, years["by_date"])):
        np.testing.assert_allclose(raw_data.roll_differentials["A"], wanted, rtol=1e-9)


def test_a_carry_contract_equal_to_the_priced_one_has_no_carry_where_corrected() -> None:
    same = with_prices(three_markets(), "A", lambda table: table.assign(CARRY_CONTRACT=table["PRICE_CONTRACT"]))
    pst, corrected = one("equal_contracts_have_no_carry", same)
    assert np.isinf(pst.daily_annualised_roll.values["A"]).all()
    assert corrected.daily_annualised_roll.values["A"].isna().all()


def test_carry_of_a_day_is_its_last_figure_where_corrected() -> None:
    pst, corrected = one("carry_at_close", uneven_markets())
    roll = pst.annualised_roll["B"]
    days = roll.index.normalize()
    day = days[days.duplicated()][0]
    several = roll[days == day]
    assert len(several) == 2
    assert pst.daily_annualised_roll.values["B"][day] == pytest.approx(several.mean())
    assert corrected.daily_annualised_roll.values["B"][day] == several.iloc[-1]


def test_an_asset_class_is_that_of_the_strategy_where_corrected() -> None:
    pst, corrected = one("declared_asset_class", uneven_markets())
    method = {"demean_method": "average_factor_value_in_asset_class_for_instrument", "lookback_days": 90}
    skew = pst.item("skew", lookback_days=90).values.ffill()
    without_d = skew["A"] - skew[["A", "B"]].mean(axis=1)
    np.testing.assert_allclose(corrected.item("demeaned_factor_value", **method).values["A"], without_d)
    with_d = pst.item("demeaned_factor_value", **method).values["A"]
    assert (with_d - without_d).abs().max() > 0.01


def test_a_class_of_one_has_no_demeaned_factor() -> None:
    method = {"demean_method": "average_factor_value_in_asset_class_for_instrument"}
    alone = uneven("fixed").raw_data.item("demeaned_factor_value", **method).values["C"].dropna()
    assert len(alone)
    assert (alone == 0.0).all()


@pytest.mark.parametrize("rule", ["ewmac_calc_vol", "factor_trading_rule", "conditioned_factor_trading_rule"])
def test_rules_on_levels_divide_by_the_volatility_of_changes_where_corrected(rule: str) -> None:
    forecasts = strategy(three_markets(), ["vol_of_changes"]).forecasts
    items = [forecasts.raw_data.item(name).values for name in RULE_DATA[rule]]
    expected = RULES[rule](*items, vol_of_changes=True)
    pd.testing.assert_frame_equal(forecasts.raw(rule).values, expected.where(expected != 0.0))
    assert (forecasts.raw(rule).values != strategy(three_markets(), "pst").forecasts.raw(rule).values).iloc[-1].all()


def test_a_flat_forecast_is_zero_where_corrected_and_missing_in_the_reference() -> None:
    pst, fixed = (strategy(three_markets(), compat).forecasts.raw("mr_wings").values for compat in ("pst", ["flat_stays_flat"]))
    flat = fixed == 0.0
    assert flat.sum().sum() > 100
    assert pst.isna()[flat].where(flat, True).all(axis=None)
    pd.testing.assert_frame_equal(pst, fixed.where(~flat))


# Shape of returns


def exact(values: pd.Series, days: int, shape: Callable[[np.ndarray], float], least: int) -> list[float]:
    """The statistic over each window, one by one."""
    windows = [values[(values.index > day - pd.Timedelta(days=days)) & (values.index <= day)].dropna() for day in values.index]
    return [shape(window.to_numpy()) if len(window) >= least else np.nan for window in windows]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), days=st.integers(5, 120), crash=st.sampled_from([0.0, 0.3, 10.0]))
def test_skewness_and_kurtosis_are_those_of_each_window_alone(seed: int, days: int, crash: float) -> None:
    random = np.random.default_rng(seed)
    values = pd.Series(random.standard_t(4, 150) * 0.01, index=pd.bdate_range("2020-01-01", periods=150))
    values.iloc[40] -= crash
    gappy = values.where(random.random(150) < 0.9)
    table = gappy.to_frame("A")
    skews = exact(gappy, days, lambda window: float(stats.skew(window, bias=False)), 3)
    np.testing.assert_allclose(factors.skew(table, days)["A"], skews, rtol=1e-6, atol=1e-6)
    kurtoses = exact(gappy, days, lambda window: float(stats.kurtosis(window, bias=False)), 4)
    np.testing.assert_allclose(factors.kurtosis(table, days)["A"], kurtoses, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("days", [0, -5, "many", True])
def test_a_window_that_is_not_a_number_of_days_is_refused(days: Any) -> None:
    with pytest.raises(ConfigError, match=r"lookback_days is .*; give a number of calendar days above 0"):
        strategy(three_markets()).raw_data.item("skew", lookback_days=days)


# Facts, hours, attenuation


def test_facts_are_by_instrument() -> None:
    raw_data = strategy(three_markets()).raw_data
    assert raw_data.rolls_per_year.to_dict() == {"A": 4.0, "B": 4.0, "C": 4.0}
    assert raw_data.instrument_code.to_dict() == {"A": "A", "B": "B", "C": "C"}


def test_an_instrument_without_roll_cycle_has_an_unknown_number_of_rolls() -> None:
    data = three_markets()
    unknown = replace(data, instruments={**data.instruments, "B": replace(data.instruments["B"], roll_rule=None)})
    assert np.isnan(strategy(unknown).raw_data.rolls_per_year["B"])


def test_every_figure_at_its_own_stamps_is_a_series_for_each_instrument() -> None:
    raw_data = uneven("pst").raw_data
    for name in StampedData.AT_OWN_STAMPS:
        for code in "ABC":
            series = getattr(raw_data, name)[code]
            assert series.index.is_monotonic_increasing, name
            assert series.index.is_unique, name


def test_hourly_prices_leave_the_close_out_and_returns_are_their_changes() -> None:
    raw_data = uneven("pst").raw_data
    assert not len(raw_data.hourly_price["A"])
    hours = raw_data.hourly_price["B"]
    assert set(hours.index.hour) == {7}
    pd.testing.assert_series_equal(raw_data.hourly_returns["B"], hours.diff())


def test_forecasts_are_attenuated_between_twice_and_half() -> None:
    for compat in ("pst", "fixed"):
        backtest = uneven(compat)
        multiplier = attenuation(backtest.raw_data, backtest.config).values
        assert multiplier.min().min() >= 0.5
        assert multiplier.max().max() <= 2.0


def test_forecasts_shrink_while_volatility_is_high() -> None:
    def wilder(table: pd.DataFrame) -> pd.DataFrame:
        wild = table["PRICE"] + np.where(np.arange(len(table)) > 350, 10.0, 0.0) * np.tile([1, -1], len(table) // 2)
        return table.assign(PRICE=wild, CARRY=wild + 1.0)

    data = with_prices(three_markets(), "A", wilder)
    backtest = strategy(data)
    multiplier = attenuation(backtest.raw_data, backtest.config).values["A"]
    assert multiplier.iloc[365:375].max() < 0.7 * multiplier.iloc[200:350].mean()


def test_without_relative_volatility_forecasts_are_doubled_in_the_reference_and_kept_where_corrected() -> None:
    for compat, wanted in (("pst", 2.0), (["neutral_attenuation"], 1.0)):
        backtest = strategy(three_markets(), compat)
        multiplier = attenuation(backtest.raw_data, backtest.config).values
        vol = backtest.raw_data.daily_percentage_volatility.values
        without = multiplier[vol.isna()].stack().dropna()
        assert len(without) == 30
        assert (without == wanted).all()
