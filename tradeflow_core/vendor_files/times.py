"""Times as vendors write them: read in any of a profile's forms, and put into the zone where they were written.

Clocks that are put back in autumn give one hour twice, and clocks that are put forward in spring leave one out. Of two rows with one local time
the first is the first of the two hours, the second the second. A time that does not exist is never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.vendor_files.profile import ISO

_OFFSET = r":\d{2}.*(?:[Zz]|[+-]\d{2}:?\d{2})$"
_SHORTEST_ISO = len("20240131")
"""pandas takes 2024 for the first of January."""
_SHORTEST_WITH_OFFSET = len("2024-01-31T14:00Z")

Texts = NDArray[np.object_]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class ReadTimes:
    """Times of rows: `local` in the zone of the file, without it (NaT: unreadable); `instant` in UTC where the text has an offset, else NaT."""

    local: pd.DatetimeIndex
    instant: pd.DatetimeIndex

    @property
    def unreadable(self) -> NDArray[np.bool_]:
        """The rows whose text is no time."""
        return np.asarray(self.local.isna())


def read_times(text: Texts, forms: Sequence[str], zone: str) -> ReadTimes:
    """The times of stripped texts, each in the first of the `forms` that fits it."""
    never = np.full(len(text), "NaT", dtype="M8[us]")
    local, instant = never.copy(), never.copy()
    lengths = np.fromiter(map(len, text), dtype=np.int64, count=len(text))
    for form in forms:
        rows = np.flatnonzero(np.isnat(local))
        if form == ISO:
            rows = rows[lengths[rows] >= _SHORTEST_ISO]
        if not len(rows):
            continue
        for part, with_offset in _by_offset(text, rows, form, lengths=lengths):
            kind = "ISO8601" if form == ISO else form
            parsed = pd.DatetimeIndex(
                pd.to_datetime(pd.Index(text[part]), format=kind, errors="coerce", utc=with_offset)
            ).as_unit("us")
            if with_offset:
                instant[part] = parsed.tz_localize(None).to_numpy()
                parsed = parsed.tz_convert(ZoneInfo(zone)).tz_localize(None)
            local[part] = parsed.to_numpy()
    return ReadTimes(pd.DatetimeIndex(local), pd.DatetimeIndex(instant, tz="UTC"))


def _by_offset(text: Texts, rows: Rows, form: str, *, lengths: NDArray[np.int64]) -> list[tuple[Rows, bool]]:
    """The rows without an offset and those with one."""
    if form != ISO:
        return [(rows, "%z" in form)]
    if (lengths[rows] < _SHORTEST_WITH_OFFSET).all():
        return [(rows, False)]
    has_offset = pd.Series(text[rows]).str.contains(_OFFSET, regex=True).to_numpy(dtype=bool)
    return [(part, with_offset) for part, with_offset in ((rows[~has_offset], False), (rows[has_offset], True)) if len(part)]


@dataclass(frozen=True)
class Instants:
    """`utc`: NaT where the local time does not exist. `alone`: times in an hour that occurs twice that stand in the file once, so that nothing
    tells which of the two they are; they are taken for the second one. `order`: the rows, those of the two hours one hour after the other."""

    utc: pd.DatetimeIndex
    alone: NDArray[np.bool_]
    order: Rows

    @property
    def missing(self) -> NDArray[np.bool_]:
        """The rows whose time does not exist."""
        return np.asarray(self.utc.isna())


def instants_of(times: ReadTimes, zone: str) -> Instants:
    """The instants of readable times that are in the order of time, as it stands in the file."""
    local, at = times.local, ZoneInfo(zone)
    never = np.zeros(len(local), dtype=bool)
    summer, winter = (
        local.tz_localize(at, ambiguous=np.full(len(local), is_summer), nonexistent="NaT").tz_convert("UTC")
        for is_summer in (True, False)
    )
    known = np.asarray(times.instant.notna())
    twice = np.asarray(summer != winter) & np.asarray(summer.notna()) & ~known
    is_first, alone = never.copy(), never.copy()
    order = np.arange(len(local))
    for rows in _of_one_night(local, twice):
        is_first[rows], alone[rows] = _first_hour(local[rows])
        order[rows] = rows[np.argsort(~is_first[rows], kind="stable")]
    utc = summer.where(is_first, winter).where(~known, times.instant)
    return Instants(utc, alone, order)


def _of_one_night(local: pd.DatetimeIndex, twice: NDArray[np.bool_]) -> list[Rows]:
    """The rows whose time occurs twice, together for each night; there is one in a year."""
    rows = np.flatnonzero(twice)
    if not len(rows):
        return []
    days = local[rows].normalize().asi8  # type: ignore[attr-defined]
    return np.split(rows, np.flatnonzero(np.diff(days)) + 1)


def _first_hour(local: pd.DatetimeIndex) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of the rows of one night: which are in the first of the two hours, and of which nobody can tell."""
    stamps = local.asi8  # type: ignore[attr-defined]
    seen = pd.Series(stamps).groupby(stamps).cumcount().to_numpy()
    turned = np.append(False, np.diff(stamps) <= 0)
    if not turned.any():
        return np.zeros(len(stamps), dtype=bool), np.ones(len(stamps), dtype=bool)
    turn = int(np.argmax(turned))
    if turned.sum() == 1:
        return np.arange(len(stamps)) < turn, np.zeros(len(stamps), dtype=bool)
    return seen == 0, np.zeros(len(stamps), dtype=bool)
