"""Days on which a session ends early, does not take place, or takes place although its exchange has a holiday.

The calendar of an exchange knows its half days, for its main market. What a product does otherwise stands in tables: `HalfDays` of
`sessions.csv`, and `special_days.csv` (columns Session, Day, Close), whose rows go before the calendar. Day is a date, `2025-11-28`, or a day
of every year, `12-24`; Close is the local time of the last trade, `closed`, or `open` for a whole day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from tradeflow_core.instruments.tables import Row

SPECIAL_DAYS = "special_days.csv"
COLUMNS = ("Session", "Day", "Close")

_DAY = re.compile(r"(?:(\d{4})-)?(\d\d)-(\d\d)")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")

Day = tuple[int | None, int, int]
"""Year (None: every year), month and day."""


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """What a session does on a day: it `takes_place` or not (None: as the calendar says), and ends `close` after local midnight (None: as
    always)."""

    takes_place: bool | None = None
    close: timedelta | None = None


@dataclass(frozen=True, slots=True)
class SpecialDays:
    """Rows of the table for one session, by day."""

    by_day: Mapping[Day, SpecialDay] = field(default_factory=dict)

    def on(self, day: date) -> SpecialDay | None:
        """What the table says of a day; a date goes before a day of every year."""
        return self.by_day.get((day.year, day.month, day.day)) or self.by_day.get((None, day.month, day.day))

    def applied(self, days: pd.DatetimeIndex, regular: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Those of `days` on which the session takes place, if by its calendar it does on the `regular` ones."""
        if not self.by_day:
            return regular
        takes_place = days.isin(regular)
        for place, day in enumerate(days):
            if (special := self.on(day.date())) is not None and special.takes_place is not None:
                takes_place[place] = special.takes_place
        return days[takes_place]


def read_special_days(rows: Iterable[Row]) -> dict[str, SpecialDays]:
    """The table by session. Raises ConfigError naming a cell that is wrong."""
    found: dict[str, dict[Day, SpecialDay]] = {}
    for row in rows:
        days, day = found.setdefault(row.code("Session"), {}), _day(row)
        if day in days:
            raise row.error("Day", f"{row.cells['Day']} stands twice for session {row.cells['Session']}; keep one of the lines")
        days[day] = _special(row)
    return {session: SpecialDays(days) for session, days in found.items()}


def _day(row: Row) -> Day:
    text = row.text("Day")
    match = _DAY.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        year, month, day = match.groups()
        date(int(year or 2024), int(month), int(day))
    except ValueError:
        raise row.error("Day", f"{text!r} is no day; write 2025-11-28, or 12-24 for every year") from None
    return (int(year) if year else None, int(month), int(day))


def _special(row: Row) -> SpecialDay:
    text = row.text("Close")
    if text in ("closed", "open"):
        return SpecialDay(takes_place=text == "open")
    if not _TIME.fullmatch(text):
        raise row.error("Close", f"{text!r} is neither closed nor open nor a time; write one such as 12:15")
    return SpecialDay(close=clock(text))


def clock(text: str) -> timedelta:
    """A time `HH:MM` as what has gone by since midnight."""
    hours, minutes = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


def is_clock(text: str) -> bool:
    """Whether the text is a time such as 12:15."""
    return _TIME.fullmatch(text) is not None


def half_days(calendar: Any, first: date, last: date) -> dict[date, time]:
    """The days on which the exchange of a calendar (of exchange_calendars) closes early, and when, in its own zone.

    By its rules, since its schedule of decades takes a second to build.
    """
    found: dict[date, time] = {}
    for at, rule in calendar.special_closes:
        if isinstance(rule, int):  # every such weekday: those are regular hours of the exchange, not half days
            continue
        found |= dict.fromkeys((day.date() for day in rule.holidays(pd.Timestamp(first), pd.Timestamp(last))), at)
    for at, days in calendar.special_closes_adhoc:
        found |= {day.date(): at for day in pd.DatetimeIndex(days) if first <= day.date() <= last}
    return found


def ends_at(day: date, at: time, *, exchange: ZoneInfo, session: ZoneInfo) -> timedelta:
    """A close in the zone of the exchange as what has gone by since midnight of the day in the zone of the session."""
    local = datetime.combine(day, at, exchange).astimezone(session).replace(tzinfo=None)
    return local - datetime.combine(day, time())
