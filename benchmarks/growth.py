"""What a day of minute bars costs as the stored past grows: appending it, and reading the recent bars and all of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measure import peak_memory
from tradeflow_core.prices import BAR_TYPES, Closes
from tradeflow_core.prices.bar_store import CLOSES, in_order
from tradeflow_core.store import Store

STORED_ROWS = (300_000, 1_100_000, 4_400_000)
MINUTES, CONTRACTS = 1380, 3
"""Bars a day of each contract, and contracts that trade at a time."""
LAST_DAY = pd.Timestamp("2024-01-05")
DAYS = 5
BEFORE = {300_000: (0.14, 288), 1_100_000: (0.38, 514), 4_400_000: (1.71, 1385)}
"""By stored rows: CPU seconds and peak MB of appending a day while all bars were in one file (mean of five days)."""


@dataclass(frozen=True)
class GrowthFigure:
    """CPU seconds over `rows` stored rows: of appending a day (the mean of five, and the worst), of reading the closes of the last 60 days, of
    reading all closes, and all bars. `peak` and `idle`: MB of memory at most while appending, and before."""

    rows: int
    append: float
    worst: float
    recent: float
    closes: float
    bars: float
    peak: float
    idle: float


def figures() -> list[GrowthFigure]:
    """A figure for each number of stored rows, each in a process of its own."""
    found = []
    for rows in STORED_ROWS:
        answer = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.growth", str(rows)], check=True, capture_output=True, text=True
        )
        found.append(GrowthFigure(**json.loads(answer.stdout)))
    return found


def day_of_bars(day: pd.Timestamp, dice: np.random.Generator) -> pd.DataFrame:
    """The minute bars of the quarterly contracts that trade on a day."""
    start = pd.date_range(day, periods=MINUTES, freq="min", tz="UTC").as_unit("us")
    parts = []
    for number in range(1, CONTRACTS + 1):
        month = ((day.year * 12 + day.month - 1) // 3 + number) * 3 + 2
        final = np.round(1000 + np.cumsum(dice.normal(size=MINUTES)) * 0.25, 2)
        bars = {
            "contract": month // 12 * 10_000 + (month % 12 + 1) * 100,
            "frequency": "1M",
            "start": start,
            "end": start + pd.Timedelta("1min"),
        }
        bars |= {"OPEN": final, "HIGH": final + 0.25, "LOW": final - 0.25, "FINAL": final}
        parts.append(pd.DataFrame({**bars, "VOLUME": dice.integers(0, 500, MINUTES).astype(float)}))
    return in_order(pd.concat(parts, ignore_index=True).astype(BAR_TYPES))


def make_past(folder: Path, rows: int) -> None:
    """Store so many rows, up to the last day."""
    dice = np.random.default_rng(1)
    days = pd.bdate_range(end=LAST_DAY, periods=rows // (MINUTES * CONTRACTS))
    Store(str(folder)).write(
        "contract_prices", "X", in_order(pd.concat([day_of_bars(day, dice) for day in days], ignore_index=True))
    )


def figure(folder: Path, rows: int) -> GrowthFigure:
    """Measure over the past that lies in a folder."""
    store, dice = Store(str(folder)), np.random.default_rng(2)
    new = [day_of_bars(day, dice) for day in pd.bdate_range(LAST_DAY + pd.Timedelta(days=1), periods=DAYS)]
    idle = peak_memory()
    appends = [_seconds(lambda bars=bars: store.append("contract_prices", "X", bars)) for bars in new]
    peak, since = peak_memory(), LAST_DAY.tz_localize("UTC").to_pydatetime() - timedelta(days=60)
    reads: tuple[Callable[[], object], ...] = (
        lambda: [Closes.of_table(part) for part in store.tables("contract_prices", "X", CLOSES, since=since)],
        lambda: [Closes.of_table(part) for part in store.tables("contract_prices", "X", CLOSES)],
        lambda: store.read("contract_prices", "X"),
    )
    recent, closes, bars = (min(_seconds(read) for _ in range(3)) for read in reads)
    return GrowthFigure(rows, sum(appends) / DAYS, max(appends), recent, closes, bars, peak, idle)


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    if len(sys.argv) > 2:
        make_past(Path(sys.argv[2]), int(sys.argv[1]))
    else:
        place = Path(tempfile.mkdtemp(prefix="tradeflow-bench-"))
        try:
            # In another process, so that the memory of making the past is not counted.
            subprocess.run([sys.executable, "-W", "ignore", "-m", "benchmarks.growth", sys.argv[1], str(place)], check=True)
            print(json.dumps(asdict(figure(place, int(sys.argv[1])))))
        finally:
            shutil.rmtree(place, ignore_errors=True)
