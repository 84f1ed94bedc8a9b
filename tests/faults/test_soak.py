"""Day after day with processes killed at random instants: the books stay right. `make soak` runs a year of it.

What was traded, booked and priced is that of undisturbed days: a handler that starts again in the same simulated minute finds only what is
left of the quotes of that minute.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path

import pytest

from tests.faults import EAGER
from tests.frames import table_of
from tradeflow_core import business_day as day
from tradeflow_core.desk import Desk
from tradeflow_core.execution import position_breaks
from tradeflow_core.home import Home
from tradeflow_core.ledger import fills
from tradeflow_core.reports import check_desk

DAYS = int(os.environ.get("SOAK_DAYS", "2"))
KILLS_A_DAY = 2

RUN = """
import sys
from datetime import date, datetime
from pathlib import Path
from tradeflow_core import business_day as day
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
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=EAGER) as process:
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


def prices(desk: Desk) -> dict[str, float]:
    """The last adjusted price of each instrument."""
    return {code: float(desk.store.read("adjusted_prices", code)["price"].iloc[-1]) for code in desk.universe}


def trades(desk: Desk) -> list[tuple[str, int, int, float, datetime]]:
    """What was traded at the exchange, without the numbers of orders."""
    told = desk.broker.executions(desk.account).fills
    return sorted((fill.instrument, fill.contract, fill.quantity, fill.price, fill.time) for fill in told)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(max(300, 120 * DAYS))
def test_days_with_kills_lose_no_fill_double_none_and_have_the_trades_and_prices_of_undisturbed_days(
    seeded_home: Path, tmp_path: Path
) -> None:
    calm, rough = (Path(shutil.copytree(seeded_home, tmp_path / name)) for name in ("calm", "rough"))
    dice = random.Random(DAYS)
    undisturbed = Desk(Home.open(calm))
    for today in day.days_to_run(undisturbed, DAYS - 1):
        day.run_day(undisturbed, today)
        run_with_kills(rough, today, dice)
        desk = Desk(Home.open(rough))
        assert desk.last_done_day() == today
        assert check_desk(desk) == []
        assert position_breaks(desk) == []
        with desk.ledger.read() as view:
            booked = table_of(view, fills)["exec_id"]
        assert sorted(booked) == sorted(execution.exec_id for execution in desk.broker.executions(desk.account).fills), today
        assert prices(desk) == prices(undisturbed), today
        assert trades(desk) == trades(undisturbed), today
        desk.close()
    undisturbed.close()
