"""What is doubtful about prices, and the plain statistics with which it is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Table = TypeVar("Table", pd.Series, pd.DataFrame)

BLOCK = 100
"""Rows over which a usual change is measured."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something doubtful. `kind` in a few words; `detail` a sentence that names the figures; `first` and `last`: stamps of the rows that are
    meant, `rows` of them, as the data have them; `contract`: 0 where it is not about one."""

    kind: str
    detail: str
    first: pd.Timestamp
    last: pd.Timestamp
    rows: int = 1
    contract: int = 0


def usual_change(changes: Floats, *, block: int = BLOCK) -> Floats:
    """For each change, what is usual around it: the median of the sizes in its block of rows, those that are zero or missing left out.

    Never less than a quarter of the median of all, so that a quiet market does not make every step look large; NaN where nothing moves.
    """
    sizes = np.abs(changes)
    sizes = np.where(sizes > 0, sizes, np.nan)
    if not np.isfinite(sizes).any():
        return np.full(len(sizes), np.nan)
    whole = float(np.nanmedian(sizes))
    blocks = -(-len(sizes) // block)
    table = np.append(sizes, np.full(blocks * block - len(sizes), np.nan)).reshape(blocks, block)
    enough = np.isfinite(table).sum(axis=1) >= block // 10
    medians = np.full(blocks, whole)
    if enough.any():
        medians[enough] = np.nanmedian(table[enough], axis=1)
    return np.repeat(np.maximum(medians, whole / 4), block)[: len(sizes)]


def in_time(table: Table) -> Table:
    """The rows in order of time, the last one of each stamp."""
    ordered = table if table.index.is_monotonic_increasing else table.sort_index(kind="stable")
    return ordered if ordered.index.is_unique else ordered[~ordered.index.duplicated(keep="last")]


def times_off(ratio: float) -> str:
    """In words, how far something is off that should be about 1: `100 times too high`."""
    size = ratio if ratio >= 1 else 1 / ratio
    power = round(np.log10(size))
    shown = f"{10**power:,}" if power and abs(np.log10(size) - power) < 0.15 else f"{size:,.3g}"
    return f"about {shown} times too {'high' if ratio >= 1 else 'low'}"
