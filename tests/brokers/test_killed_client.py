"""A client of the paper exchange that dies: its orders live on, and exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.brokers.conftest import ACCOUNT, OPEN, filled, find_state, open_desk, state_of
from tradeflow_core.brokers import Broker
from tradeflow_core.model import BrokerOrderStatus, Leg, OrderIntent

REPO = Path(__file__).resolve().parents[2]
MARCH = 20240300

DIES_AFTER_SUBMIT = """
import os, signal, sys
from pathlib import Path
from tests.brokers.conftest import open_desk
from tests.brokers.test_killed_client import intent
open_desk(Path(sys.argv[1])).broker.submit(intent("only"))
os.kill(os.getpid(), signal.SIGKILL)
"""

SUBMITS_UNTIL_KILLED = """
import sys
from pathlib import Path
from tests.brokers.conftest import open_desk
from tests.brokers.test_killed_client import intent
broker = open_desk(Path(sys.argv[1])).broker
print("ready", flush=True)
for number in range(100000):
    broker.submit(intent(f"r{number}"))
"""


def intent(ref: str) -> OrderIntent:
    """A calendar spread, so that a half-written fill would show."""
    return OrderIntent(ref, ACCOUNT, "SP500_micro", (Leg(MARCH, -1), Leg(20240600, 1)))


def start(script: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script, str(folder)], cwd=REPO, stdout=subprocess.PIPE, text=True
    )


def assert_each_order_once(broker: Broker, count: int) -> None:
    """The broker has `count` orders, and executions of both legs for each that the quoted size sufficed for."""
    states = broker.orders(ACCOUNT).orders
    assert sorted(state.client_ref for state in states) == sorted(f"r{number}" for number in range(count))
    done = sum(filled(state) == (-1, 1) for state in states)
    assert done > 0 and all(filled(state) in ((0, 0), (-1, 1)) for state in states)
    executions = broker.executions(ACCOUNT).fills
    assert len({fill.exec_id for fill in executions}) == len(executions) == 2 * done
    assert broker.positions(ACCOUNT) == {("SP500_micro", MARCH): -done, ("SP500_micro", 20240600): done}


def test_a_client_killed_between_submit_and_poll_has_exactly_one_order(tmp_path):
    open_desk(tmp_path).broker.close()
    child = start(DIES_AFTER_SUBMIT, tmp_path)
    assert child.wait(timeout=60) == -signal.SIGKILL
    broker = open_desk(tmp_path).broker
    assert state_of(broker, "only").status == BrokerOrderStatus.FILLED
    assert broker.submit(intent("only")).broker_id == "1"
    assert [(fill.contract, fill.quantity) for fill in broker.executions(ACCOUNT).fills] == [(MARCH, -1), (20240600, 1)]


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1])
def test_a_client_killed_at_any_moment_leaves_whole_orders_and_can_submit_again(tmp_path, delay):
    open_desk(tmp_path).broker.close()
    child = start(SUBMITS_UNTIL_KILLED, tmp_path)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(delay)
    os.kill(child.pid, signal.SIGKILL)
    child.wait(timeout=60)
    broker = open_desk(tmp_path, OPEN).broker
    known = 0
    while state := find_state(broker, f"r{known}"):
        assert filled(state) in ((0, 0), (-1, 1))
        known += 1
    for number in range(known + 2):
        broker.submit(intent(f"r{number}"))
    assert_each_order_once(broker, known + 2)


def test_two_clients_that_submit_the_same_orders_at_once_make_each_order_once(tmp_path):
    open_desk(tmp_path).broker.close()
    script = SUBMITS_UNTIL_KILLED.replace("100000", "40")
    children = [start(script, tmp_path) for _ in range(2)]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    broker = open_desk(tmp_path).broker
    assert_each_order_once(broker, 40)
