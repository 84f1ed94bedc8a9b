"""When markets trade: local opening hours from a table, holidays from exchange calendars, results in UTC.

A session (`sessions.csv`) is one or more daily windows in the time zone of its exchange. Days are *trade dates*: the
window `17:00-1d` to `16:00` of Monday opens on Sunday evening, `17:15` to `03:00+1d` of Friday closes on Saturday morning. The
hours are local, so summer time moves them in UTC and never in local time. A holiday closes every window of its trade date; a half day
ends what is open when the exchange closes early, and what would open later does not.

Columns: Session, Zone (IANA name), Calendar (a name of exchange_calendars, or `none` for a market without holidays),
Days (`Mon-Fri`, `Sun-Thu`, `Mon`), Open, Close, and HalfDays, which may be missing: when the product closes on half days of its exchange,
a local time, or `none` where it has whole days; empty: when the exchange does. `special_days.py` knows single days.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.instruments.instrument import Instrument
from tradeflow_core.instruments.special_days import (
    COLUMNS,
    SPECIAL_DAYS,
    SpecialDays,
    clock,
    ends_at,
    half_days,
    is_clock,
    read_special_days,
)
from tradeflow_core.instruments.tables import Row, find_instrument, read_first, table_folders, unknown_name

NO_CALENDAR = "none"
NO_HALF_DAYS = "none"

_COLUMNS = ("Session", "Zone", "Calendar", "Days", "Open", "Close")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)([+-]1d)?")
_SEARCH_DAYS = 30
_EARLIEST, _LATEST = date(1990, 1, 1), date(2049, 12, 31)


@dataclass(frozen=True, slots=True)
class Window:
    """One daily window: `weekdays` of its trade dates (Monday is 0), `open` and `close` relative to local midnight."""

    weekdays: frozenset[int]
    open: timedelta
    close: timedelta


@dataclass(frozen=True, slots=True)
class Session:
    """The trading hours of an exchange or of a group of its products; `windows` in the order of opening; `half_days`: the column's text."""

    name: str
    zone: ZoneInfo
    calendar: str
    windows: tuple[Window, ...]
    half_days: str = ""
    special_days: SpecialDays = field(default_factory=SpecialDays)


class Sessions:
    """The opening hours of a set of instruments.

    `instruments` by code, `sessions` by name. Arguments and results are aware instants, results in UTC. Methods raise
    DataError for a naive instant, and for a date for which the holidays of the exchange are not recorded; ConfigError for an
    unknown instrument or session, and for an instrument whose hours are unknown.
    """

    def __init__(self, instruments: Mapping[str, Instrument], sessions: Mapping[str, Session]) -> None:
        self._instruments = dict(instruments)
        self._sessions = dict(sessions)
        for instrument in self._instruments.values():
            if instrument.session is not None and instrument.session not in self._sessions:
                problem = unknown_name(instrument.session, self._sessions, "session")
                raise ConfigError(f"instrument {instrument.code}: {problem}; correct its Session or add it to sessions.csv")
        self._bounds: dict[tuple[str, date], tuple[tuple[datetime, datetime], ...]] = {}

    def session_of(self, name: str) -> Session:
        """The session of that name, or of the instrument with that code."""
        if name in self._sessions:
            return self._sessions[name]
        session = find_instrument(self._instruments, name).session
        if session is None:
            raise ConfigError(
                f"the trading hours of {name} are unknown: give it a Session in an instruments.csv of the home's config folder"
            )
        return self._sessions[session]

    def is_business_day(self, name: str, day: date) -> bool:
        """Whether `day` is a trade date of a session (or of an instrument's session): one of its weekdays and no holiday."""
        return _is_trade_date(self.session_of(name), _as_date(day))

    def session_bounds(self, name: str, day: date) -> list[tuple[datetime, datetime]]:
        """(open, close) in UTC of every window of trade date `day`, in order; empty on a holiday or weekend."""
        return list(self._windows_of(self.session_of(name), _as_date(day)))

    def trading_days(self, name: str, start: date, end: date) -> pd.DatetimeIndex:
        """The trade dates from `start` to `end`, both included, as naive midnights."""
        session = self.session_of(name)
        days = pd.date_range(_as_date(start), _as_date(end), freq="D", name="date")
        days = days[days.day_of_week.isin(sorted(_weekdays(session)))]
        regular = days
        if session.calendar != NO_CALENDAR and len(days):
            calendar = _calendar(session.calendar)
            calendar.require(session.name, days[0].date(), days[-1].date())
            regular = days[days.isin(calendar.days)]
        return session.special_days.applied(days, regular)

    def is_open(self, instrument: str, time: datetime) -> bool:
        """Whether the market trades at `time`: the opening time is included, the closing time is not."""
        return self.closes_at(instrument, time) is not None

    def closes_at(self, instrument: str, time: datetime) -> datetime | None:
        """When the window that is open at `time` closes (UTC); None where the market is closed."""
        session, utc = self.session_of(instrument), _utc(time)
        local_day = utc.astimezone(session.zone).date()
        for shift in (-1, 0, 1):
            for opens, closes in self._windows_of(session, local_day + timedelta(days=shift)):
                if opens <= utc < closes:
                    return closes
        return None

    def hours_until_close(self, instrument: str, time: datetime) -> float:
        """Hours until the window that is open at `time` closes; 0 where the market is closed."""
        closes = self.closes_at(instrument, time)
        return 0.0 if closes is None else (closes - _utc(time)).total_seconds() / 3600

    def next_open(self, instrument: str, time: datetime) -> datetime:
        """The first opening of a window at or after `time` (UTC). DataError where there is none in the next 30 days."""
        session, utc = self.session_of(instrument), _utc(time)
        local_day = utc.astimezone(session.zone).date()
        for shift in range(-1, _SEARCH_DAYS + 1):
            for opens, _ in self._windows_of(session, local_day + timedelta(days=shift)):
                if opens >= utc:
                    return opens
        raise DataError(
            f"{instrument}: session {session.name} does not open in the {_SEARCH_DAYS} days after {utc}; check its calendar"
        )

    def _windows_of(self, session: Session, day: date) -> tuple[tuple[datetime, datetime], ...]:
        key = (session.name, day)
        if key not in self._bounds:
            windows = [w for w in session.windows if day.weekday() in w.weekdays] if _is_trade_date(session, day) else []
            last = _last_trade(session, day)
            self._bounds[key] = tuple(
                (
                    _instant(day, w.open, session.zone),
                    _instant(day, w.close if last is None else min(w.close, last), session.zone),
                )
                for w in windows
                if last is None or w.open < last
            )
        return self._bounds[key]


def load_sessions(instruments: Mapping[str, Instrument], *folders: str | Path) -> Sessions:
    """The opening hours of `instruments`, from the packaged sessions; a session in a folder's `sessions.csv` replaces the one of that name,
    and so do the special days of a session in a folder's `special_days.csv`."""
    sessions: dict[str, Session] = {}
    special: dict[str, SpecialDays] = {}
    for folder in table_folders(folders):
        _, days = read_first(folder, (SPECIAL_DAYS,), COLUMNS)
        special |= read_special_days(days)
        _, rows = read_first(folder, ("sessions.csv",), _COLUMNS)
        grouped: dict[str, list[Row]] = {}
        for row in rows:
            grouped.setdefault(row.code("Session"), []).append(row)
        sessions.update({name: _session(name, lines) for name, lines in grouped.items()})
    for name in special:
        if name not in sessions:
            raise ConfigError(f"{SPECIAL_DAYS}: {unknown_name(name, sessions, 'session')}; correct it, or add it to sessions.csv")
    return Sessions(
        instruments, {name: replace(each, special_days=special.get(name, SpecialDays())) for name, each in sessions.items()}
    )


@dataclass(frozen=True, slots=True)
class _Calendar:
    """The trade dates of an exchange, and the years for which its holidays are recorded."""

    name: str
    first: date
    last: date
    days: pd.DatetimeIndex
    dates: frozenset[date]
    zone: ZoneInfo
    half_days: Mapping[date, time]

    def require(self, session: str, start: date, end: date) -> None:
        """Raise DataError where `start` or `end` is outside the recorded years."""
        if start < self.first or end > self.last:
            day = start if start < self.first else end
            raise DataError(
                f"session {session}: the holidays of calendar {self.name} are known from {self.first} to {self.last}, not on {day}; "
                f"ask for other dates, upgrade exchange_calendars, or write the calendar {NO_CALENDAR} in the home's sessions.csv"
            )


@cache
def _calendar(name: str) -> _Calendar:
    # Imported here, since it takes 0.1 s and most commands need no holidays.
    from exchange_calendars import get_calendar
    from exchange_calendars.errors import InvalidCalendarName

    try:
        # Any recorded year will do: the limits and the rule of business days are those of the whole calendar.
        calendar = get_calendar(name, start="2015-01-01", end="2015-12-31")
    except InvalidCalendarName:
        raise ConfigError(
            f"sessions.csv, column Calendar: {name!r} is no calendar of exchange_calendars; see its list, or write none"
        ) from None
    low, high = calendar.bound_min(), calendar.bound_max()
    first = _EARLIEST if low is None else max(_EARLIEST, low.date())
    last = _LATEST if high is None else min(_LATEST, high.date())
    days = pd.date_range(first, last, freq=calendar.day)
    early = half_days(calendar, first, last)
    return _Calendar(name, first, last, days, frozenset(days.date), ZoneInfo(str(calendar.tz)), early)


def _is_trade_date(session: Session, day: date) -> bool:
    if day.weekday() not in _weekdays(session):
        return False
    if (special := session.special_days.on(day)) is not None and special.takes_place is not None:
        return special.takes_place
    if session.calendar == NO_CALENDAR:
        return True
    calendar = _calendar(session.calendar)
    calendar.require(session.name, day, day)
    return day in calendar.dates


def _last_trade(session: Session, day: date) -> timedelta | None:
    """When a trade date ends early, from local midnight; None where it does not."""
    if (special := session.special_days.on(day)) is not None:
        return special.close
    if session.calendar == NO_CALENDAR or session.half_days == NO_HALF_DAYS:
        return None
    calendar = _calendar(session.calendar)
    if (at := calendar.half_days.get(day)) is None:
        return None
    return clock(session.half_days) if session.half_days else ends_at(day, at, exchange=calendar.zone, session=session.zone)


def _weekdays(session: Session) -> frozenset[int]:
    return frozenset().union(*(window.weekdays for window in session.windows))


def _instant(day: date, clock: timedelta, zone: ZoneInfo) -> datetime:
    # Naive addition keeps the local time of the exchange; the conversion then applies the summer time of that day.
    return (datetime.combine(day, datetime.min.time()) + clock).replace(tzinfo=zone).astimezone(UTC)


def _utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise DataError(f"the instant {time} has no time zone; pass an aware UTC instant")
    if isinstance(time, pd.Timestamp):
        time = time.to_pydatetime(warn=False)
    return time.astimezone(UTC)


def _as_date(day: date) -> date:
    return day.date() if isinstance(day, datetime) else day


def _session(name: str, rows: list[Row]) -> Session:
    for row in rows[1:]:
        for column in ("Zone", "Calendar", "HalfDays"):
            if row.cells.get(column) != rows[0].cells.get(column):
                raise row.error(
                    column, f"{row.cells[column]} differs from line {rows[0].line} of the same session; make them equal"
                )
    pairs = sorted(((_window(row), row) for row in rows), key=lambda pair: pair[0].open)
    for (before, _), (after, row) in pairwise(pairs):
        if before.close > after.open and before.weekdays & after.weekdays:
            raise row.error("Open", f"this window of session {name} opens before the previous one closes; shorten one of them")
    windows = tuple(window for window, _ in pairs)
    return Session(name, _zone(rows[0]), rows[0].text("Calendar"), windows, _half_days(rows[0]))


def _half_days(row: Row) -> str:
    text = row.cells.get("HalfDays", "")
    if text and text != NO_HALF_DAYS and not is_clock(text):
        raise row.error(
            "HalfDays", f"{text!r} is neither a time nor none; write 12:15, none, or nothing for the close of the exchange"
        )
    return text


def _zone(row: Row) -> ZoneInfo:
    text = row.text("Zone")
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise row.error("Zone", f"{text!r} is not a time zone; write an IANA name such as Europe/Berlin") from None


def _window(row: Row) -> Window:
    opens, closes = _clock(row, "Open"), _clock(row, "Close")
    if closes <= opens:
        late, early = row.cells["Close"], row.cells["Open"]
        raise row.error(
            "Close", f"{late} is not after the opening at {early}; across midnight write {late[:5]}+1d, or open at {early[:5]}-1d"
        )
    if closes - opens > timedelta(days=1):
        raise row.error("Close", "the window is longer than a day; write one window for each trade date")
    return Window(_days(row), opens, closes)


def _clock(row: Row, column: str) -> timedelta:
    text = row.text(column)
    if not (match := _CLOCK.fullmatch(text)):
        raise row.error(
            column, f"{text!r} is not a time; write HH:MM, HH:MM-1d for the evening before or HH:MM+1d for the next day"
        )
    hours, minutes, shift = match.groups()
    return timedelta(days=int(shift[:2]) if shift else 0, hours=int(hours), minutes=int(minutes))


def _days(row: Row) -> frozenset[int]:
    text = row.text("Days")
    first, _, last = text.partition("-")
    if first not in _WEEKDAYS or (last or first) not in _WEEKDAYS:
        raise row.error("Days", f"{text!r} is not a span of days; write Mon-Fri, Sun-Thu or one of {', '.join(_WEEKDAYS)}")
    start, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last or first)
    return frozenset((start + n) % 7 for n in range((end - start) % 7 + 1))
