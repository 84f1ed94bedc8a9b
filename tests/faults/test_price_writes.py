"""Price files and roll events survive `kill -9` at any moment: each file is the old one or the new one, and a rerun finishes the work."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import REPO, make_home
from tests.faults import EAGER
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.ledger import ledger_problems, roll_events_of
from tradeflow_core.prices import run_stages
from tradeflow_core.reports import store_problems

CODES = ("EUROSTX", "GOLD_micro", "US10")
DATASETS = ("contract_prices", "multiple_prices", "adjusted_prices")
KILLS = 50

REFRESH = """
import json, os, signal, sys, time
from pathlib import Path
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.prices import PriceWindow, run_stages

def refresh(path, codes):
    desk = Desk(Home.open(Path(path)))
    for code in codes:
        run_stages(desk, code, window=PriceWindow(full_refresh=True))
    desk.close()

for line in sys.stdin:
    path, codes, seconds = json.loads(line)
    child = os.fork()
    if not child:
        try:
            refresh(path, codes)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    started = time.monotonic()
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([status, time.monotonic() - started]), flush=True)
"""
"""Imports once, then makes a full refresh in a child for each line; the child is killed after so many seconds (null: never)."""


class Refresher:
    """The helper process and what it says."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", REFRESH],
            cwd=REPO,
            env=EAGER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def refresh(self, home: Path, kill_after: float | None = None) -> tuple[int, float]:
        """Exit code of a refresh and how long it ran."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([str(home), CODES, kill_after]) + "\n")
        self.process.stdin.flush()
        code, seconds = json.loads(self.process.stdout.readline())
        return code, seconds

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@pytest.fixture
def refresher() -> Iterator[Refresher]:
    helper = Refresher()
    yield helper
    helper.close()


def contents(home: Path) -> dict[str, pd.DataFrame]:
    """All that is stored of the three instruments: every series, and the roll events."""
    desk = Desk(Home.open(home))
    with desk.ledger.read() as view:
        found = {f"{code} events": roll_events_of(view, code) for code in CODES}
    found |= {
        f"{code} {name}": desk.store.read(name, code) for code in CODES for name in DATASETS if desk.store.exists(name, code)
    }
    desk.close()
    return found


def assert_sound(home: Path) -> None:
    """Every file can be read, every series is in order and holds a time once, roll events are in order of time."""
    desk = Desk(Home.open(home))
    assert store_problems(desk) == []
    with desk.ledger.read() as view:
        assert ledger_problems(view) == []
        for code in CODES:
            assert roll_events_of(view, code)["after"].is_monotonic_increasing
    desk.close()


@pytest.mark.slow
def test_a_full_refresh_killed_at_any_moment_leaves_sound_files_and_a_rerun_finishes_it(
    tmp_path: Path, refresher: Refresher
) -> None:
    dice = random.Random(11)
    settings = {"universe": CODES, "simulated": {"history_years": 1}}
    make_home(tmp_path / "new", **settings)
    # The other start: a home with prices, of which bars are missing all over.
    partial = make_home(tmp_path / "partial", **settings)
    desk = Desk(partial)
    for code in CODES:
        run_stages(desk, code)
        bars = desk.store.read("contract_prices", code)
        desk.store.write("contract_prices", code, bars.drop(bars.sample(frac=0.3, random_state=4).index).reset_index(drop=True))
    desk.close()
    wanted, lasts = {}, {}
    for start in ("new", "partial"):
        shutil.copytree(tmp_path / start, tmp_path / f"{start} undisturbed")
        code, lasts[start] = refresher.refresh(tmp_path / f"{start} undisturbed")
        assert code == 0
        wanted[start] = contents(tmp_path / f"{start} undisturbed")
    assert all(len(frame) > 1 for frame in wanted["new"].values()) and len(wanted["new"]) == 12
    kills, number, home = 0, 0, tmp_path / "home"
    while kills < KILLS:
        start = ("new", "partial")[number % 2]
        number += 1
        shutil.copytree(tmp_path / start, home)
        for _ in range(dice.randint(1, 4)):
            code, _seconds = refresher.refresh(home, dice.uniform(0.02, lasts[start]))
            assert code in (0, -signal.SIGKILL)
            kills += code == -signal.SIGKILL
            assert_sound(home)
        code, _seconds = refresher.refresh(home)
        assert code == 0
        done = contents(home)
        assert done.keys() == wanted[start].keys()
        for name, frame in done.items():
            pd.testing.assert_frame_equal(frame, wanted[start][name], obj=name)
        shutil.rmtree(home)
    assert number >= 10
