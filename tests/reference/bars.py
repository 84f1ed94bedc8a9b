"""How the reference cleans, merges and reads bars. tradeflow stores bars by contract, frequency and start instead (`prices.bar_store`).

A table of bars has an index of stamps and the columns OPEN, HIGH, LOW, FINAL, VOLUME, or some of them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import pandas as pd

from tradeflow_core.errors import DataError
from tradeflow_core.series import first_spike
from tradeflow_core.series.bars import Table, business_dates, business_days, is_closing

MAX_SPIKE = 8.0
"""Largest plausible change, in units of the average absolute daily change."""


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


def find_spike(prices: pd.Series, since: pd.Timestamp | None = None, limit: float = MAX_SPIKE) -> Spike | None:
    """The first change of more than `limit` units at or after `since` (anywhere where None), or None.

    `prices`: the whole merged series, sorted. A first move after a flat history is always a spike.
    """
    index = pd.DatetimeIndex(prices.index)
    first = 0 if since is None else int(index.searchsorted(since))
    found = first_spike(index.as_unit("ns").asi8, prices.to_numpy(dtype=float), first, limit=limit)
    return found and Spike(index[found[0]], found[1])


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


def full_merge(old: pd.DataFrame, new: pd.DataFrame, *, overwrite: bool = False) -> Merge:
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


def closing_rows(table: Table) -> Table:
    """The daily closes of a merged table."""
    return table[is_closing(pd.DatetimeIndex(table.index))]


def daily_prices(prices: pd.Series) -> pd.Series:
    """The last price of each business day, on every Monday to Friday from the first to the last; NaN where nothing traded."""
    days = business_dates(pd.DatetimeIndex(prices.index))
    daily = prices.groupby(days).last().reindex(business_days(days))
    daily.name = prices.name
    return daily
