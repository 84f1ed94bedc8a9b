"""Data to learn from: daily tables brought to a lower frequency, and the tables of several instruments stacked into one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.strategy.common.panel import (
    NANOSECONDS_PER_DAY,
    Floats,
    Ints,
    business_day_numbers,
    business_days,
    nanoseconds,
)
from tradeflow_core.strategy.common.years import BUSINESS_DAYS_PER_YEAR, CALENDAR_DAYS_PER_YEAR
from tradeflow_core.strategy.config.compat import Correction, Corrections

Bools = NDArray[np.bool_]
MICROSECOND = 1000
"""In nanoseconds: how far apart the reference puts rows of the same date of two tables."""

WEEKS_PER_YEAR = CALENDAR_DAYS_PER_YEAR / 7
PERIODS_PER_YEAR = {
    "B": float(BUSINESS_DAYS_PER_YEAR),
    "W": WEEKS_PER_YEAR,
    "7D": WEEKS_PER_YEAR,
    "M": 12.0,
    "Y": 1.0,
    "D": CALENDAR_DAYS_PER_YEAR,
}
"""Rows a year by frequency: business days, weeks, months, years, calendar days."""


@dataclass(frozen=True, eq=False)
class Stacked:
    """Rows to learn from: `values` (rows x columns), missing as NaN; `stamps` of the rows, ascending (nanoseconds, naive).

    `frames`: how many tables were stacked; look-backs and least numbers of rows grow with it. `known_after`: nanoseconds from
    the stamp of a row to the midnight that its last day begins with.
    """

    values: Floats
    stamps: Ints
    columns: tuple[str, ...]
    frames: int = 1
    known_after: int = 0

    @property
    def first(self) -> pd.Timestamp:
        """Stamp of the first row."""
        return pd.Timestamp(self.stamps[0])

    @property
    def last(self) -> pd.Timestamp:
        """The last day of the last row."""
        return pd.Timestamp(self.stamps[-1] + self.known_after)

    @cached_property
    def present(self) -> Bools:
        """Where there is a value: rows x columns."""
        return ~np.isnan(self.values)

    def rows_before(self, stamps: Sequence[pd.Timestamp], *, inclusive: bool = False) -> Ints:
        """How many rows are known before each stamp, with `inclusive` also those of which the last day is that of the stamp."""
        wanted = np.array([stamp.as_unit("ns").value for stamp in stamps], dtype=np.int64) - self.known_after
        return np.asarray(np.searchsorted(self.stamps, wanted, "right" if inclusive else "left"), dtype=np.int64)

    def has_values(self, start: Ints, end: Ints) -> Bools:
        """Whether each column has a value in the rows `start` to `end` (not included): windows x columns."""
        edges = np.unique(np.concatenate([[0], start, end]))
        counts = np.zeros((len(edges), len(self.columns)), dtype=np.int64)
        for place in range(1, len(edges)):
            counts[place] = counts[place - 1] + np.count_nonzero(self.present[edges[place - 1] : edges[place]], axis=0)
        return np.asarray(counts[np.searchsorted(edges, end)] > counts[np.searchsorted(edges, start)])


def stack(frames: Sequence[pd.DataFrame], *, by_key: bool = False, known_after: int = 0) -> Stacked:
    """One table after the other within each date; every table on the union of all dates, missing where it has no row.

    `frames`: in the order of their instruments' codes, each with ascending unique stamps and a column per name. Columns are
    the sorted union of names. By default rows of table n carry n microseconds more, and a column that a table lacks counts
    as 0 there; with `by_key` rows are ordered by date and table without a change of stamps, and a lacking column is missing.
    `known_after`: see `Stacked`; by default rows count as known from their stamps on.
    Raises DataError when there are no rows, or stamps are not ascending.
    """
    columns = tuple(sorted({str(name) for frame in frames for name in frame.columns}))
    dates = np.unique(np.concatenate([_checked_stamps(frame) for frame in frames])) if frames else np.zeros(0, dtype=np.int64)
    if not len(dates):
        raise DataError("there are no rows to estimate from: the instruments have no returns or forecasts yet")
    values = np.full((len(dates), len(frames), len(columns)), np.nan)
    lacking = np.nan if by_key else 0.0
    for number, frame in enumerate(frames):
        rows = np.searchsorted(dates, nanoseconds(frame.index))
        rows_of_table = np.full((len(frame), len(columns)), lacking)
        rows_of_table[:, [columns.index(str(name)) for name in frame.columns]] = frame.to_numpy(dtype=float)
        values[rows, number] = rows_of_table
    shift = 0 if by_key else MICROSECOND
    stamps = (dates[:, None] + shift * np.arange(len(frames))).ravel()
    return Stacked(values.reshape(-1, len(columns)), stamps, columns, len(frames), known_after)


def after_label(frequency: str, corrections: Corrections) -> int:
    """Nanoseconds from the label of a bin to its last day, which the reference does not count (CALENDAR_FITS)."""
    return 6 * NANOSECONDS_PER_DAY if frequency == "7D" and Correction.CALENDAR_FITS in corrections else 0


def periods_per_year(frequency: str) -> float:
    """Rows a year at a frequency; ConfigError for one that is not known."""
    try:
        return PERIODS_PER_YEAR[frequency]
    except KeyError:
        raise ConfigError(f"frequency: {frequency!r} is not known: give one of {', '.join(PERIODS_PER_YEAR)}") from None


def _checked_stamps(frame: pd.DataFrame) -> Ints:
    stamps = nanoseconds(frame.index)
    if len(stamps) > 1 and (np.diff(stamps) <= 0).any():
        raise DataError("rows to estimate from must have ascending, unique dates")
    return stamps


def sums(frame: pd.DataFrame, frequency: str, *, missing_stays_missing: bool = False) -> pd.DataFrame:
    """Sums of the known values of each bin, from the first stamp's bin to the last's.

    A bin without any value is 0, with `missing_stays_missing` it is missing. Frequencies and labels: see `last_values`.
    """

    def total(values: Floats, starts: Ints) -> Floats:
        unknown = np.isnan(values)
        summed = np.add.reduceat(np.where(unknown, 0.0, values), starts, axis=0)
        return np.where(np.logical_and.reduceat(unknown, starts, axis=0), np.nan, summed)

    binned = _binned(frame, frequency, total)
    return binned if missing_stays_missing else binned.fillna(0.0)


def last_values(frame: pd.DataFrame, frequency: str) -> pd.DataFrame:
    """Last known value of each bin, missing where a bin has none; from the first stamp's bin to the last's.

    Frequencies: W (Monday to Sunday, labelled by the Sunday), 7D (seven days counted from the first row's date, labelled by
    their first day), M and Y (calendar, labelled by their last day), B (business days; weekends belong to Friday), D. Labels
    are midnights, naive; stamps must ascend. A label of 7D lies before its bin's end (`after_label`): unless that is told to
    `stack`, only fits at weekly intervals see nothing but finished bins. Raises ConfigError for another frequency.
    """

    def last(values: Floats, starts: Ints) -> Floats:
        rows = np.where(np.isnan(values), -1, np.arange(len(values))[:, None])
        latest = np.maximum.reduceat(rows, starts, axis=0)
        return np.where(latest < 0, np.nan, values[latest, np.arange(values.shape[1])])

    return _binned(frame, frequency, last)


def returns_at(daily: pd.DataFrame, frequency: str, *, forward_fill: bool = True) -> pd.DataFrame:
    """Daily returns or P&L accumulated, read at the end of each bin, and differenced: the first row is missing.

    With `forward_fill` days without value count as days without change once a column has started, also after its end.
    """
    level = daily.cumsum()
    return last_values(level.ffill() if forward_fill else level, frequency).diff()


def _binned(frame: pd.DataFrame, frequency: str, reduce: Callable[[Floats, Ints], Floats]) -> pd.DataFrame:
    if not len(frame):
        return frame.astype(float)
    numbers, label = _bins(pd.DatetimeIndex(frame.index), frequency)
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    array = np.full((numbers[-1] - numbers[0] + 1, frame.shape[1]), np.nan)
    array[numbers[starts] - numbers[0]] = reduce(frame.to_numpy(dtype=float), starts)
    return pd.DataFrame(array, index=label(int(numbers[0]), int(numbers[-1])), columns=frame.columns)


def _bins(index: pd.DatetimeIndex, frequency: str) -> tuple[Ints, Callable[[int, int], pd.DatetimeIndex]]:
    """Number of the bin of each stamp, and the labels of the bins from one number to another."""
    days = nanoseconds(index) // NANOSECONDS_PER_DAY
    if frequency == "B":
        return business_day_numbers(index), business_days
    if frequency in ("M", "Y"):
        unit = f"datetime64[{frequency}]"
        numbers = days.astype("datetime64[D]").astype(unit).astype(np.int64)
        return numbers, lambda first, last: _dates(
            np.arange(first + 1, last + 2).astype(unit).astype("datetime64[D]").astype(np.int64) - 1
        )
    width, origin, labelled = {"W": (7, -3, 6), "7D": (7, int(days[0]), 0), "D": (1, 0, 0)}.get(frequency, (0, 0, 0))
    if not width:
        raise ConfigError(f"frequency: {frequency!r} is not known: give one of W, 7D, M, Y, B, D")
    return (days - origin) // width, lambda first, last: _dates(np.arange(first, last + 1) * width + origin + labelled)


def _dates(days: Ints) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(days.astype("datetime64[D]").astype("datetime64[ns]"), name="date")
