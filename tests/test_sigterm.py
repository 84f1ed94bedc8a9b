"""SIGTERM ends every command as Ctrl-C does: one line, exit code 143, and nothing half done."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import program
from tests.conftest import REPO
from tests.frames import table_of
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.ledger import fills, instrument_orders, live_broker_orders, positions_by_strategy
from tradeflow_core.reports import check_desk

SENTENCE = "ended by SIGTERM; what was done is kept, and the same command goes on where it stood"

ENDS_SLOWLY = """
import os, signal, sys, time
from pathlib import Path
from tradeflow_core.cli.ending import listen
listen()
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)
    Path(sys.argv[1]).touch()
"""

WHERE_PYTHON_DROPS_IT = """
import os, signal, sys, time, weakref
from tradeflow_core.cli.ending import listen
listen()
class Thing: pass
thing = Thing()
kept = weakref.ref(thing, lambda _: os.kill(os.getpid(), int(sys.argv[1])))
del thing
time.sleep(60)
"""


def ended(home: Path, *words: str, after: str, seconds: float = 0.0) -> tuple[int, list[str]]:
    """Exit code and lines on standard error of a command to which SIGTERM comes some seconds after it has said `after`."""
    command = subprocess.Popen(
        program(home, *words), cwd=REPO, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout is not None and command.stderr is not None and command.stdin is not None
    while after not in command.stdout.readline():
        assert command.poll() is None, command.stderr.read()
    time.sleep(seconds)
    command.send_signal(signal.SIGTERM)
    _, errors = command.communicate(timeout=120)
    return command.returncode, errors.splitlines()


def temporary_files(home: Path) -> list[Path]:
    """What a command that was ended has left behind, in the home and in its folders."""
    return [path for path in home.rglob(".*") if "dagster" not in path.parts]


@pytest.mark.slow
@pytest.mark.parametrize("through_dagster", [False, True])
def test_a_day_that_is_ended_again_and_again_is_the_day_that_nobody_disturbed(
    through_dagster: bool, seeded_home: Path, tmp_path: Path
) -> None:
    home, dice = tmp_path / "home", random.Random(5)
    shutil.copytree(seeded_home, home)
    desk = Desk(Home.open(home))
    with desk.ledger.read() as view:
        wanted = {order.instrument: order.quantity for order in table_of(view, instrument_orders).itertuples()}
    words = ("day", "--through-dagster") if through_dagster else ("day",)
    for _ in range(5):
        code, errors = ended(home, *words, after="Monday", seconds=dice.uniform(0, 2.5 if through_dagster else 0.9))
        if code == 0:
            break
        assert (code, errors) == (143, [SENTENCE])
        with desk.ledger.read() as view:
            assert live_broker_orders(view, desk.account) == [], "orders at work are cancelled and collected"
        assert temporary_files(home) == []
        assert check_desk(desk) == []
    subprocess.run(program(home, *words), cwd=REPO, check=True, capture_output=True)
    with desk.ledger.read() as view:
        held = {name: quantity for (_, name), quantity in positions_by_strategy(view, desk.account).items()}
        booked = table_of(view, fills)
    assert held == wanted
    assert sorted(booked["exec_id"]) == sorted(fill.exec_id for fill in desk.broker.executions(desk.account).fills)
    assert check_desk(desk) == []
    desk.close()


@pytest.mark.parametrize(
    "words",
    [
        ("sql", "select count(*) from range(1000000000000) a, range(1000) b"),
        ("capital", "initial", "--total", "5", "--why", "to be asked"),
        ("backtest", "run", "static_trend_carry"),
        ("backup",),
        ("check",),
    ],
)
def test_any_command_ends_at_once_with_one_line(words: tuple[str, ...], day_done: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(day_done, home)
    before = sorted(path.name for path in home.rglob("*"))
    code, errors = ended(home, *words, after="simulated market", seconds=0.0)
    assert code == 143 and errors[-1] == SENTENCE and len([line for line in errors if line.strip()]) == 1
    assert [name for name in sorted(path.name for path in home.rglob("*")) if name not in before and "ledger" not in name] in (
        [],
        ["backups"],
    )


def test_a_second_sigterm_does_not_interrupt_the_ending(tmp_path: Path) -> None:
    done = tmp_path / "orders are cancelled"
    child = subprocess.Popen([sys.executable, "-c", ENDS_SLOWLY, str(done)], stdout=subprocess.PIPE, text=True, cwd=REPO)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 143
    child.stdout.close()
    assert done.exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_that_comes_where_python_drops_what_is_raised_is_not_lost(number: int, code: int) -> None:
    command = [sys.executable, "-c", WHERE_PYTHON_DROPS_IT, str(int(number))]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == code and "ignored" not in done.stderr
