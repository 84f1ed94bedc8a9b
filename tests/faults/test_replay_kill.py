"""A replay that is killed again and again ends as if nothing had happened: no fill is lost, none is doubled."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import date, time
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, event

from tests.replay.runs import ROLL_RULES, fills_of, make_tape, positions_of, rolls_of, seed
from tradeflow_core.business_day import roll_step, run_replay
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.ledger import ledger_problems, open_contract_orders
from tradeflow_core.replay import replay_summary
from tradeflow_core.store import Tape

REPO = Path(__file__).resolve().parents[2]

RUN = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from tests.replay.runs import seed
from tradeflow_core.business_day import run_replay
from tradeflow_core.store.tape import Tape

left = int(sys.argv[3])

@event.listens_for(Engine, "commit")
def count(connection):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

run_replay(seed(Path(sys.argv[1]), Tape.open(sys.argv[2])))
"""
"""Seeds or resumes the replay, and dies in the given transaction, counted over ledger and market (0: never)."""


def start(home: Path, tape: Tape, dies_in: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(home), str(tape.path), str(dies_in)]
    return subprocess.Popen(command, cwd=REPO, env=os.environ | ROLL_RULES)


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    return make_tape(tmp_path_factory.mktemp("tape"))


@pytest.fixture(scope="module")
def undisturbed(tape: Tape, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    assert start(home, tape, 0).wait(timeout=200) == 0
    return Desk(Home.open(home))


def assert_same(killed: Path, undisturbed: Desk) -> None:
    desk = Desk(Home.open(killed))
    with desk.ledger.read() as view:
        assert ledger_problems(view) == []
    pd.testing.assert_frame_equal(fills_of(desk), fills_of(undisturbed))
    pd.testing.assert_frame_equal(rolls_of(desk), rolls_of(undisturbed))
    assert positions_of(desk) == positions_of(undisturbed) == desk.broker.positions(desk.account)
    facts = [
        [(day.day, day.fills, day.rolls, day.closed, day.profit, day.value) for day in replay_summary(one).days]
        for one in (desk, undisturbed)
    ]
    assert facts[0] == facts[1]
    desk.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed_of_kills", [1, 2])
def test_a_replay_that_dies_in_any_transaction_ends_like_one_that_lived(tape, undisturbed, tmp_path, *, seed_of_kills):
    dice, home = random.Random(seed_of_kills), tmp_path / "home"
    deaths = [dice.randint(1, 12), *(dice.randint(10, 160) for _ in range(6))]
    died = 0
    for dies_in in deaths:
        code = start(home, tape, dies_in).wait(timeout=200)
        assert code in (0, -signal.SIGKILL)
        died += code != 0
    assert start(home, tape, 0).wait(timeout=200) == 0
    assert died >= 5
    assert_same(home, undisturbed)


@pytest.mark.slow
def test_a_replay_that_is_killed_at_random_moments_ends_like_one_that_lived(tape, undisturbed, tmp_path):
    home, moments = tmp_path / "home", random.Random(3)
    for _ in range(4):
        child = start(home, tape, 0)
        try:
            child.wait(timeout=2 + 3 * moments.random())
        except subprocess.TimeoutExpired:
            os.kill(child.pid, signal.SIGKILL)
            child.wait(timeout=60)
    assert start(home, tape, 0).wait(timeout=200) == 0
    assert_same(home, undisturbed)


def die_in_transaction(number: int, home: Path) -> None:
    """Decide the rolls of the day, and die in that transaction."""
    left = [number]

    @event.listens_for(Engine, "commit")
    def count(_connection: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    roll_step(Desk(Home.open(home)))


@pytest.mark.slow
def test_a_left_over_position_is_closed_once_in_whichever_transaction_its_closing_dies(tape, tmp_path, monkeypatch):
    for name, value in ROLL_RULES.items():
        monkeypatch.setenv(name, value)
    home = seed(tmp_path / "home", tape)
    run_replay(home, end=date(2023, 8, 16))
    home.clock.advance_to(home.at(date(2023, 8, 17), time(0, 5)))
    desk = Desk(home)
    before, held = fills_of(desk), positions_of(desk)[("GAMMA", 20230800)]
    desk.close()
    deaths, survived = 0, False
    while not survived:
        copy = Path(shutil.copytree(home.path, tmp_path / f"copy{deaths}"))
        child = multiprocessing.get_context("fork").Process(target=die_in_transaction, args=(deaths + 1, copy))
        child.start()
        child.join(timeout=60)
        assert child.exitcode in (0, -signal.SIGKILL)
        survived = child.exitcode == 0
        deaths += not survived
        desk = Desk(Home.open(copy))
        roll_step(desk)
        after = fills_of(desk)
        closing = after[~after["time"].isin(before["time"])]
        assert closing[["instrument", "contract", "quantity"]].to_numpy().tolist() == [["GAMMA", 20230800, -held]]
        assert ("GAMMA", 20230800) not in desk.broker.positions(desk.account) | positions_of(desk)
        with desk.ledger.read() as view:
            assert ledger_problems(view) == []
            assert not any(leg.remaining for order in open_contract_orders(view, desk.account) for leg in order.legs)
        desk.close()
        shutil.rmtree(copy)
    assert deaths > 5
