"""The trading hours of a session, laid out as arrays: one row for each trade date of a year, one column for each hourly bar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from tradeflow_core.brokers.paper.market import micros
from tradeflow_core.errors import ConfigError
from tradeflow_core.instruments import Sessions

MAX_BARS = 28
"""The most hourly bars that one trade date can have (24 hours, and part of an hour on either side of each break)."""

_HOUR = 3_600_000_000
DAY_MICROS = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class HoursOfYear:
    """The bars of the trade dates of one year.

    `days` (rows,) datetime64[D]; `weekday` (rows,) position of the day among the Mondays to Fridays of the year; `start`, `end`
    (rows, bars) microseconds since 1970, equal to each other in the unused columns at the right; `count` (rows,) bars used;
    `fraction` (rows, bars + 1) part of the day's trading time that has passed at the start of each bar and at the end.
    """

    days: np.ndarray
    weekday: np.ndarray
    start: np.ndarray
    end: np.ndarray
    count: np.ndarray
    fraction: np.ndarray

    @property
    def open(self) -> np.ndarray:
        """(rows,) first opening of each trade date."""
        return self.start[:, 0]

    @property
    def close(self) -> np.ndarray:
        """(rows,) last close of each trade date."""
        return self.end[:, -1]


def weekdays_of(year: int) -> np.ndarray:
    """Mondays to Fridays of a year, datetime64[D]: the time grid of every simulated path; holidays are on it too."""
    days = np.arange(np.datetime64(f"{year}-01-01"), np.datetime64(f"{year + 1}-01-01"))
    return days[np.is_busday(days)]


def hours_of_year(sessions: Sessions, instrument: str, year: int) -> HoursOfYear:
    """The bars of an instrument's session in `year`: each clock hour (UTC), cut to the windows of the session.

    Raises ConfigError for hours that the simulated market cannot draw, and what `Sessions` raises.
    """
    days = sessions.trading_days(instrument, date(year, 1, 1), date(year, 12, 31))
    windows = [sessions.session_bounds(instrument, day.date()) for day in days]
    grid = weekdays_of(year)
    dates = days.to_numpy().astype("datetime64[D]")
    if not np.isin(dates, grid).all():
        raise ConfigError(f"{instrument}: the simulated market trades from Monday to Friday; change the Days of its session")
    most_windows = max(map(len, windows), default=1)
    bounds = np.array(
        [
            [(micros(opens_at), micros(closes_at)) for opens_at, closes_at in day] + [(0, 0)] * (most_windows - len(day))
            for day in windows
        ],
        dtype=np.int64,
    ).reshape(len(windows), most_windows, 2)
    opens, closes = bounds[..., :1], bounds[..., 1:]
    hour = opens // _HOUR * _HOUR + np.arange(25) * _HOUR
    start = np.maximum(opens, hour).reshape(len(windows), -1)
    end = np.minimum(closes, hour + _HOUR).reshape(len(windows), -1)
    used = end > start
    count = used.sum(axis=1)
    bars = int(count.max(initial=1))
    if bars > MAX_BARS:
        raise ConfigError(f"{instrument}: its session has {bars} hourly bars a day; a simulated market has at most {MAX_BARS}")
    order = np.argsort(~used, axis=1, kind="stable")[:, :bars]
    used = np.take_along_axis(used, order, axis=1)
    last = end.max(axis=1, keepdims=True)
    start = np.where(used, np.take_along_axis(start, order, axis=1), last)
    end = np.where(used, np.take_along_axis(end, order, axis=1), last)
    passed = np.concatenate([np.zeros((len(windows), 1)), np.cumsum(end - start, axis=1)], axis=1)
    return HoursOfYear(dates, np.searchsorted(grid, dates), start, end, count, passed / passed[:, -1:])
