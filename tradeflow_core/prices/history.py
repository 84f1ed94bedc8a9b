"""Whether a rebuild leaves the past as it was.

Prices are rebuilt as a whole each time, so a bar that comes late or a person's correction changes history. That is right, and it is said: what
a rebuild changes at or before the last row of the prices before it is recorded in the dataset `history_changes`, one file an instrument.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError

HISTORY_CHANGES = "history_changes"


@dataclass(frozen=True, slots=True)
class HistoryChange:
    """Rows of multiple prices whose PRICE `changed`, that `came_late`, or are `gone`, all up to the end of the prices before; `first` is the
    earliest of them (UTC)."""

    changed: int
    came_late: int
    gone: int
    first: pd.Timestamp

    def __str__(self) -> str:
        counts = {"changed": self.changed, "came late": self.came_late, "gone": self.gone}
        return f"{', '.join(f'{count} {what}' for what, count in counts.items() if count)}, the first at {self.first:%Y-%m-%d %H:%M} UTC"


def note_history(desk: Desk, code: str, prices: pd.DataFrame) -> tuple[HistoryChange | None, bytes]:
    """Compare multiple prices that are about to be stored with those that are, and record what changes in the past.

    Returns the change, and a note to be stored with these prices: their number and checksums, by which the next comparison is done without
    reading them, unless they differ.
    """
    known = desk.store.note("multiple_prices", code)
    rows, *sums = (int(number) for number in known.split()) if known else (0, 0, 0)
    stamps, values = _instants(prices["PRICE"]), prices["PRICE"].to_numpy(dtype="float64")
    past = [_checksum(stamps[:rows]), _checksum(values[:rows])]
    note = f"{len(prices)} {_checksum(stamps[rows:], past[0])} {_checksum(values[rows:], past[1])}"
    if known and past == sums and rows <= len(prices):
        return None, note.encode()
    found = _against_stored(desk, code, stamps, prices=values)
    if found is not None:
        row = {
            "recorded_at": desk.now(),
            "changed": found.changed,
            "came_late": found.came_late,
            "gone": found.gone,
            "first": found.first,
        }
        earlier = [desk.store.read(HISTORY_CHANGES, code)] if desk.store.exists(HISTORY_CHANGES, code) else []
        desk.store.write(HISTORY_CHANGES, code, pd.concat([*earlier, pd.DataFrame([row])], ignore_index=True))
    return found, note.encode()


def _against_stored(desk: Desk, code: str, stamps: NDArray[np.int64], *, prices: NDArray[np.float64]) -> HistoryChange | None:
    try:
        before = desk.store.read("multiple_prices", code, ["PRICE"])["PRICE"]
    except StateError:  # there are none, or none that can be read
        return None
    return compare_prices(_instants(before), before.to_numpy(), stamps, now=prices)


def _checksum(values: NDArray[Any], before: int = 0) -> int:
    return zlib.crc32(np.ascontiguousarray(values).data, before)


def _instants(prices: pd.Series) -> NDArray[np.int64]:
    return np.asarray(pd.DatetimeIndex(prices.index).asi8)


def compare_prices(
    was_at: NDArray[np.int64], was: NDArray[np.float64], now_at: NDArray[np.int64], *, now: NDArray[np.float64]
) -> HistoryChange | None:
    """What is different in prices, up to the last stamp of those before; None where nothing is.

    `was_at`, `was`: stamps (microseconds since 1970, increasing) and prices before; `now_at`, `now`: those after.
    """
    overlap = int(now_at.searchsorted(was_at[-1], "right")) if len(was_at) else 0
    now_at, now = now_at[:overlap], now[:overlap]
    if len(was_at) == overlap and np.array_equal(was_at, now_at) and np.array_equal(was, now, equal_nan=True):
        return None
    _, before, after = np.intersect1d(was_at, now_at, assume_unique=True, return_indices=True)
    other = before[~((was[before] == now[after]) | (np.isnan(was[before]) & np.isnan(now[after])))]
    late, gone = np.setdiff1d(now_at, was_at, assume_unique=True), np.setdiff1d(was_at, now_at, assume_unique=True)
    first = min(int(stamps.min()) for stamps in (was_at[other], late, gone) if len(stamps))
    return HistoryChange(len(other), len(late), len(gone), pd.Timestamp(first, unit="us", tz="UTC"))
