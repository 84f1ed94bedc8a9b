"""When to estimate: each fit period says from which rows to learn and for which days what was learnt holds."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.config.compat import REFERENCE, Correction, Corrections
from tradeflow_core.strategy.config.estimates import DateMethod

STANDARD_STEPS = {"W": 7, "M": 30, "12M": 365, "Y": 365}
DAYS_IN = {"D": 1, "W": 7}
MONTHS_IN = {"M": 1, "Y": 12}


@dataclass(frozen=True)
class FitPeriod:
    """Rows from `fit_start` up to `fit_end` are learnt from; the result holds from `period_start` to `period_end`.

    `no_data`: the first period, before anything can be learnt. All stamps are naive, as those of the data.
    """

    fit_start: pd.Timestamp
    fit_end: pd.Timestamp
    period_start: pd.Timestamp
    period_end: pd.Timestamp
    no_data: bool = False


def fit_periods(
    first: pd.Timestamp,
    last: pd.Timestamp,
    date_method: DateMethod = "expanding",
    *,
    rollyears: int = 20,
    interval: str = "12M",
    corrections: Corrections = REFERENCE,
) -> list[FitPeriod]:
    """Consecutive fit periods for data with stamps `first` to `last`.

    `in_sample`: one period that learns from all data. Otherwise the first period has no data, and the first real fit has
    between one and two intervals of it.

    As the reference, fit dates are steps of whole days back from `last` (365 for a year), `rollyears` counts steps, the newest fit
    is one step before `last`, and data of less than one step give no period at all. Corrected (ROLLING_WINDOW), `rollyears` counts
    years all the same. Corrected (CALENDAR_FITS), fit dates are the ends of calendar years or months (for intervals of days or
    weeks: steps on from `first`), `rollyears` counts years, the newest fit is the latest that `last` has reached, and there always
    is a first period; adding data then changes no period. Raises ConfigError for an unknown method or interval.
    """
    if date_method == "in_sample":
        return [FitPeriod(first, last, first, last)]
    if date_method not in ("expanding", "rolling"):
        raise ConfigError(f"date_method: {date_method!r} is not known: give expanding, rolling or in_sample")
    calendar = Correction.CALENDAR_FITS in corrections
    dates = _calendar_dates(first, last, interval) if calendar else _steps_back(first, last, interval)
    if len(dates) < 2:
        return []
    periods = [FitPeriod(first, first, first, dates[1], no_data=True)]
    for place in range(1, len(dates) - 1):
        fit_start = first
        if date_method == "rolling":
            in_steps = not (calendar or Correction.ROLLING_WINDOW in corrections)
            fit_start = (
                dates[max(0, place - rollyears)] if in_steps else max(first, dates[place] - pd.DateOffset(years=rollyears))
            )
        periods.append(FitPeriod(fit_start, dates[place], dates[place], dates[place + 1]))
    return periods


def _steps_back(first: pd.Timestamp, last: pd.Timestamp, interval: str) -> list[pd.Timestamp]:
    days, months = _interval(interval, STANDARD_STEPS)
    dates = [last]
    if days:
        step = pd.Timedelta(days=days)
        return [last - step * back for back in range((last - first) // step, -1, -1)]
    while (before := last - pd.DateOffset(months=months * len(dates))) >= first:
        dates.append(before)
    return dates[::-1]


def _calendar_dates(first: pd.Timestamp, last: pd.Timestamp, interval: str) -> list[pd.Timestamp]:
    """Ascending; the second is the end of the period without data, the last lies after `last`."""
    days, months = _interval(interval, {})
    if days:
        step = pd.Timedelta(days=days)
        count = max(2, (last - first) // step + 2)
        return [first + step * place for place in range(count)]
    midnight = first.normalize()
    elapsed = midnight.year * 12 + midnight.month - 1 + (first != midnight.replace(day=1))
    dates: list[pd.Timestamp] = []
    month = -(-elapsed // months) * months
    while len(dates) < 2 or dates[-1] <= last:
        dates.append(pd.Timestamp(year=month // 12, month=month % 12 + 1, day=1))
        month += months
    return dates


def _interval(text: str, standard: dict[str, int]) -> tuple[int, int]:
    """Days and months of an interval; one of them is 0. `standard` intervals are that many days."""
    if text in standard:
        return standard[text], 0
    match = re.fullmatch(r"(\d*)([DWMY])", text)
    number = int(match[1] or 1) if match else 0
    if not match or not number:
        raise ConfigError(f"interval_frequency: {text!r} is not an interval: give W, M, Y, or a number and one of D, W, M, Y")
    return number * DAYS_IN.get(match[2], 0), number * MONTHS_IN.get(match[2], 0)
