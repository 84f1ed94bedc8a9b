"""How figures are compared with the reference's: same dates, same missing values, relative error with a floor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from tests.conftest import SHARED

GOLDEN = SHARED / "golden"
TOLERANCE = 1e-8

Measure = Literal["own", "largest", "whole"]
"""What a difference is relative to: the figure itself (never less than a millionth of its column's largest), that largest one, or the
whole, 1, that figures are shares of."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found to be the same: `cells` in all, of which `figures` are not missing; the `worst` difference."""

    cells: int
    figures: int
    worst: float
    tolerance: float
    measure: Measure = "own"


def read(folder: str, name: str) -> pd.DataFrame:
    """A file of the reference's figures beside the repository."""
    path: Path = GOLDEN / folder / f"{name}.parquet"
    return pd.read_parquet(path)


def pivoted(table: pd.DataFrame, value: str, *columns: str) -> pd.DataFrame:
    """Long figures as a table by date, a column (or level) for each of `columns`."""
    by = columns[0] if len(columns) == 1 else list(columns)
    return table.pivot(index="date", columns=by, values=value)


def assert_same(
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    tolerance: float = TOLERANCE,
    absolute: float = 0.0,
    *,
    measure: Measure = "own",
    all_dates: bool = False,
) -> Compared:
    """On every date of theirs (`all_dates`: of ours too) the same figures and missing values as ours.

    `absolute`: differences up to this are none. Figures are compared column by column, see `Measure`.
    """
    missing_columns = set(theirs.columns) - set(ours.columns)
    assert not missing_columns, f"no figures for {sorted(missing_columns)}"
    if all_dates:
        theirs = theirs.reindex(theirs.index.union(ours.index))
    got = ours.reindex(index=theirs.index, columns=theirs.columns).to_numpy(dtype=float)
    wanted = theirs.to_numpy(dtype=float)
    missing = np.isnan(got) != np.isnan(wanted)
    assert not missing.any(), f"{missing.sum()} missing values differ, first at {_place(theirs, missing)}"
    largest = np.nan_to_num(np.abs(wanted)).max(axis=0, initial=0.0)
    size = np.maximum(np.abs(wanted), 1e-6 * largest) if measure == "own" else largest if measure == "largest" else np.ones(1)
    size = np.where(size > 0, size, 1.0)
    with np.errstate(invalid="ignore"):
        difference = np.where(got == wanted, 0.0, np.abs(got - wanted))
    error = np.nan_to_num(np.where(difference > absolute, difference / size, 0.0))
    worst = float(error.max(initial=0.0))
    assert worst <= tolerance, f"off by {worst:.2g} at {_place(theirs, error == worst)}"
    return Compared(wanted.size, int((~np.isnan(wanted)).sum()), worst, tolerance, measure)


def assert_same_rows(
    ours: pd.DataFrame, theirs: pd.DataFrame, value: str, *columns: str, tolerance: float = TOLERANCE, absolute: float = 0.0
) -> None:
    """As `assert_same`, for long figures of which only some rows of each series are given."""
    wanted = theirs.set_index(["date", *columns])[value]
    levels = list(range(len(columns))) if len(columns) > 1 else 0
    long = ours.loc[ours.index.isin(theirs["date"])].stack(levels, future_stack=True)
    got = long.reindex(wanted.index)
    assert_same(got.to_frame(value), wanted.to_frame(value), tolerance, absolute)


def _place(table: pd.DataFrame, where: np.ndarray) -> str:
    row, column = np.argwhere(where)[0]
    return f"{table.index[row]}, {table.columns[column]}"
