"""Prices of one contract by stamp: the spike check, and daily and hourly views."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pandas as pd

from tradeflow_core.model import CLOSING_HOUR

SPIKE_SPAN = 500
"""Span, in rows, of the exponentially weighted average of absolute changes."""
NANOSECONDS_A_DAY = 86_400 * 10**9

Table = TypeVar("Table", pd.Series, pd.DataFrame)


def spike_units(prices: pd.Series) -> pd.Series:
    """Each change of price in units of the average absolute daily change so far; index from the second row on.

    A change is divided by the square root of the days since the row before (fractional); the average is exponentially
    weighted over 500 rows, the change itself included, so that the first value is 1. NaN prices give NaN.
    """
    index = pd.DatetimeIndex(prices.index)
    return pd.Series(_spike_units(index.as_unit("ns").asi8, prices.to_numpy(dtype=float)), index=index[1:])


def _spike_units(stamps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`spike_units` of plain arrays; `stamps` in nanoseconds."""
    from scipy.signal import lfilter  # imported here: it takes a third of a second to load, and only new bars need it

    with np.errstate(divide="ignore", invalid="ignore"):
        changes = np.abs(np.diff(values)) / np.sqrt(np.diff(stamps) / NANOSECONDS_A_DAY)
        has_change = ~np.isnan(changes)
        decay = 1 - 2 / (SPIKE_SPAN + 1)
        total = lfilter([1.0], [1.0, -decay], np.where(has_change, changes, 0.0))
        weight = lfilter([1.0], [1.0, -decay], has_change.astype(float))
        return np.asarray(changes / (total / weight))


def first_spike(
    stamps: np.ndarray, values: np.ndarray, first: int, *, limit: float, decided: np.ndarray | None = None
) -> tuple[int, float] | None:
    """The first change of more than `limit` units among the rows from `first` on that are not `decided`: its row, and its size as in
    `spike_units`.

    `stamps`: nanoseconds. None where there is no such change.
    """
    if len(values) < 2:
        return None
    skipped = max(first - 1, 0)
    units = _spike_units(stamps, values)[skipped:]
    beyond = np.flatnonzero(units > limit if decided is None else (units > limit) & ~decided[skipped + 1 :])
    return (skipped + int(beyond[0]) + 1, float(units[beyond[0]])) if len(beyond) else None


def is_closing(index: pd.DatetimeIndex) -> np.ndarray:
    """True for stamps of the daily close, 23:00:00 (fractions of a second count as zero), in the index's own time zone."""
    return np.asarray((index.hour == CLOSING_HOUR) & (index.minute == 0) & (index.second == 0))


def intraday_rows(table: Table) -> Table:
    """The rows of a merged table that are not daily closes."""
    return table[~is_closing(pd.DatetimeIndex(table.index))]


def at_close(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Dates as stamps of the daily close; a stamp that is not midnight stays."""
    return index.where(index != index.normalize(), index + pd.Timedelta(hours=CLOSING_HOUR))


def business_dates(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The business day of each stamp, at midnight: its date, and for Saturday and Sunday the Friday before."""
    days = index.normalize()
    return days - pd.to_timedelta(np.maximum(index.day_of_week - 4, 0), unit="D")


def hourly_prices(table: Table) -> Table:
    """The last value of each hour, intraday rows only; hours without a value (in a frame: without all values) are left out."""
    rows = intraday_rows(table)
    return rows.groupby(pd.DatetimeIndex(rows.index).floor("h")).last().dropna()


def daily_volume(volume: pd.Series) -> pd.Series:
    """Volume by business day: the daily bars' where there is one, otherwise the sum of intraday ones; none or zero is NaN."""
    if not len(volume):
        return volume
    index = pd.DatetimeIndex(volume.index)
    days, closing = business_dates(index), is_closing(index)
    intraday = volume[~closing].groupby(days[~closing]).sum().replace(0.0, np.nan)
    close = volume[closing].groupby(days[closing]).sum().replace(0.0, np.nan)
    all_days = business_days(days)
    daily = close.reindex(all_days).fillna(intraday.reindex(all_days))
    daily.name = volume.name
    return daily


def business_days(days: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return pd.date_range(days.min(), days.max(), freq="B", name=days.name).as_unit(days.unit)
