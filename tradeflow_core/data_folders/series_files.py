"""Reads CSV files of time series: valid files fast, and an invalid one with all that is wrong with it, by line and column.

One code for an import, a backtest and whatever else reads such files, so that all of them take and refuse the same.

- A line without any value is no line.
- A date alone is the close of that day, 23:00 (`at_close`), and so is midnight where no line has another time; a file may change from dates
  to times, which is noted.
- Lines from the newest to the oldest are turned round, and a line that is repeated as it is counts once; both are noted. Another order is
  refused, since a time may be wrong, and so are two lines of one time that differ.
- A contract is YYYYMM, YYYYMMDD, or a month letter with its year (`H24`, `H2024`).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tradeflow_core.data_folders.problems import Note, Problems
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.model import parse_contract
from tradeflow_core.series import at_close

STAMP, PRICE, CONTRACT = "stamp", "price", "contract"
"""Kinds of columns: a local time (`YYYY-MM-DD HH:MM:SS`, or a date), a number that may be missing, a contract id."""

SHOWN = 20
"""So many wrong cells of one file are named; the others are counted."""

MISSING = frozenset({"", "nan", "NaN", "NA", "N/A", "n/a", "null", "None", "NULL", "<NA>", "-nan", "-NaN", "#N/A"})
"""Texts that stand for no value."""

_DATE_LENGTH = len("2023-08-31")
_DATE = "\0is date"
"""A column beside those of the file while it is read."""


@dataclass(frozen=True, eq=False)
class SeriesFile:
    """What the file `path` holds. `frame`: index local times as they stand, without a zone (`datetime64[us]`), contracts int64, prices
    float64, in order of time. `is_date`: which lines have a date alone. `notes`: what was done that its reader ought to know."""

    path: Path
    frame: pd.DataFrame
    is_date: np.ndarray
    notes: tuple[Note, ...] = ()

    @property
    def closes(self) -> pd.DatetimeIndex:
        """The local times, with dates as closes of their days."""
        local = pd.DatetimeIndex(self.frame.index)
        return pd.DatetimeIndex(at_close(local).where(self.is_date, local), name=local.name)

    def at_closes(self) -> pd.DataFrame:
        """The frame with dates as closes of their days; a date gives way to a line that has the time of that close.

        Raises ConfigError where a date stands before hours of its day, so that nobody knows what it is.
        """
        closes = self.closes
        frame = self.frame.set_axis(closes, axis=0)
        if self.is_date.any() and not closes.is_unique:
            frame = frame[~(self.is_date & closes.isin(closes[~self.is_date]))]
        index = pd.DatetimeIndex(frame.index)
        if not index.is_monotonic_increasing:
            place = int(np.flatnonzero(np.diff(index.asi8) <= 0)[0])  # type: ignore[attr-defined]
            raise ConfigError(
                f"{self.path}: {index[place]:%Y-%m-%d} stands as a date alone before {index[place + 1]} of the same day; write the time of both"
            )
        return frame


def read_series(
    path: Path, columns: Mapping[str, str], *, about: str = "", dates_are_usual: bool = False, in_order: bool = True
) -> SeriesFile:
    """The `columns` of a CSV file: name to kind, the times first; other columns of the file are ignored. `about`: whose series it is.

    `dates_are_usual`: dates beside times need no note, and midnights are dates too (rates). `in_order`: False where lines may be in any order
    and times repeat (roll calendars). Raises ConfigError with everything that is wrong in the file.
    """
    about = about or path.stem
    data = _bytes_of(path)
    lines = data.splitlines()
    header = _header(path, lines, columns)
    numbers: Sequence[int] = range(2, len(lines) + 1)
    try:
        frame, is_date = _typed(data, header, columns, lines=len(lines))
    except (ValueError, DataError) as error:
        numbers = [number for number in numbers if lines[number - 1].strip(b", \t")]  # a line without any value is no line
        if not numbers:
            raise ConfigError(f"{path}: has no line below the header; restore the file, or leave it out") from error
        kept = b"\n".join([lines[0], *(lines[number - 1] for number in numbers)])
        try:
            frame, is_date = _typed(kept, header, columns, lines=len(numbers) + 1)
        except (ValueError, DataError) as wrong:
            raise _wrong_cells(path, data, header, columns=columns, otherwise=str(wrong)) from wrong
    is_midnight = np.asarray(frame.index == pd.DatetimeIndex(frame.index).normalize())
    frame[_DATE] = is_midnight if dates_are_usual or is_midnight.all() else is_date
    notes = [] if dates_are_usual else list(_of_dates(about, path, frame[_DATE].to_numpy(), numbers=numbers))
    if in_order:
        frame, more = _ordered(about, path, frame, numbers=numbers)
        notes += more
    return SeriesFile(path, frame.drop(columns=_DATE), frame[_DATE].to_numpy(dtype=bool), tuple(notes))


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); restore the file") from error


def _header(path: Path, lines: Sequence[bytes], columns: Mapping[str, str]) -> list[str]:
    first = (lines[0] if lines else b"").decode("utf-8", errors="replace")
    header = [name.strip() for name in next(csv.reader([first]), [])]
    if missing := [name for name in columns if name not in header]:
        raise ConfigError(f"{path}, line 1: no column {', '.join(missing)}; the header needs {','.join(columns)}")
    return header


def _typed(data: bytes, header: Sequence[str], columns: Mapping[str, str], *, lines: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The columns of so many lines, the header's included, with their types, and which lines have a date alone.

    Raises ValueError or DataError where a line or cell is wrong, or there is none.
    """
    if lines < 2 or data.count(b",") != (len(header) - 1) * lines:  # pandas would fill a short line with missing values
        raise DataError("its commas do not fit the header")
    # Without types: pandas reads twice as fast when it finds them itself, and what it finds tells whether every cell is a number.
    table = pd.read_csv(
        io.BytesIO(data), header=0, names=list(header), usecols=list(columns), skipinitialspace=True, low_memory=False
    )
    series = {}
    for name, kind in columns.items():
        values = table[name]
        if kind == STAMP:
            values = values.astype("str")
            index = pd.DatetimeIndex(pd.to_datetime(values, format="ISO8601"), name=name)
            if index.hasnans or index.tz is not None:
                raise DataError("a time is missing or has a time zone")
            is_date = values.str.strip().str.len().to_numpy(dtype=int) <= _DATE_LENGTH
            continue
        if kind == CONTRACT:
            positions, unique = pd.factorize(values)
            if (positions < 0).any():
                raise DataError("a contract is missing")
            series[name] = np.array([parse_contract(value) for value in unique], dtype=np.int64)[positions]
        elif values.dtype.kind not in "fi":
            raise DataError("a price is not a number")
        else:
            series[name] = values.to_numpy(dtype=float)
            if np.isinf(series[name]).any():
                raise DataError("a price is infinite")
    return pd.DataFrame(series, index=index.as_unit("us")), is_date


# --- order and dates -----------------------------------------------------------------------------------------------------


def _of_dates(about: str, path: Path, is_date: np.ndarray, *, numbers: Sequence[int]) -> Iterator[Note]:
    if not is_date.any() or is_date.all():
        return
    change = int(np.flatnonzero(is_date[1:] != is_date[:-1])[0]) + 1
    yield Note(
        about,
        "dates and times mixed",
        f"{path.name}: {int(is_date.sum()):,} of {len(is_date):,} lines have a date alone, which is taken for the close of that day; the form "
        f"changes at line {numbers[change]}.",
    )


def _ordered(about: str, path: Path, frame: pd.DataFrame, *, numbers: Sequence[int]) -> tuple[pd.DataFrame, list[Note]]:
    """The rows in order of time, each once; `numbers`: of their lines in the file.

    Raises ConfigError for two lines of one time that differ, and for an order that is none.
    """
    index = pd.DatetimeIndex(frame.index)
    if index.is_monotonic_increasing and index.is_unique:
        return frame, []
    notes, lines = [], np.array(numbers)
    if not index.is_monotonic_increasing and index.is_monotonic_decreasing:
        frame, lines = frame.iloc[::-1], lines[::-1]
        notes.append(Note(about, "lines turned round", f"{path.name} has its newest lines first; they were turned round."))
    frame, lines, repeated = _each_once(path, frame, lines)
    if repeated:
        notes.append(Note(about, "repeated lines", f"{path.name}: {repeated:,} lines that repeat another one were dropped."))
    problems = Problems()
    index = pd.DatetimeIndex(frame.index)
    for place in np.flatnonzero(np.diff(index.asi8) <= 0).tolist():  # type: ignore[attr-defined]
        problems.add(
            f"{path}, line {lines[place + 1]}, column {index.name}: {index[place + 1]} is not later than {index[place]} on the line above; "
            "a time may be wrong: correct it, or sort the lines"
        )
    problems.raise_if_any()
    return frame, notes


def _each_once(path: Path, frame: pd.DataFrame, lines: np.ndarray) -> tuple[pd.DataFrame, np.ndarray, int]:
    """Lines that repeat one of the same time as it is are dropped; returns the others, their numbers, and how many were dropped."""
    twice = frame.index.duplicated(keep="first")
    if not twice.any():
        return frame, lines, 0
    same = frame.reset_index().duplicated(keep="first").to_numpy()
    first_of = dict(zip(frame.index[~twice], lines[~twice], strict=True))
    problems = Problems()
    for place in np.flatnonzero(twice & ~same).tolist():
        first = first_of[frame.index[place]]
        problems.add(
            f"{path}, line {lines[place]}, column {frame.index.name}: {frame.index[place]} has other values than on line {first}; keep "
            "the right one of the two"
        )
    problems.raise_if_any()
    return frame[~same], lines[~same], int(same.sum())


# --- what is wrong -------------------------------------------------------------------------------------------------------


def _wrong_cells(path: Path, data: bytes, header: list[str], *, columns: Mapping[str, str], otherwise: str) -> ConfigError:
    """The error about every wrong line and cell; `otherwise`: what to say where none is found. Only called for an invalid file."""
    problems = Problems(shown=SHOWN)
    reader = csv.reader(io.StringIO(data.decode("utf-8", errors="replace"), newline=""))
    next(reader)
    for cells in reader:
        where = f"{path}, line {reader.line_num}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            problems.add(f"{where}: has {len(cells)} cells, the header has {len(header)} columns; correct or remove the line")
            continue
        for name, kind in columns.items():
            cell = cells[header.index(name)].strip()
            if problem := _problem(cell, kind):
                problems.add(f"{where}, column {name}: {cell!r} is {problem}")
    if not problems:
        problems.add(f"{path} is not a readable CSV file ({otherwise}); restore the file")
    return problems.error()


def _problem(cell: str, kind: str) -> str:
    if kind == STAMP:
        stamp = pd.to_datetime(cell, format="ISO8601", errors="coerce") if cell else pd.NaT
        if stamp is pd.NaT or getattr(stamp, "tzinfo", None) is not None:
            return "not a local time; write it as 2023-08-31 23:00:00"
        return ""
    if kind == PRICE:
        try:
            return (
                ""
                if cell in MISSING or math.isfinite(float(cell))
                else "not finite; leave the cell empty where there is no price"
            )
        except ValueError:
            return "not a number; write one such as 101.25, or leave the cell empty"
    try:
        parse_contract(_as_number(cell))
    except (ValueError, DataError):
        return "not a contract; write YYYYMM00, YYYYMMDD, or a month letter with its year such as H2024"
    return ""


def _as_number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell
