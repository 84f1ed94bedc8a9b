"""Daily figures: bins of business days, rows of a series' own, look-ups."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Calendar, business_day_numbers, business_days, by_business_day


def stamps(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(texts)


def test_saturday_and_sunday_belong_to_friday() -> None:
    index = stamps("2024-06-07 23:00", "2024-06-08 11:00", "2024-06-09 18:00", "2024-06-10 00:00")
    numbers = business_day_numbers(index)
    assert list(numbers - numbers[0]) == [0, 0, 0, 1]


def test_business_days_are_mondays_to_fridays_before_and_after_1970() -> None:
    days = pd.bdate_range("1968-12-25", "1972-03-01")
    numbers = business_day_numbers(days)
    assert list(business_days(numbers[0], numbers[-1])) == list(days)


def test_the_last_known_price_of_a_day_is_its_close() -> None:
    series = pd.Series(
        [1.0, 2.0, np.nan, 4.0], index=stamps("2024-06-03 09:00", "2024-06-03 12:00", "2024-06-03 15:00", "2024-06-05 09:00")
    )
    daily = Calendar.spanning([series.index]).last({"A": series}).values["A"]
    np.testing.assert_array_equal(daily, [2.0, np.nan, 4.0])


def test_the_mean_of_a_day_skips_what_is_missing() -> None:
    series = pd.Series(
        [1.0, np.nan, 3.0, np.nan], index=stamps("2024-06-03 09:00", "2024-06-03 12:00", "2024-06-03 15:00", "2024-06-04")
    )
    daily = Calendar.spanning([series.index]).mean({"A": series}).values["A"]
    np.testing.assert_array_equal(daily, [2.0, np.nan])


def test_sums_of_days_without_entries_are_zero() -> None:
    sums = by_business_day(stamps("2024-06-03 09:00", "2024-06-03 10:00", "2024-06-08"), np.array([1.0, 2.0, 5.0]))
    np.testing.assert_array_equal(sums, [3.0, 0.0, 0.0, 0.0, 5.0])


def test_filling_stops_where_a_series_ends_and_looking_up_does_not() -> None:
    long = pd.Series(1.0, index=pd.bdate_range("2024-06-03", periods=5))
    short = pd.Series([1.0, 2.0, np.nan], index=pd.bdate_range("2024-06-03", periods=3))
    calendar = Calendar.spanning([long.index, short.index])
    panel = calendar.last({"short": short, "long": long})
    every_day = calendar.last({"short": long, "long": long}).span
    np.testing.assert_array_equal(panel.ffill().values["short"], [1.0, 2.0, 2.0, np.nan, np.nan])
    np.testing.assert_array_equal(panel.asof(every_day).values["short"], [1.0, 2.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(panel.ffill().asof(every_day).values["short"], [1.0, 2.0, 2.0, 2.0, 2.0])
