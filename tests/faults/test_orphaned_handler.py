"""A stack handler whose supervisor dies ends its session by itself: nobody could stop it any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.faults import EAGER
from tradeflow_core.business_day import stack_handler_step
from tradeflow_core.desk import Desk
from tradeflow_core.execution import LEASE
from tradeflow_core.ledger import find_lease, ledger_problems, live_broker_orders, open_instrument_orders, step_done

HANDLER = """
import os, time
from pathlib import Path
from tradeflow_core.business_day import stack_handler_step
from tradeflow_core.business_day import stack_handler_step
from tradeflow_core.desk import Desk
from tradeflow_core.execution import Unsupervised
from tradeflow_core.home import Home
parent = os.getppid()
desk = Desk(Home.open(Path({path!r})))
print("pass", os.getpid(), flush=True)
try:
    stack_handler_step(desk, lambda done: time.sleep(0.2), lambda: os.getppid() == parent)
except Unsupervised:
    Path({path!r}, "ended").touch()
"""

SUPERVISOR = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


@pytest.mark.slow
def test_a_handler_without_its_supervisor_cancels_and_gives_the_session_back(trading_desk: Desk) -> None:
    desk = trading_desk
    child = HANDLER.format(path=str(desk.home.path))
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, child], stdout=subprocess.PIPE, env=EAGER, text=True)
    assert supervisor.stdout is not None
    handler = int(supervisor.stdout.readline().split()[1])
    time.sleep(1)
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait(timeout=30)
    deadline = time.monotonic() + 60
    while not (desk.home.path / "ended").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (desk.home.path / "ended").exists(), f"process {handler} is still at work"
    supervisor.stdout.close()
    with desk.ledger.read() as view:
        lease = find_lease(view, LEASE)
        assert lease is not None and not lease.owner, "the next handler need not wait"
        assert live_broker_orders(view, desk.account) == []
        assert not step_done(view, desk.business_day(), "stack_handler")
        assert ledger_problems(view) == []
    assert any(alert["subject"] == "handler without supervision" for alert in desk.alerts.read())
    stack_handler_step(desk)
    with desk.ledger.read() as view:
        assert step_done(view, desk.business_day(), "stack_handler") and open_instrument_orders(view, desk.account) == []
