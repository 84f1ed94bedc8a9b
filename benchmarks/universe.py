"""The price chain over the stored universe: CPU seconds, peak memory, and how both grow with the number of instruments.

A temporary home gets the bars behind the universe's multiple prices, but for those of the last two days, which a tape holds back. The first of
them is played before anything is measured, so that the home is one in daily use. Each figure is taken in a process of its own, so that its
peak memory is its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from benchmarks.measure import peak_memory
from benchmarks.prices import SHARED
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home, SimulatedClock
from tradeflow_core.importers import make_bars
from tradeflow_core.instruments import Instrument, load_instruments
from tradeflow_core.prices import STAGES, run_stages
from tradeflow_core.replay import copy_history, copy_tables, record_rolls_and_contracts
from tradeflow_core.series import back_out_events, contract_series
from tradeflow_core.store import MANIFEST, Tape

HELD_BACK = datetime(2023, 8, 29, 0, 5, tzinfo=UTC)
"""The home is made with what had happened by then."""
IN_USE = datetime(2023, 8, 30, 0, 5, tzinfo=UTC)
NEXT_DAY = datetime(2023, 8, 31, 0, 5, tzinfo=UTC)
"""The day that is measured."""
REBUILD, NEW_DAY, THROUGH_DAGSTER = "rebuild, stitch, write", "one new day", "one new day through Dagster"
STEPS = (8, 4, 2, 1)
"""Every so many-th instrument."""


@dataclass(frozen=True)
class UniverseFigure:
    """One run: what, instruments, rows of multiple prices written, CPU and wall seconds, peak memory (MB) and that before the run."""

    work: str
    instruments: int
    rows: int
    cpu: float
    wall: float
    peak: float
    idle: float


@dataclass(frozen=True)
class _Past:
    """The history of one instrument in the form of a tape."""

    path: Path
    instruments: dict[str, Instrument]
    frame: pd.DataFrame
    events: pd.DataFrame

    def bars(self, instrument: str) -> pd.DataFrame:
        return self.frame

    def roll_events(self, instrument: str) -> pd.DataFrame:
        return self.events


def make_home(folder: Path) -> Home:
    """A home below `folder` with the whole universe as it was known at `IN_USE`, and the tape that holds what came after."""
    config = SHARED / "data" / "pysystemtrade_csv" / "csvconfig"
    rules = load_instruments(config, packaged=False)
    tape = folder / "tape"
    shutil.copytree(config, tape / "config")
    files = sorted((SHARED / "data" / "universe" / "multiple_prices").glob("*.parquet"))
    codes = [file.stem for file in files]
    (tape / MANIFEST).write_text(json.dumps({"zone": "UTC", "source": "universe", "instruments": codes}), encoding="utf-8")
    recording = Tape.open(tape)
    copy_tables(recording, folder / "home")
    settings = {
        "market": "replay",
        "account": "BENCHMARK",
        "time_zone": "UTC",
        "universe": codes,
        "replay": {"tape": str(tape), "start": str(HELD_BACK.date()), "end": str(NEXT_DAY.date())},
        "rolls": {"decide": "tape"},
        "prices": {"max_price_spike": 1e9, "stale_after_business_days": 10},
    }
    home = Home.create(folder / "home", settings, HELD_BACK)
    desk = Desk(home)
    for file in files:
        frame = pd.read_parquet(file)
        frame = frame.set_index("DATETIME") if "DATETIME" in frame.columns else frame
        local = pd.DatetimeIndex(frame.index)
        frame.index = local.tz_localize("UTC")
        bars = make_bars(contract_series(frame), local, pd.DatetimeIndex(frame.index).as_unit("us"), zone="UTC")
        past = _Past(tape, {file.stem: rules[file.stem]}, bars, back_out_events(frame))
        copy_history(past, desk.store, [file.stem], currencies=[], until=HELD_BACK)  # type: ignore[arg-type]
        with desk.ledger.begin() as tx:
            record_rolls_and_contracts(tx, past, [file.stem], until=HELD_BACK, now=HELD_BACK)  # type: ignore[arg-type]
        recent = bars[bars["end"] > pd.Timestamp(HELD_BACK) - pd.Timedelta(days=10)]
        recording.store.write("bars", file.stem, recent)
    advance(desk, IN_USE)
    for code in desk.universe:
        run_stages(desk, code)
    desk.close()
    return home


def advance(desk: Desk, instant: datetime) -> None:
    """Let the time of a simulated desk pass."""
    assert isinstance(desk.clock, SimulatedClock)
    desk.clock.advance_to(instant)


def run(home_path: Path, work: str, step: int) -> UniverseFigure:
    """Do the work for every `step`-th instrument, in this process; through Dagster always for all, as the job of the day does it."""
    home = Home.open(home_path)
    desk = Desk(home)
    if work == THROUGH_DAGSTER:  # not needed by the core, whose memory and speed are measured without it
        from tradeflow_assets.runner import execute_job
    codes = desk.universe[:: 1 if work == THROUGH_DAGSTER else step]
    if work != REBUILD:
        advance(desk, NEXT_DAY)
    for code in codes:  # the market opens its books: not part of the platform's own work
        desk.broker.contracts(code)
    idle = peak_memory()
    cpu, wall = time.process_time(), time.perf_counter()
    if work == THROUGH_DAGSTER:
        execute_job(desk, "prices")
    else:
        for code in codes:
            run_stages(desk, code, STAGES[2:] if work == REBUILD else STAGES)
    cpu, wall, peak = time.process_time() - cpu, time.perf_counter() - wall, peak_memory()
    rows = sum(len(desk.store.read("multiple_prices", code, ())) for code in codes)
    desk.close()
    return UniverseFigure(work, len(codes), rows, cpu, wall, peak, idle)


def figures() -> list[UniverseFigure]:
    """The work of the core with 24, 47, 93 and 186 instruments, and a day of all of them through Dagster."""
    folder = Path(tempfile.mkdtemp(prefix="tradeflow-bench-"))
    try:
        home = make_home(folder).path
        return [
            *(measured(home, work, step) for work in (REBUILD, NEW_DAY) for step in STEPS),
            measured(home, THROUGH_DAGSTER, 1),
        ]
    finally:
        shutil.rmtree(folder)


def measured(home: Path, work: str, step: int) -> UniverseFigure:
    """`run` in a process of its own, on a copy of the home: files are only ever replaced, so links to them will do."""
    with tempfile.TemporaryDirectory(prefix="tradeflow-bench-", dir=home.parent) as copy:
        target = Path(copy) / "home"
        shutil.copytree(home, target, copy_function=_copy)
        command = [sys.executable, "-m", "benchmarks.universe", str(target), work, str(step)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return UniverseFigure(**json.loads(done.stdout.splitlines()[-1]))


def _copy(source: str, target: str) -> None:
    if source.endswith(".parquet"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])).__dict__))
