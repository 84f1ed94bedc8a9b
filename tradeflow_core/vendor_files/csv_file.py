"""One CSV file of a vendor: the bars of a contract, which rows were left out and why, and everything that is wrong."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.errors import ConfigError
from tradeflow_core.prices import BAR_TYPES, INTRADAY_MINUTES, History
from tradeflow_core.series import at_close
from tradeflow_core.vendor_files.numbers import hint, read_numbers
from tradeflow_core.vendor_files.profile import ISO, Profile
from tradeflow_core.vendor_files.table import FINAL, PRICES, TIME, VOLUME, Table, read_table
from tradeflow_core.vendor_files.times import ReadTimes, instants_of, read_times

NO_PRICES, MISSING_HOUR, REPEATED = "without prices", "in an hour that does not exist", "repeated"
"""Reasons for which rows are left out."""


def read_history(path: Path, contract: int, *, frequency: str, profile: Profile, zone: str) -> History:
    """The bars of one contract in a CSV file with a header.

    Times without an offset are in the profile's zone (default: `zone`, the desk's). The time of a daily row is a date, whose bar ends at 23:00 of it
    in `zone`, or the time of the close; that of an intraday row is the start of its bar. Rows may stand from the newest to the oldest. Raises
    ConfigError with everything that is wrong in the file.
    """
    table = read_table(path, profile)
    file_zone = profile.zone or zone
    lines, skipped, problems = table.lines, dict(table.skipped), table.problems
    times = read_times(table.cells[TIME], profile.times, file_zone)
    form = " or ".join("2024-01-31, 2024-01-31 14:00" if each == ISO else each for each in profile.times)
    table.refuse(TIME, times.unreadable, f"is not a time; write it as {form}, or name its form with --time-format")
    values, empty = _prices(table, profile)
    if profile.skip.empty_days and empty.any():
        skipped[NO_PRICES] = int(empty.sum())
    else:
        table.refuse(FINAL, empty, "is no price; remove the row, or set `skip: {empty_days: true}` in a profile")
    problems.raise_if_any()

    rows = np.flatnonzero(~empty)
    if len(rows) > 1 and times.local[rows[0]] > times.local[rows[-1]]:
        rows = rows[::-1]  # the newest stand first
    times = ReadTimes(times.local[rows], times.instant[rows])
    _check_kind(path, times, frequency)
    notes = []
    if frequency == "D":
        start, end = _daily(times, file_zone, zone)
    else:
        found = instants_of(times, file_zone)
        if count := int(found.alone.sum()):
            notes.append(
                f"{path.name}: {count:,} rows are in an hour that occurs twice in {file_zone}, and stand there once, the first on line "
                f"{lines[rows[found.alone][0]]}; they were taken for the second one, in winter time"
            )
        there = ~found.missing
        if profile.skip.missing_hours and not there.all():
            skipped[MISSING_HOUR] = int((~there).sum())
        else:
            what = f"does not exist in {file_zone}: the clocks were put forward; is the file in another time zone (--zone)? "
            table.refuse(TIME, rows[~there], f"{what}If not, remove the row, or set `skip: {{missing_hours: true}}` in a profile")
            problems.raise_if_any()
        order = found.order[there[found.order]]
        rows, start = rows[order], found.utc[order]
        end = start + pd.Timedelta(minutes=INTRADAY_MINUTES[frequency])
    frame = pd.DataFrame({name: column[rows] for name, column in values.items()})
    frame = frame.assign(contract=contract, frequency=frequency, start=start, end=end)
    repeated = _repeated(table, frame, rows)
    if repeated.any():
        skipped[REPEATED] = int(repeated.sum())
    bars = frame[~repeated].reindex(columns=BAR_COLUMNS).astype(BAR_TYPES).reset_index(drop=True)
    return History(bars, skipped, tuple(notes))


def _prices(table: Table, profile: Profile) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.bool_]]:
    """The numbers of a table by column of bars, and which rows have no price at all."""
    values, empty, no_final = {}, np.ones(len(table.lines), dtype=bool), np.zeros(0, dtype=bool)
    for name in (*PRICES, VOLUME):
        if name not in table.names:
            continue
        rules = profile.numbers.model_copy(update={"fractions": False}) if name == VOLUME else profile.numbers
        text = table.cells[name]
        values[name], missing, wrong = read_numbers(text, rules)
        if wrong.any():
            table.refuse(name, wrong, f"is not a number; {hint(str(text[int(np.argmax(wrong))]), rules)}")
        if name in PRICES:
            empty &= missing
        if name == FINAL:
            no_final = missing
    table.refuse(FINAL, no_final & ~empty, "is not a number, though the row has other prices; write one such as 2.5")
    return values, empty


def _check_kind(path: Path, times: ReadTimes, frequency: str) -> None:
    """Raises ConfigError where a file of days was taken for one of hours, or the other way round."""
    days = times.local.normalize()
    if frequency == "D":
        most = int(days.value_counts().iloc[0]) if len(days) else 0
        if most > 2:
            raise ConfigError(f"{path}: has {most} rows of one day; if its rows are hours, give --frequency H")
    elif len(days) > 2 and (times.local == days).all():
        raise ConfigError(
            f"{path}: has dates alone, which are no starts of {frequency} bars; if its rows are days, give --frequency D"
        )


def _daily(times: ReadTimes, file_zone: str, zone: str) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """Start (midnight in the desk's `zone`) and end of daily bars, in UTC. A midnight of the file's zone is a date: a close of the desk."""
    desk_zone = ZoneInfo(zone)
    local, summer = times.local, np.zeros(len(times.local), dtype=bool)
    is_date = np.asarray(local == local.normalize())
    closes = at_close(local.normalize()).tz_localize(desk_zone, ambiguous=summer, nonexistent="shift_forward").tz_convert("UTC")
    end = closes
    if not is_date.all():
        at = local.tz_localize(ZoneInfo(file_zone), ambiguous=summer, nonexistent="shift_forward").tz_convert("UTC")
        end = closes.where(is_date, at.where(times.instant.isna(), times.instant))
    days = end.tz_convert(desk_zone).tz_localize(None).normalize()
    return days.tz_localize(desk_zone, ambiguous=summer, nonexistent="shift_forward").tz_convert("UTC"), end


def _repeated(table: Table, frame: pd.DataFrame, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which bars repeat the one before as it is; `rows`: where they are in the table.

    Raises ConfigError for two of one time that differ, and for an order that is none.
    """
    change = np.diff(pd.DatetimeIndex(frame["start"]).asi8, prepend=-1)  # type: ignore[attr-defined]
    text = "is not in order, from the oldest to the newest or the other way round; a time may be wrong: correct it, or sort the lines"
    change[:1] = 1
    table.refuse(TIME, rows[change < 0], text)
    repeated = np.asarray(frame.duplicated(keep="first")) & (change == 0)
    table.refuse(
        TIME, rows[(change == 0) & ~repeated], "the time occurs twice, with different values; keep the row that is right"
    )
    table.problems.raise_if_any()
    return repeated
