"""A stack handler killed at any instant and started again loses no fill and doubles none."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.faults import EAGER
from tests.frames import table_of
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import fills, instrument_orders, positions_by_strategy
from tradeflow_core.reports import check_desk

RUN = """
from pathlib import Path
from tradeflow_core import business_day as day
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
desk = Desk(Home.open(Path({path!r})))
print("begin", flush=True)
day.run_day(desk, desk.business_day())
"""


@pytest.mark.slow
def test_a_handler_killed_again_and_again_ends_where_an_undisturbed_one_does(trading_desk: Desk) -> None:
    desk, dice = trading_desk, random.Random(3)
    with desk.ledger.read() as view:
        wanted = {order.instrument: order.quantity for order in table_of(view, instrument_orders).itertuples()}
    today, kills = desk.today(), 0
    while True:
        command = [sys.executable, "-c", RUN.format(path=str(desk.home.path))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=EAGER)
        assert process.stdout is not None
        process.stdout.readline()
        if kills < 6:
            time.sleep(dice.uniform(0.05, 0.9))
            kills += 1
            os.kill(process.pid, signal.SIGKILL)
        code = process.wait(timeout=120)
        process.stdout.close()
        if code == 0:
            break
        assert code == -signal.SIGKILL
    with desk.ledger.read() as view:
        held = {name: quantity for (_, name), quantity in positions_by_strategy(view, desk.account).items()}
        booked = table_of(view, fills)
    assert held == wanted
    assert booked["exec_id"].is_unique
    assert sorted(booked["exec_id"]) == sorted(e.exec_id for e in desk.broker.executions(desk.account).fills)
    assert desk.today() == today
    assert check_desk(desk) == []
