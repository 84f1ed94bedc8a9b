"""Price figures over the 186 instruments of the reference data."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from benchmarks.measure import Figure, measure
from tradeflow_core.errors import DataError
from tradeflow_core.instruments import load_instruments
from tradeflow_core.series import back_adjust, back_out_events, build_from_events, build_roll_calendar, contract_series

SHARED = Path(os.environ.get("TRADEFLOW_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))


def load_universe() -> dict[str, pd.DataFrame]:
    """Multiple prices by instrument, index DATETIME, contract ids as text."""
    frames = {}
    for file in sorted((SHARED / "data" / "universe" / "multiple_prices").glob("*.parquet")):
        frame = pd.read_parquet(file)
        frames[file.stem] = frame.set_index("DATETIME") if "DATETIME" in frame.columns else frame
    return frames


def figures() -> list[Figure]:
    """Stitch, roll calendars and rebuild of the whole universe."""
    universe = load_universe()
    rules = load_instruments(SHARED / "data" / "pysystemtrade_csv" / "csvconfig", packaged=False)
    size = sum(int(frame.memory_usage(deep=False).sum()) for frame in universe.values())
    rows = sum(len(frame) for frame in universe.values())
    series = {code: contract_series(frame) for code, frame in universe.items()}
    events = {code: back_out_events(frame) for code, frame in universe.items()}

    def calendars() -> None:
        for code, prices in series.items():
            rule = rules[code].roll_rule if code in rules else None
            if rule is not None:
                try:
                    build_roll_calendar(prices, rule)
                except DataError:
                    continue  # one instrument of the universe has a single pair of contracts, so it has no calendar

    return [
        measure(
            f"back_adjust, 186 instruments, {rows:,} rows",
            lambda: [back_adjust(frame) for frame in universe.values()],
            size,
            baseline=167.0,
        ),
        measure("roll calendars, 186 instruments", calendars, size, baseline=200.0),
        measure(
            "rebuild of multiple prices from events, 186 instruments",
            lambda: [build_from_events(series[c], events[c]) for c in series],
            size,
        ),
    ]
