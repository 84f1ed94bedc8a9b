"""The clock of a home. All code asks a `Clock` for the time, so that live trading, the simulated market and a replay of the past
run the same code. All times are timezone-aware UTC."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol

from tradeflow_core.errors import StateError
from tradeflow_core.home.files import replace_text


class Clock(Protocol):
    """Tells the time, in timezone-aware UTC, and lets it pass: a wall clock by waiting, a simulated clock by moving.

    `Settings.time_is_real` says which of the two a home has.
    """

    def now(self) -> datetime: ...

    def wait(self, seconds: float) -> None: ...

    def advance_to(self, instant: datetime) -> None: ...


def as_utc(instant: datetime) -> datetime:
    """The same instant in UTC. Raises StateError for an instant without a time zone."""
    if instant.tzinfo is None:
        raise StateError(f"the instant {instant.isoformat()} has no time zone; give one, for example +00:00")
    return instant.astimezone(UTC)


def next_business_day(day: date) -> date:
    """The next Monday to Friday after `day`."""
    return day + timedelta(days=3 if day.weekday() == 4 else 2 if day.weekday() == 5 else 1)


def business_days_between(first: date, last: date) -> int:
    """Mondays to Fridays from `first` up to the day before `last`; negative where `last` comes first."""
    return _weekdays_before(last) - _weekdays_before(first) if last >= first else -business_days_between(last, first)


def _weekdays_before(day: date) -> int:
    """Mondays to Fridays from 0001-01-01, a Monday, up to the day before `day`."""
    weeks, rest = divmod(day.toordinal() - 1, 7)
    return 5 * weeks + min(rest, 5)


def _plausible(instant: datetime) -> datetime:
    """The same instant. Raises StateError for one beyond what prices and calendars reach."""
    if not 1900 <= instant.year < 2200:
        raise StateError(f"{instant.isoformat()} is not a time between 1900 and 2200")
    return instant


class WallClock:
    """The time of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, seconds: float) -> None:
        """Sleep for `seconds`."""
        time.sleep(seconds)

    def advance_to(self, instant: datetime) -> None:
        """Refused: real time cannot be moved."""
        raise StateError(f"real time cannot be moved to {instant:%Y-%m-%d %H:%M}; only a simulated or replayed home's can")


class SimulatedClock:
    """A clock that stands still until it is moved, and never moves back.

    The time is kept in a file of the home: every process of the desk reads the same time, and after a kill the next process goes on
    from it.
    """

    def __init__(self, path: Path, start: datetime | None = None) -> None:
        """`start`: the first time, written where there is no file yet."""
        self._path = path
        self._modified = -1
        self._now = datetime.min.replace(tzinfo=UTC)
        if start is not None and not path.exists():
            self._write(as_utc(start))

    def now(self) -> datetime:
        """The time of the file. Raises StateError, saying how to mend it, where the file is missing or holds no time."""
        try:
            modified = self._path.stat().st_mtime_ns
            if modified != self._modified:
                self._now = _plausible(as_utc(datetime.fromisoformat(json.loads(self._path.read_text(encoding="utf-8"))["now"])))
                self._modified = modified
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError, StateError) as error:
            raise StateError(
                f"the simulated clock {self._path} cannot be read ({error}); write the last time of the desk into it, which logs/ and reports/ "
                'show, as in {"now": "2024-01-02T21:00:00+00:00"}'
            ) from error
        return self._now

    def advance_to(self, instant: datetime) -> None:
        """Move the time forward to `instant`; a time that has already passed changes nothing."""
        instant = as_utc(instant)
        if instant > self.now():
            self._write(instant)

    def wait(self, seconds: float) -> None:
        """Move the time forward by `seconds`."""
        self.advance_to(self.now() + timedelta(seconds=seconds))

    def _write(self, instant: datetime) -> None:
        # Not synced to disk: it moves hundreds of times a day, and after a power cut an earlier time only repeats what is done already.
        replace_text(self._path, json.dumps({"now": instant.isoformat()}), sync=False)
        self._modified = -1
