"""Contract bars: cleaning, append-only merging, the spike check, and daily and hourly views.

A table of bars has an index of stamps and the columns OPEN, HIGH, LOW, FINAL, VOLUME, or some of them. What is stored
once is never changed by a later fetch; a fetch whose prices jump more than is plausible is refused as a whole.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from tradeflow_core.errors import DataError

MAX_SPIKE = 8.0
"""Largest plausible change, in units of the average absolute daily change."""
SPIKE_SPAN = 500
"""Span, in rows, of the exponentially weighted average of absolute changes."""
CLOSING_HOUR = 23
NANOSECONDS_A_DAY = 86_400 * 10**9

Table = TypeVar("Table", pd.Series, pd.DataFrame)


class MergeStatus(StrEnum):
    """What a merge kept."""

    ONLY_OLD = "ONLY_OLD"
    ONLY_NEW = "ONLY_NEW"
    MERGED = "MERGED"


class Merge(NamedTuple):
    """A merged table; `join_date` is the stamp from which on it is new (None where nothing was merged)."""

    result: pd.DataFrame
    status: MergeStatus
    join_date: pd.Timestamp | None


class Spike(NamedTuple):
    """The first implausible change: its stamp, and its size in average absolute daily changes."""

    date: pd.Timestamp
    units: float


def clean_bars(
    bars: pd.DataFrame,
    now: pd.Timestamp,
    *,
    ignore_future: bool = True,
    ignore_zero_volumes: bool = False,
    ignore_zero_prices: bool = True,
    ignore_negative_prices: bool = False,
) -> pd.DataFrame:
    """Bars without those at or after `now` and, as asked, those of no volume, of price 0, of negative price.

    Order of rows and columns stay; a NaN is neither zero nor negative. Zero volumes are usually dropped for intraday bars only.
    """
    kept = bars[bars.index < now] if ignore_future else bars
    if ignore_zero_volumes and "VOLUME" in kept:
        kept = kept[kept["VOLUME"] != 0]
    if ignore_zero_prices:
        kept = kept[kept["FINAL"] != 0]
    if ignore_negative_prices:
        kept = kept[~(kept["FINAL"] < 0)]
    return kept


def append_only_merge(old: pd.DataFrame, new: pd.DataFrame) -> Merge:
    """`old` with the rows of `new` that are later than its last one; nothing at or before that is changed or filled.

    The result is sorted, of equal stamps the first row stays. The join date is the stamp of the first such row in the
    order given: sort `new` before, so that it is the earliest.
    """
    if not len(new):
        return Merge(old, MergeStatus.ONLY_OLD, None)
    if not len(old):
        return Merge(new, MergeStatus.ONLY_NEW, None)
    later = new[new.index > old.index[-1]]
    if not len(later):
        return Merge(old, MergeStatus.ONLY_OLD, None)
    both = pd.concat([old, later]).sort_index(kind="stable")
    return Merge(both[~both.index.duplicated(keep="first")], MergeStatus.MERGED, later.index[0])


def spike_units(prices: pd.Series) -> pd.Series:
    """Each change of price in units of the average absolute daily change so far; index from the second row on.

    A change is divided by the square root of the days since the row before (fractional); the average is exponentially
    weighted over 500 rows, the change itself included, so that the first value is 1. NaN prices give NaN.
    """
    index = pd.DatetimeIndex(prices.index)
    return pd.Series(_spike_units(index.as_unit("ns").asi8, prices.to_numpy(dtype=float)), index=index[1:])


def _spike_units(stamps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`spike_units` of plain arrays; `stamps` in nanoseconds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = np.abs(np.diff(values)) / np.sqrt(np.diff(stamps) / NANOSECONDS_A_DAY)
        known = ~np.isnan(changes)
        decay = 1 - 2 / (SPIKE_SPAN + 1)
        total = lfilter([1.0], [1.0, -decay], np.where(known, changes, 0.0))
        weight = lfilter([1.0], [1.0, -decay], known.astype(float))
        return np.asarray(changes / (total / weight))


def find_spike(prices: pd.Series, since: pd.Timestamp | None = None, limit: float = MAX_SPIKE) -> Spike | None:
    """The first change of more than `limit` units at or after `since` (anywhere where None), or None.

    `prices`: the whole merged series, sorted. A first move after a flat history is always a spike.
    """
    index = pd.DatetimeIndex(prices.index)
    first = 0 if since is None else int(index.searchsorted(since))
    found = first_spike(index.as_unit("ns").asi8, prices.to_numpy(dtype=float), first, limit)
    return found and Spike(index[found[0]], found[1])


def first_spike(stamps: np.ndarray, values: np.ndarray, first: int, limit: float) -> tuple[int, float] | None:
    """`find_spike` of plain arrays, `stamps` in nanoseconds, among the rows from `first` on: the place of the change and its units."""
    if len(values) < 2:
        return None
    before = max(first - 1, 0)
    units = _spike_units(stamps, values)[before:]
    beyond = np.flatnonzero(units > limit)
    return (before + int(beyond[0]) + 1, float(units[beyond[0]])) if len(beyond) else None


def update_bars(old: pd.DataFrame, new: pd.DataFrame, limit: float | None = MAX_SPIKE) -> tuple[Merge, Spike | None]:
    """Merge cleaned new bars into the stored ones of one contract and frequency, and look for a spike.

    Where there is a spike the caller stores nothing of this fetch. `limit` None: no check, for prices that a person has accepted.
    Raises DataError where the result would have fewer stamps than the old bars.
    """
    merge = append_only_merge(old, new.sort_index(kind="stable"))
    if len(merge.result) < old.index.nunique():
        raise DataError(
            f"merged bars have {len(merge.result)} rows, fewer than the {old.index.nunique()} stored: nothing may be lost"
        )
    if limit is None or merge.status is MergeStatus.ONLY_OLD:
        return merge, None
    return merge, find_spike(merge.result["FINAL"], merge.join_date, limit)


def full_merge(old: pd.DataFrame, new: pd.DataFrame, overwrite: bool = False) -> Merge:
    """Union of both tables, value by value, for a repair by hand: old values stay, or new ones `overwrite` them.

    Columns that only `new` has are ignored. The join date is the earliest stamp that changed; nothing changed: ONLY_OLD. Raises
    DataError for double stamps.
    """
    if not len(new):
        return Merge(old, MergeStatus.ONLY_OLD, None)
    if not len(old):
        return Merge(new, MergeStatus.ONLY_NEW, None)
    for name, table in (("old", old), ("new", new)):
        if not table.index.is_unique:
            first = table.index[table.index.duplicated()][0]
            raise DataError(f"{name} bars have stamps more than once, the first at {first}: keep one row for each")
    stamps = old.index.union(new.index).sort_values()
    before, other = old.reindex(stamps), new.reindex(index=stamps, columns=old.columns)
    result = other.where(other.notna(), before) if overwrite else before.where(before.notna(), other)
    same = ((result == before) | (result.isna() & before.isna())).all(axis=1) & stamps.isin(old.index)
    if same.all():
        return Merge(old, MergeStatus.ONLY_OLD, None)
    return Merge(result, MergeStatus.MERGED, stamps[~same.to_numpy()][0])


def merged_table(intraday: pd.DataFrame, daily: pd.DataFrame) -> pd.DataFrame:
    """Bars of both frequencies in one sorted table; where both have a stamp, the daily value wins column by column."""
    both = pd.concat([table for table in (intraday, daily) if len(table)] or [daily])
    return both.sort_index(kind="stable").groupby(level=0).last()


def is_closing(index: pd.DatetimeIndex) -> np.ndarray:
    """True for stamps of the daily close, 23:00:00 (fractions of a second count as zero), in the index's own time zone."""
    return np.asarray((index.hour == CLOSING_HOUR) & (index.minute == 0) & (index.second == 0))


def closing_rows(table: Table) -> Table:
    """The daily closes of a merged table."""
    return table[is_closing(pd.DatetimeIndex(table.index))]


def intraday_rows(table: Table) -> Table:
    """The rows of a merged table that are not daily closes."""
    return table[~is_closing(pd.DatetimeIndex(table.index))]


def at_close(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Dates as stamps of the daily close; a stamp that is not midnight stays."""
    return index.where(index != index.normalize(), index + pd.Timedelta(hours=CLOSING_HOUR))


def business_day(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The business day of each stamp, at midnight: its date, and for Saturday and Sunday the Friday before."""
    days = index.normalize()
    return days - pd.to_timedelta(np.maximum(index.day_of_week - 4, 0), unit="D")


def daily_prices(prices: pd.Series) -> pd.Series:
    """The last price of each business day, on every Monday to Friday from the first to the last; NaN where nothing traded."""
    days = business_day(pd.DatetimeIndex(prices.index))
    daily = prices.groupby(days).last().reindex(_business_days(days))
    daily.name = prices.name
    return daily


def hourly_prices(table: Table) -> Table:
    """The last value of each hour, intraday rows only; hours without a value (in a frame: without all values) are left out."""
    rows = intraday_rows(table)
    return rows.groupby(pd.DatetimeIndex(rows.index).floor("h")).last().dropna()


def daily_volume(volume: pd.Series) -> pd.Series:
    """Volume by business day: the daily bars' where there is one, otherwise the sum of intraday ones; none or zero is NaN."""
    if not len(volume):
        return volume
    index = pd.DatetimeIndex(volume.index)
    days, closing = business_day(index), is_closing(index)
    intraday = volume[~closing].groupby(days[~closing]).sum().replace(0.0, np.nan)
    close = volume[closing].groupby(days[closing]).sum().replace(0.0, np.nan)
    range_ = _business_days(days)
    daily = close.reindex(range_).fillna(intraday.reindex(range_))
    daily.name = volume.name
    return daily


def _business_days(days: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return pd.date_range(days.min(), days.max(), freq="B", name=days.name).as_unit(days.unit)
