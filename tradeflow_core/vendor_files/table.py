"""The cells of a vendor's CSV file: where its header is, which columns count, which lines below the last price are none."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tradeflow_core.data_folders import Problems
from tradeflow_core.errors import ConfigError
from tradeflow_core.vendor_files.numbers import read_numbers
from tradeflow_core.vendor_files.profile import Profile
from tradeflow_core.vendor_files.times import Texts, read_times

TIME, FINAL, VOLUME = "time", "FINAL", "VOLUME"
PRICES = {"OPEN": "open", "HIGH": "high", "LOW": "low", FINAL: "final"}
"""Columns of bars with prices, by the field of a profile's `columns` that names them in the file."""

LONGEST_TIME = 40

ABOVE_HEADER, FOOTER = "above the header", "below the prices"
SEARCHED = 30
"""So many lines at either end of a file may be something else than prices."""


SHOWN_ALIKE = 3
"""So many cells of a column that are wrong in the same way are shown; of the others only the lines are named."""


@dataclass(frozen=True)
class Table:
    """Stripped texts of the columns that count, by what they are; `names`: what they are called in the file; `lines`: of each row, from 1;
    `skipped`: lines left out by reason; `problems`: what is wrong with the file so far."""

    path: Path
    cells: Mapping[str, Texts]
    names: Mapping[str, str]
    lines: NDArray[np.int64]
    skipped: dict[str, int] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)

    def refuse(self, column: str, wrong: NDArray[np.bool_] | NDArray[np.intp], why: str) -> None:
        """A problem for the cell of each `wrong` row (True, or its number); the first ones are shown, the others of the kind counted."""
        places = (np.flatnonzero(wrong) if wrong.dtype == bool else np.sort(wrong)).tolist()
        for place in places[:SHOWN_ALIKE]:
            where = f"{self.path}, line {self.lines[place]}, column {self.names[column]}"
            self.problems.add(f"{where}: {self.cells[column][place]!r} {why}")
        if more := places[SHOWN_ALIKE:]:
            lines = in_ranges([self.lines[place] for place in more])
            self.problems.add(f"{self.path}, column {self.names[column]}: it is the same with {len(more):,} more lines: {lines}")


def in_ranges(lines: Sequence[int], most: int = 20) -> str:
    """Increasing line numbers in short, such as `5-31, 40`; after `most` ranges only how many there are."""
    numbers = np.asarray(lines)
    groups = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    texts = [f"{group[0]}-{group[-1]}" if len(group) > 1 else str(group[0]) for group in groups]
    more = len(texts) - most
    return ", ".join([*texts[:most], *([f"and {more:,} more places"] if more > 0 else [])])


def read_table(path: Path, profile: Profile) -> Table:
    """The table of a file; lines that do not fit it are among its problems. Raises ConfigError where no header or no row is found."""
    problems = Problems()
    rows, lines = _rows(path, profile)
    top = _header_row(path, rows, profile)
    header = [cell.strip() for cell in rows[top]]
    places = _places(path, header, profile, line=lines[top])
    skipped = {ABOVE_HEADER: above} if (above := sum(1 for row in rows[:top] if any(row))) else {}
    rows, lines = rows[top + 1 :], lines[top + 1 :]
    end = _end(rows, len(header), places, profile=profile)
    if footer := sum(1 for row in rows[end:] if any(row)):
        skipped[FOOTER] = footer
    rows, lines = rows[:end], lines[:end]
    widths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    good = widths == len(header)
    for place in np.flatnonzero(~good).tolist():
        row = rows[place]
        if not any(map(str.strip, row)):  # a blank line is no line
            continue
        if len(row) > len(header) and not any(map(str.strip, row[len(header) :])):
            good[place] = True
            continue
        last = not any(map(str.strip, (cell for below in rows[place + 1 :] for cell in below)))
        problems.add(f"{path}, line {lines[place]}: {_of_width(row, len(header), is_last=last)}")
    kept = rows if good.all() else [rows[place] for place in np.flatnonzero(good).tolist()]
    if not kept:
        problems.raise_if_any()
        raise ConfigError(f"{path}: holds no row of prices below the header; name a file with prices")
    cells = {name: np.array([*map(str.strip, map(itemgetter(place), kept))], dtype=object) for name, place in places.items()}
    filled = np.logical_or.reduce([column != "" for column in cells.values()])
    cells = {name: column[filled] for name, column in cells.items()}
    names = {name: header[place] for name, place in places.items()}
    return Table(path, cells, names, lines[good][filled], skipped, problems)


def _rows(path: Path, profile: Profile) -> tuple[list[list[str]], NDArray[np.int64]]:
    """All rows of a file, and on which line each ends."""
    try:
        text = path.read_bytes().decode(profile.encoding)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); name a CSV file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is not {profile.encoding} text ({error.reason} at byte {error.start}); set `encoding` in a profile, latin-1 for example"
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=profile.delimiter)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: {error}; correct the line") from None
    if len(rows) == reader.line_num:
        return rows, np.arange(1, len(rows) + 1)
    again = csv.reader(io.StringIO(text, newline=""), delimiter=profile.delimiter)  # a quoted cell goes over several lines
    return rows, np.array([again.line_num for _ in again], dtype=np.int64)


def _header_row(path: Path, rows: Sequence[Sequence[str]], profile: Profile) -> int:
    """The row of the header: the first that is not blank, or with `above_header` the first that names time and close."""
    first = next((place for place, row in enumerate(rows) if any(map(str.strip, row))), None)
    if first is None:
        raise ConfigError(f"{path}: is empty; name a file with prices")
    if not profile.skip.above_header:
        return first
    needed = (profile.columns.time, profile.columns.final)
    found = (place for place, row in enumerate(rows[:SEARCHED]) if all(_find(row, names) is not None for names in needed))
    return next(found, first)


def _places(path: Path, header: Sequence[str], profile: Profile, *, line: int) -> dict[str, int]:
    """Where the columns are that count. Raises ConfigError for one that is needed and missing, or that is there twice."""
    wanted = {TIME: profile.columns.time}
    wanted |= {name: getattr(profile.columns, field_name) for name, field_name in {**PRICES, VOLUME: "volume"}.items()}
    places, option = {}, {TIME: "time", FINAL: "final"}
    for name, names in wanted.items():
        place = _find(header, names)
        if place is None and name in option:
            separator = next((each for each in (";", "\t", "|") if len(header) == 1 and each in header[0]), "")
            remedy = f"name the column with --{option[name]}, or in `columns` of a profile"
            if separator:
                remedy = f"{separator!r} separates its cells: set `delimiter` in a profile"
            raise ConfigError(
                f"{path}, line {line}: column {' or '.join(names)} is missing; the header has {','.join(header)}: {remedy}"
            )
        if place is None:
            continue
        if [cell.casefold() for cell in header].count(header[place].casefold()) > 1:
            raise ConfigError(f"{path}, line {line}: column {header[place]} is there twice; rename the one that does not count")
        places[name] = place
    return places


def _find(header: Sequence[str], names: Sequence[str]) -> int | None:
    there = [cell.strip().casefold() for cell in header]
    return next((there.index(name.casefold()) for name in names if name.casefold() in there), None)


def _end(rows: Sequence[Sequence[str]], width: int, places: Mapping[str, int], *, profile: Profile) -> int:
    """Behind which row there are only notes and blank lines."""
    end = len(rows)
    while profile.skip.footer and end and len(rows) - end < SEARCHED:
        row = [cell.strip() for cell in rows[end - 1]]
        if any(row) and not _is_note(row, width, places, profile=profile):
            break
        end -= 1
    return end


def _is_note(row: Sequence[str], width: int, places: Mapping[str, int], *, profile: Profile) -> bool:
    """Whether a row has no time, and no prices if it has cells for them."""
    if len(row) >= width:
        prices = np.array([row[place] for name, place in places.items() if name in PRICES], dtype=object)
        _, missing, wrong = read_numbers(prices, profile.numbers)
        if not (missing | (wrong & (len(row) > width))).all():
            return False
    time = row[places[TIME]] if places[TIME] < len(row) else row[0]
    return len(time) > LONGEST_TIME or bool(read_times(np.array([time], dtype=object), profile.times, "UTC").unreadable[0])


def _of_width(row: Sequence[str], width: int, *, is_last: bool) -> str:
    what = f"has {len(row)} cells, the header has {width} columns"
    if is_last and len(row) < width:
        return f"{what}; if it is a note below the prices, set `skip: {{footer: true}}` in the profile, else the file was cut off: get it again"
    return f"{what}; correct the line, and put a text with a separator of cells in double quotes"
