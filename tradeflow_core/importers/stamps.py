"""Converts local times of a recording to UTC, unique and in order, also where summer time begins or ends."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Instants:
    """`utc`: times in UTC (`datetime64[us, UTC]`); `odd`: how many of the local times occur twice or never."""

    utc: pd.DatetimeIndex
    odd: int


def to_instants(local: pd.DatetimeIndex, zone: str, what: str) -> Instants:
    """Increasing local times of `zone`, without a zone, as increasing times in UTC.

    A time that occurs twice, when summer time ends, is its first occurrence. A time that does not exist, when summer time begins, becomes a
    time just before the change: one microsecond before it for each second between that time and the end of the gap, so that order is kept.
    Raises ConfigError for an unknown zone, DataError naming `what` where a time would not be later than the previous one (only possible
    where times in a gap differ by parts of a second).
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
