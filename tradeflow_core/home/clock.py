"""The one clock. Everything that asks for the time asks a `Clock`, so that live trading, the simulated market and a
replay of the past run the same code. All instants are timezone-aware UTC."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol

from tradeflow_core.errors import StateError


class Clock(Protocol):
    """Tells the time, in timezone-aware UTC, and lets it pass: a wall clock by waiting, a simulated one by moving.

    Which of the two a home has, `Settings.time_is_real` says.
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
    """Mondays to Fridays before `day`, since a Monday long ago."""
    weeks, rest = divmod(day.toordinal() - 1, 7)
    return 5 * weeks + min(rest, 5)


class WallClock:
    """The time of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, seconds: float) -> None:
        """Let that much time pass."""
        time.sleep(seconds)

    def advance_to(self, instant: datetime) -> None:
        """Refused: real time cannot be moved."""
        raise StateError(f"real time cannot be moved to {instant:%Y-%m-%d %H:%M}; only a simulated or replayed home's can")


class SimulatedClock:
    """A clock that stands still until it is told to move, and never moves back.

    Its time lies in a file of the home, so that every process of the desk reads the same instant, and a process that
    was killed goes on where the time stood.
    """

    def __init__(self, path: Path, start: datetime | None = None) -> None:
        self._path = path
        self._stamp = -1
        self._now = datetime.min.replace(tzinfo=UTC)
        if not path.exists():
            if start is None:
                raise StateError(f"the simulated clock {path} is missing; create the home again with `tradeflow init`")
            self._write(as_utc(start))

    def now(self) -> datetime:
        stamp = self._path.stat().st_mtime_ns
        if stamp != self._stamp:
            self._now = datetime.fromisoformat(json.loads(self._path.read_text())["now"])
            self._stamp = stamp
        return self._now

    def advance_to(self, instant: datetime) -> None:
        """Move the time forward to `instant`; an instant that has passed already changes nothing."""
        instant = as_utc(instant)
        if instant > self.now():
            self._write(instant)

    def wait(self, seconds: float) -> None:
        """Move the time forward by that much."""
        self.advance_to(self.now() + timedelta(seconds=seconds))

    def _write(self, instant: datetime) -> None:
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps({"now": instant.isoformat()}))
        os.replace(temporary, self._path)
        self._stamp = -1
