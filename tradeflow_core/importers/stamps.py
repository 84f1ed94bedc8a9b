"""Local wall times of a recording as instants: unique and in order, whatever the clocks did."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Instants:
    """`utc`: the instants (`datetime64[us, UTC]`) of as many wall times; `odd`: how many of those exist twice or never."""

    utc: pd.DatetimeIndex
    odd: int


def to_instants(local: pd.DatetimeIndex, zone: str, what: str) -> Instants:
    """Increasing naive wall times of `zone` as increasing instants.

    A time that occurs twice, when summer time ends, is taken as its first occurrence. A time that never was, when it begins, lies in the
    last hundredths of a second before the change, one microsecond for each second by which it precedes the end of the gap: so it stays
    between its neighbours. Raises ConfigError for an unknown zone, DataError naming `what` where an instant would not be after its neighbour
    (only wall times of parts of a second within a gap can do that).
    """
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"{zone!r} is not a time zone; use an IANA name such as Europe/London") from error
    local = local.as_unit("us")
    first = local.tz_localize(zone, ambiguous=np.ones(len(local), dtype=bool), nonexistent="NaT")
    never = np.asarray(first.isna()) & np.asarray(local.notna())
    twice = np.asarray(first != local.tz_localize(zone, ambiguous=np.zeros(len(local), dtype=bool), nonexistent="NaT")) & ~never
    utc = np.array(first.tz_convert("UTC").as_unit("us").asi8)
    if never.any():
        change = local[never].tz_localize(zone, nonexistent="shift_forward")
        seconds = (change.tz_localize(None) - local[never]) // pd.Timedelta(seconds=1)
        utc[never] = change.tz_convert("UTC").as_unit("us").asi8 - np.asarray(seconds, dtype=np.int64)
    index = pd.DatetimeIndex(utc.view("M8[us]"), name=local.name).tz_localize("UTC")
    order = np.diff(utc) <= 0
    if order.any() and local.is_monotonic_increasing and local.is_unique:
        bad = int(np.argmax(order)) + 1
        raise DataError(
            f"{what}: the local times {local[bad - 1]} and {local[bad]} are not in order as instants of {zone}; choose another zone"
        )
    return Instants(index, int(never.sum() + twice.sum()))
