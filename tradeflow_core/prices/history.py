"""What a rebuild of prices changes in the past.

Prices are rebuilt as a whole each time, so a late bar or a manual correction changes history, as it should. Changes at or before the last row
of the former prices are recorded in the dataset `history_changes`, one file for each instrument.
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
    """How many rows of multiple prices `changed` their PRICE, `came_late`, or are `gone`, up to the end of the former prices; `first`: time of the
    earliest of them (UTC)."""

    changed: int
    came_late: int
    gone: int
    first: pd.Timestamp

    def __str__(self) -> str:
        counts = {"changed": self.changed, "came late": self.came_late, "gone": self.gone}
        return f"{', '.join(f'{count} {kind}' for kind, count in counts.items() if count)}, the first at {self.first:%Y-%m-%d %H:%M} UTC"


def record_history_change(desk: Desk, instrument: str, prices: pd.DataFrame) -> tuple[HistoryChange | None, bytes]:
    """Compare new multiple prices with the stored ones, and record what changes in the past. The new prices are not stored here.

    Returns the change, and a note to be stored with the new prices: their number and checksums, so that the next comparison reads these prices
    only if something differs.
    """
    stored_note = desk.store.note("multiple_prices", instrument)
    # A note that is not three numbers is that of a damaged file: then the prices themselves are compared, if they can be read.
    numbers = stored_note.split() if stored_note else []
    rows, *sums = (int(number) for number in numbers) if len(numbers) == 3 and all(map(bytes.isdigit, numbers)) else (0, 0, 0)
    stamps, values = _instants(prices["PRICE"]), prices["PRICE"].to_numpy(dtype="float64")
    past = [_checksum(stamps[:rows]), _checksum(values[:rows])]
    note = f"{len(prices)} {_checksum(stamps[rows:], past[0])} {_checksum(values[rows:], past[1])}"
    if stored_note and past == sums and rows <= len(prices):
        return None, note.encode()
    change = _change_from_stored(desk, instrument, stamps, prices=values)
    if change is not None:
        row = {
            "recorded_at": desk.now(),
            "changed": change.changed,
            "came_late": change.came_late,
            "gone": change.gone,
            "first": change.first,
        }
        earlier = desk.former_rows(HISTORY_CHANGES, instrument)
        parts = [pd.DataFrame([row])] if earlier is None else [earlier, pd.DataFrame([row])]
        desk.store.write(HISTORY_CHANGES, instrument, pd.concat(parts, ignore_index=True))
    return change, note.encode()


def _change_from_stored(
    desk: Desk, instrument: str, stamps: NDArray[np.int64], *, prices: NDArray[np.float64]
) -> HistoryChange | None:
    try:
        before = desk.store.read("multiple_prices", instrument, ["PRICE"])["PRICE"]
    except StateError:  # there are none, or the file cannot be read
        return None
    return compare_prices(_instants(before), before.to_numpy(), stamps, new_prices=prices)


def _checksum(values: NDArray[Any], before: int = 0) -> int:
    return zlib.crc32(np.ascontiguousarray(values).data, before)


def _instants(prices: pd.Series) -> NDArray[np.int64]:
    return np.asarray(pd.DatetimeIndex(prices.index).asi8)


def compare_prices(
    old_stamps: NDArray[np.int64],
    old_prices: NDArray[np.float64],
    new_stamps: NDArray[np.int64],
    *,
    new_prices: NDArray[np.float64],
) -> HistoryChange | None:
    """The difference of old and new prices up to the last old stamp; None where there is none. Stamps: microseconds since 1970, increasing."""
    overlap = int(new_stamps.searchsorted(old_stamps[-1], "right")) if len(old_stamps) else 0
    new_stamps, new_prices = new_stamps[:overlap], new_prices[:overlap]
    same_stamps = len(old_stamps) == overlap and np.array_equal(old_stamps, new_stamps)
    if same_stamps and np.array_equal(old_prices, new_prices, equal_nan=True):
        return None
    _, in_old, in_new = np.intersect1d(old_stamps, new_stamps, assume_unique=True, return_indices=True)
    before, after = old_prices[in_old], new_prices[in_new]
    changed = in_old[~((before == after) | (np.isnan(before) & np.isnan(after)))]
    late = np.setdiff1d(new_stamps, old_stamps, assume_unique=True)
    gone = np.setdiff1d(old_stamps, new_stamps, assume_unique=True)
    first = min(int(stamps.min()) for stamps in (old_stamps[changed], late, gone) if len(stamps))
    return HistoryChange(len(changed), len(late), len(gone), pd.Timestamp(first, unit="us", tz="UTC"))
