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
from collections.abc import Iterator, Mapping
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

_MISSING = {"", "nan", "NaN", "NA", "N/A", "n/a", "null", "None", "NULL", "<NA>", "-nan", "-NaN", "#N/A"}
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
    lines = [line for line in data.splitlines()[1:] if line.strip(b", \t")]
    header = _header(path, data, columns)
    if not lines:
        raise ConfigError(f"{path}: has no line below the header; restore the file, or leave it out")
    kept = b"\n".join([",".join(header).encode(), *lines])
    if kept.count(b",") != (len(header) - 1) * (len(lines) + 1):  # pandas would fill a short line with missing values
        raise _wrong_cells(path, data, header, columns=columns)
    try:
        frame, is_date = _typed(kept, columns)
    except (ValueError, DataError) as error:
        raise _wrong_cells(path, data, header, columns=columns, otherwise=str(error)) from error
    is_midnight = np.asarray(frame.index == pd.DatetimeIndex(frame.index).normalize())
    frame[_DATE] = is_midnight if dates_are_usual or is_midnight.all() else is_date
    numbers = np.array(_line_numbers(data))
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


def _line_numbers(data: bytes) -> list[int]:
    """The number in the file of each line that is read."""
    return [number for number, line in enumerate(data.splitlines()[1:], start=2) if line.strip(b", \t")]


def _header(path: Path, data: bytes, columns: Mapping[str, str]) -> list[str]:
    first = data.splitlines()[0] if data.strip() else b""
    header = [name.strip() for name in first.decode("utf-8", errors="replace").split(",")]
    if missing := [name for name in columns if name not in header]:
        raise ConfigError(f"{path}, line 1: no column {', '.join(missing)}; the header needs {','.join(columns)}")
    return header


def _typed(data: bytes, columns: Mapping[str, str]) -> tuple[pd.DataFrame, np.ndarray]:
    """The columns with their types, and which lines have a date alone. Raises ValueError or DataError where a cell is wrong."""
    try:
        table = _parsed(data, columns, contracts="float64")
    except ValueError:
        table = _parsed(data, columns, contracts="str")  # month letters
    series = {}
    for name, kind in columns.items():
        values = table[name]
        if kind == STAMP:
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
        else:
            series[name] = values.to_numpy(dtype=float)
            if np.isinf(series[name]).any():
                raise DataError("a price is infinite")
    return pd.DataFrame(series, index=index.as_unit("us")), is_date


def _parsed(data: bytes, columns: Mapping[str, str], *, contracts: str) -> pd.DataFrame:
    types = {STAMP: "str", PRICE: "float64", CONTRACT: contracts}
    return pd.read_csv(
        io.BytesIO(data),
        usecols=list(columns),
        dtype={name: types[kind] for name, kind in columns.items()},
        skipinitialspace=True,
    )


# --- order and dates -----------------------------------------------------------------------------------------------------


def _of_dates(about: str, path: Path, is_date: np.ndarray, *, numbers: np.ndarray) -> Iterator[Note]:
    if not is_date.any() or is_date.all():
        return
    change = int(np.flatnonzero(is_date[1:] != is_date[:-1])[0]) + 1
    yield Note(
        about,
        "dates and times mixed",
        f"{path.name}: {int(is_date.sum()):,} of {len(is_date):,} lines have a date alone, which is taken for the close of that day; the form "
        f"changes at line {numbers[change]}.",
    )


def _ordered(about: str, path: Path, frame: pd.DataFrame, *, numbers: np.ndarray) -> tuple[pd.DataFrame, list[Note]]:
    """The lines in order of time, each once. Raises ConfigError for two lines of one time that differ, and for an order that is none."""
    index = pd.DatetimeIndex(frame.index)
    if index.is_monotonic_increasing and index.is_unique:
        return frame, []
    notes = []
    lines = numbers
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
    whole = frame.reset_index()
    same = whole.duplicated(keep="first").to_numpy()
    problems = Problems()
    for place in np.flatnonzero(twice & ~same).tolist():
        first = int(np.flatnonzero(frame.index == frame.index[place])[0])
        problems.add(
            f"{path}, line {lines[place]}, column {frame.index.name}: {frame.index[place]} has other values than on line {lines[first]}; keep "
            "the right one of the two"
        )
    problems.raise_if_any()
    return frame[~same], lines[~same], int(same.sum())


# --- what is wrong -------------------------------------------------------------------------------------------------------


def _wrong_cells(path: Path, data: bytes, header: list[str], *, columns: Mapping[str, str], otherwise: str = "") -> ConfigError:
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
        problems.add(f"{path} is not a readable CSV file ({otherwise or 'its commas do not fit the header'}); restore the file")
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
                if cell in _MISSING or math.isfinite(float(cell))
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
