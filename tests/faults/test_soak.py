"""Day after day with processes killed at random instants ends where undisturbed days do. `make soak` runs a year of it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from tradeflow_core import day
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.ledger import positions_by_contract, positions_by_strategy
from tradeflow_core.reports import check_desk

DAYS = int(os.environ.get("SOAK_DAYS", "2"))
KILLS_A_DAY = 2

RUN = """
import sys
from datetime import date
from pathlib import Path
from tradeflow_core import day
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
desk = Desk(Home.open(Path(sys.argv[1])))
print("begin", flush=True)
day.run_day(desk, date.fromisoformat(sys.argv[2]))
"""


def run_with_kills(home: Path, today: date, dice: random.Random) -> None:
    """The day in a process of its own, which is killed at random and started again, until it ends by itself."""
    kills = dice.randint(0, KILLS_A_DAY)
    while True:
        command = [sys.executable, "-c", RUN, str(home), today.isoformat()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            if kills:
                time.sleep(dice.expovariate(1.0))
                process.kill()
                kills -= 1
            errors = process.stderr.read()
        if process.returncode == 0:
            return
        assert process.returncode == -signal.SIGKILL, errors


def state(home: Path) -> dict[str, object]:
    """What a desk holds, and that its books are in order."""
    desk = Desk(Home.open(home))
    assert check_desk(desk) == []
    with desk.ledger.read() as view:
        held = {"contracts": positions_by_contract(view, desk.account), "strategies": positions_by_strategy(view)}
    prices = {code: float(desk.store.read("adjusted_prices", code)["price"].iloc[-1]) for code in desk.universe}
    desk.close()
    return {**held, "prices": prices}


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(max(300, 120 * DAYS))
def test_days_with_kills_end_where_undisturbed_days_do(seeded_home: Path, tmp_path: Path) -> None:
    calm, rough = (Path(shutil.copytree(seeded_home, tmp_path / name)) for name in ("calm", "rough"))
    dice = random.Random(DAYS)
    desk = Desk(Home.open(calm))
    for today in day.days_to_run(desk, DAYS - 1):
        day.run_day(desk, today)
        run_with_kills(rough, today, dice)
        assert state(rough) == state(calm), f"after {today}"
    desk.close()
