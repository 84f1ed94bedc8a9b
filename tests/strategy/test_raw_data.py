"""What is computed before any rule: from any prices, with no look into the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from tests.strategy.uneven_markets import (
    DAYS,
    RULE_DATA,
    fixed_prices,
    strategy,
    three_markets,
    uneven,
    uneven_markets,
    with_prices,
)
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.strategy import Backtest, BacktestData
from tradeflow_core.strategy.config.data_items import DAILY_ITEMS, DEMEAN_METHODS, STAMPED_ITEMS
from tradeflow_core.strategy.inputs import factors
from tradeflow_core.strategy.rules import RULES


def until(data: BacktestData, day: pd.Timestamp) -> BacktestData:
    """The data as it was known at midnight."""
    tables = {code: table[table.index < day] for code, table in data.multiple_prices.items()}
    adjusted = {code: series[series.index < day] for code, series in data.adjusted_prices.items()}
    return BacktestData.from_frames(
        tables, {pair: rate[rate.index < day] for pair, rate in data.fx.items()}, data.instruments, adjusted_prices=adjusted
    )


def figures(backtest: Backtest) -> dict[str, pd.DataFrame]:
    """Every daily item, the factors demeaned in every way, the attenuation and every raw forecast."""
    raw_data = backtest.raw_data
    tables = {name: raw_data.item(name).values for name in DAILY_ITEMS}
    for method in DEMEAN_METHODS:
        tables[method] = raw_data.item("demeaned_factor_value", demean_method=method, lookback_days=90).values
    tables["attenuation"] = raw_data.attenuation.values
    return tables | {rule: backtest.forecasts.of(rule).raw.values for rule in backtest.forecasts.rules}


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
        {**plain.multiple_prices, "C": changed},
        plain.fx,
        another_class,
        adjusted_prices={**plain.adjusted_prices, "C": changed["PRICE"]},
    )
    backtest, whole = strategy(odd, compat), strategy(replace(plain, instruments=another_class), compat)
    for rule in ("carry", "relative_carry"):
        assert backtest.forecasts.of(rule).raw.values["C"].isna().all()
    for rule in backtest.forecasts.rules:
        expected = whole.forecasts.of(rule).raw.values[["A", "B"]]
        pd.testing.assert_frame_equal(backtest.forecasts.of(rule).raw.values[["A", "B"]], expected, obj=rule)


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
        pd.testing.assert_frame_equal(ours.forecasts.of(rule).raw.values, usual.forecasts.of(rule).raw.values, atol=1e-9)
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


# Shape of returns


def exact(values: pd.Series, days: int, shape: Callable[[np.ndarray], float], *, least: int) -> list[float]:
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
    skews = exact(gappy, days, lambda window: float(stats.skew(window, bias=False)), least=3)
    np.testing.assert_allclose(factors.skew(table, days)["A"], skews, rtol=1e-6, atol=1e-6)
    kurtoses = exact(gappy, days, lambda window: float(stats.kurtosis(window, bias=False)), least=4)
    np.testing.assert_allclose(factors.kurtosis(table, days)["A"], kurtoses, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("stuck", [0.0, 0.01, 1e-9])
def test_returns_that_are_all_the_same_have_no_shape(stuck: float) -> None:
    random = np.random.default_rng(1)
    days = pd.bdate_range("2020-01-01", periods=120)
    returns = pd.DataFrame({"A": np.r_[random.normal(0, 0.02, 40), np.full(80, stuck)], "B": random.normal(0, 0.02, 120)}, days)
    for statistic in (factors.skew, factors.kurtosis):
        shape = statistic(returns, 30)
        assert shape["A"].iloc[65:].isna().all() and shape["A"].iloc[10:50].notna().all() and shape["B"].iloc[10:].notna().all()


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
    for name in STAMPED_ITEMS:
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
        multiplier = backtest.raw_data.attenuation.values
        assert multiplier.min().min() >= 0.5
        assert multiplier.max().max() <= 2.0


def test_forecasts_shrink_while_volatility_is_high() -> None:
    def wilder(table: pd.DataFrame) -> pd.DataFrame:
        wild = table["PRICE"] + np.where(np.arange(len(table)) > 350, 10.0, 0.0) * np.tile([1, -1], len(table) // 2)
        return table.assign(PRICE=wild, CARRY=wild + 1.0)

    data = with_prices(three_markets(), "A", wilder)
    backtest = strategy(data)
    multiplier = backtest.raw_data.attenuation.values["A"]
    assert multiplier.iloc[365:375].max() < 0.7 * multiplier.iloc[200:350].mean()
