"""Daily figures of several instruments on one business-day calendar.

A `Panel` is a wide table (business days x instruments) that also knows, for each instrument, which rows its own series
has. That matters twice: a look-up "as of" a day takes the row of the series even when it holds no value (a holiday), and
a filled or smoothed series must not run on beyond its own last day.

Business-day bins: a stamp belongs to its calendar date; Saturday and Sunday belong to the Friday before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NANOSECONDS_PER_DAY = 86_400 * 10**9


def nanoseconds(index: pd.Index) -> Ints:
    """Stamps as integers: nanoseconds since 1970-01-01, naive."""
    return np.asarray(pd.DatetimeIndex(index).as_unit("ns").asi8, dtype=np.int64)


def business_day_numbers(index: pd.Index) -> Ints:
    """Number of the business-day bin of each stamp; consecutive business days have consecutive numbers."""
    since_monday = nanoseconds(index) // NANOSECONDS_PER_DAY + 3
    week, weekday = np.divmod(since_monday, 7)
    return np.asarray(week * 5 + np.minimum(weekday, 4), dtype=np.int64)


def business_days(first: int, last: int) -> pd.DatetimeIndex:
    """The dates, at midnight, of the business-day bins `first` to `last`."""
    week, weekday = np.divmod(np.arange(first, last + 1, dtype=np.int64), 5)
    days = week * 7 + weekday - 3
    return pd.DatetimeIndex(days.astype("datetime64[D]").astype("datetime64[ns]"), name="date")


@dataclass(frozen=True, eq=False)
class Span:
    """The rows that each instrument's own series has: `first` to `last` inclusive; none where last < first."""

    first: Ints
    last: Ints

    def mask(self, length: int) -> NDArray[np.bool_]:
        """True on own rows: (length, instruments)."""
        row = np.arange(length)[:, None]
        return (row >= self.first) & (row <= self.last)

    @property
    def empty(self) -> NDArray[np.bool_]:
        """True for instruments without any row."""
        return self.last < self.first

    def __or__(self, other: Span) -> Span:
        first = np.where(self.empty, other.first, np.where(other.empty, self.first, np.minimum(self.first, other.first)))
        last = np.where(self.empty, other.last, np.where(other.empty, self.last, np.maximum(self.last, other.last)))
        return Span(first, last)

    def __and__(self, other: Span) -> Span:
        return Span(np.maximum(self.first, other.first), np.minimum(self.last, other.last))


@dataclass(frozen=True, eq=False)
class Panel:
    """`values`: business days x instruments, missing outside `span`."""

    values: pd.DataFrame
    span: Span

    @staticmethod
    def of(values: pd.DataFrame, span: Span) -> Panel:
        """A panel of `values` with everything outside `span` made missing."""
        array = values.to_numpy(dtype=float)
        inside = _missing_outside(array, span)
        if inside is not array:
            values = pd.DataFrame(inside, index=values.index, columns=values.columns, copy=False)
        return Panel(values, span)

    @cached_property
    def array(self) -> Floats:
        """The values as floats (business days, instruments)."""
        return self.values.to_numpy(dtype=float)

    @property
    def index(self) -> pd.DatetimeIndex:
        """The business days of the common calendar."""
        return pd.DatetimeIndex(self.values.index)

    @property
    def rows(self) -> NDArray[np.bool_]:
        """True where the instrument's own series has a row."""
        return self.span.mask(len(self.values))

    def own_rows(self, place: int) -> slice:
        """The rows that instrument number `place` has itself; none of them for one without any."""
        return slice(int(self.span.first[place]), int(self.span.last[place]) + 1)

    def like(self, array: Floats, span: Span | None = None) -> Panel:
        """A panel of other values on this calendar."""
        own = span or self.span
        inside = _missing_outside(array, own)
        return Panel(pd.DataFrame(inside, index=self.values.index, columns=self.values.columns, copy=False), own)

    def map(self, function: Callable[[pd.DataFrame], pd.DataFrame]) -> Panel:
        """`function` of the whole table, on the same rows."""
        return Panel.of(function(self.values), self.span)

    def ffill(self) -> Panel:
        """The last known value carried forward, within own rows."""
        return self.map(lambda values: values.ffill())

    def at(self, span: Span) -> Panel:
        """The values of exactly the rows of `span`; missing where this series has no such row."""
        return Panel.of(self.values, span)

    def asof(self, span: Span) -> Panel:
        """For each row of `span` the latest own row at or before it, even where that row holds no value."""
        array = self.array
        if (span.last > self.span.last).any():
            row = np.arange(len(array))[:, None]
            last = np.maximum(self.span.last, 0)
            array = np.where(row > last, array[last, np.arange(array.shape[1])], array)
        return self.like(array, span)


def _missing_outside(array: Floats, span: Span) -> Floats:
    """The array with NaN outside `span`: itself where it is so already, else a copy."""
    result = array
    for column, (first, last) in enumerate(zip(span.first.tolist(), span.last.tolist(), strict=True)):
        outside = slice(0, first), slice(last + 1, None)
        if last < first:
            outside = slice(0, None), slice(0, 0)
        for rows in outside:
            if np.isnan(result[rows, column]).all():
                continue
            if result is array:
                result = np.array(array, order="F")
            result[rows, column] = np.nan
    return result


@dataclass(frozen=True)
class Calendar:
    """The business days of a backtest; bin number of the first one, and their count."""

    start: int
    length: int

    @staticmethod
    def spanning(indexes: Iterable[pd.Index]) -> Calendar:
        """The smallest calendar that holds every stamp; empty when there is none."""
        numbers = [business_day_numbers(index[[0, -1]]) for index in indexes if len(index)]
        if not numbers:
            return Calendar(0, 0)
        start = min(int(pair.min()) for pair in numbers)
        return Calendar(start, max(int(pair.max()) for pair in numbers) - start + 1)

    @cached_property
    def days(self) -> pd.DatetimeIndex:
        """The days, at midnight."""
        return business_days(self.start, self.start + self.length - 1)

    def last(self, series: Mapping[str, pd.Series]) -> Panel:
        """Last known value of each business day; sorted, naive stamps."""
        return self._binned(series, _last_of_bin)

    def mean(self, series: Mapping[str, pd.Series]) -> Panel:
        """Mean of the known values of each business day."""
        return self._binned(series, _mean_of_bin)

    def _binned(self, series: Mapping[str, pd.Series], reduce: Callable[[Ints, Floats, Floats], None]) -> Panel:
        array = np.full((len(series), self.length), np.nan)
        span = Span(np.zeros(len(series), dtype=np.int64), np.full(len(series), -1, dtype=np.int64))
        for column, one in enumerate(series.values()):
            if not len(one):
                continue
            bins = business_day_numbers(one.index) - self.start
            values = one.to_numpy(dtype=float)
            known = ~np.isnan(values)
            span.first[column], span.last[column] = bins[0], bins[-1]
            reduce(bins[known], values[known], array[column])
        return Panel(pd.DataFrame(array.T, index=self.days, columns=pd.Index(series, name="instrument")), span)


def _last_of_bin(bins: Ints, values: Floats, out: Floats) -> None:
    final = np.flatnonzero(np.diff(bins, append=-1))
    out[bins[final]] = values[final]


def _mean_of_bin(bins: Ints, values: Floats, out: Floats) -> None:
    count = np.bincount(bins, minlength=len(out))
    with np.errstate(invalid="ignore"):
        total = np.bincount(bins, weights=values, minlength=len(out))
    known = count > 0
    out[known] = total[known] / count[known]


def row_medians(values: Floats) -> Floats:
    """Median of the known values of each row; missing where a row has none."""
    ordered = np.sort(values, axis=1)
    count = values.shape[1] - np.isnan(values).sum(axis=1)
    row = np.arange(len(values))
    low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, values.shape[1] - 1)
    middle: Floats = (ordered[row, low] + ordered[row, high]) / 2.0
    return np.where(count > 0, middle, np.nan)


def by_business_day(index: pd.Index, values: Floats) -> pd.Series:
    """Sums of the known values over business-day bins from the first to the last stamp; empty bins are 0."""
    if not len(index):
        return pd.Series(dtype=float)
    numbers = business_day_numbers(index)
    start = int(numbers.min())
    totals = np.bincount(numbers - start, weights=np.where(np.isnan(values), 0.0, values))
    return pd.Series(totals, index=business_days(start, start + len(totals) - 1))
