"""Reads the CSV files of a pysystemtrade data folder: valid files fast, and an invalid one with the exact line and column in the error."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.model import parse_contract

STAMP, PRICE, CONTRACT = "stamp", "price", "contract"
"""Kinds of columns: a local time (`YYYY-MM-DD HH:MM:SS`, or a date), a number that may be missing, a contract id."""

_MISSING = {"", "nan", "NaN", "NA", "null", "None"}


def read_csv(path: Path, columns: Mapping[str, str], *, increasing: bool = True) -> pd.DataFrame:
    """The `columns` of a CSV file: index local times without a zone (`datetime64[us]`, the first column), contracts int64, prices float64.

    `columns`: name to kind, the times first; other columns of the file are ignored. Raises ConfigError naming file, line and column for a
    missing column, a wrong cell, a line of the wrong length, and (if `increasing`) a time that is not later than the previous one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); restore the file") from error
    lines = data.splitlines()
    header = _header(path, lines[0] if lines else b"", columns)
    if len(lines) < 2:
        raise ConfigError(f"{path}: has no line below the header; restore the file, or leave the instrument out")
    if data.count(b",") != (len(header) - 1) * len(lines):  # pandas would fill a short line with missing values
        raise _first_wrong(path, data, header, columns=columns)
    try:
        table = pd.read_csv(
            io.BytesIO(data),
            usecols=list(columns),
            dtype={name: "str" if kind == STAMP else "float64" for name, kind in columns.items()},
        )
        frame = _typed(table, columns)
    except (ValueError, DataError) as error:
        raise _first_wrong(path, data, header, columns=columns, otherwise=str(error)) from error
    index = frame.index
    if increasing and not (index.is_monotonic_increasing and index.is_unique):
        bad = int(np.flatnonzero(np.diff(index.asi8) <= 0)[0]) + 1  # type: ignore[attr-defined]
        raise ConfigError(
            f"{path}, line {bad + 2}, column {next(iter(columns))}: {index[bad]} is not later than {index[bad - 1]} on the line above; "
            "sort the lines and keep one line for each time"
        )
    return frame


def _typed(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    series = {}
    for name, kind in columns.items():
        values = table[name]
        if kind == STAMP:
            index = pd.DatetimeIndex(pd.to_datetime(values, format="ISO8601"), name=name)
            if index.hasnans or index.tz is not None:
                raise DataError("a time is missing or has a time zone")
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
    return pd.DataFrame(series, index=index.as_unit("us"))


def _header(path: Path, line: bytes, columns: Mapping[str, str]) -> list[str]:
    header = [name.strip() for name in line.decode("utf-8-sig", errors="replace").split(",")]
    if missing := [name for name in columns if name not in header]:
        raise ConfigError(f"{path}, line 1: no column {', '.join(missing)}; the header needs {','.join(columns)}")
    return header


def _first_wrong(path: Path, data: bytes, header: list[str], *, columns: Mapping[str, str], otherwise: str = "") -> ConfigError:
    """The error about the first wrong line; `otherwise`: what to say where none is found. Only called for an invalid file."""
    reader = csv.reader(io.StringIO(data.decode("utf-8-sig", errors="replace"), newline=""))
    next(reader)
    for cells in reader:
        where = f"{path}, line {reader.line_num}"
        if len(cells) != len(header):
            return ConfigError(
                f"{where}: has {len(cells)} cells, the header has {len(header)} columns; correct or remove the line"
            )
        for name, kind in columns.items():
            cell = cells[header.index(name)].strip()
            if problem := _problem(cell, kind):
                return ConfigError(f"{where}, column {name}: {cell!r} is {problem}")
    return ConfigError(f"{path} is not a readable CSV file ({otherwise or 'its commas do not fit the header'}); restore the file")


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
        parse_contract(float(cell))
    except (ValueError, DataError):
        return "not a contract; write YYYYMM00 or YYYYMMDD"
    return ""
