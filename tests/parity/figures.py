"""How figures are compared with the reference's: same dates, same missing values, relative error with a floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tests.conftest import SHARED

GOLDEN = SHARED / "golden"
TOLERANCE = 1e-8


def read(folder: str, name: str) -> pd.DataFrame:
    """A file of the reference's figures."""
    path: Path = GOLDEN / folder / f"{name}.parquet"
    return pd.read_parquet(path)


def pivoted(table: pd.DataFrame, value: str, *columns: str) -> pd.DataFrame:
    """Long figures as a table by date, a column (or level) for each of `columns`."""
    by = columns[0] if len(columns) == 1 else list(columns)
    return table.pivot(index="date", columns=by, values=value)


def assert_same(ours: pd.DataFrame, theirs: pd.DataFrame, tolerance: float = TOLERANCE, absolute: float = 0.0) -> None:
    """On every date of theirs the same figures and missing values as ours; `absolute`: differences up to this are none."""
    missing_columns = set(theirs.columns) - set(ours.columns)
    assert not missing_columns, f"no figures for {sorted(missing_columns)}"
    got = ours.reindex(index=theirs.index, columns=theirs.columns).to_numpy(dtype=float)
    wanted = theirs.to_numpy(dtype=float)
    missing = np.isnan(got) != np.isnan(wanted)
    assert not missing.any(), f"{missing.sum()} missing values differ, first at {_place(theirs, missing)}"
    floor = 1e-6 * np.nan_to_num(np.abs(wanted)).max(axis=0)
    size = np.maximum(np.abs(wanted), np.where(floor > 0, floor, 1.0))
    with np.errstate(invalid="ignore"):
        difference = np.where(got == wanted, 0.0, np.abs(got - wanted))
    error = np.nan_to_num(np.where(difference > absolute, difference / size, 0.0))
    assert error.max() <= tolerance, f"off by {error.max():.2g} at {_place(theirs, error == error.max())}"


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
