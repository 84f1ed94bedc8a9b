"""One process trades at a time, and one that has lost its session can neither write nor send, whenever it wakes up."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.execution.test_stack_handler import UnreliableLine, assert_sound
from tests.faults import EAGER
from tests.frames import table_of
from tradeflow_core.brokers import SessionLost
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.execution import LEASE, Pass, StackHandler, trading_session
from tradeflow_core.home import SETTINGS_FILE, Home, WallClock
from tradeflow_core.ledger import (
    Ledger,
    Superseded,
    fills,
    find_lease,
    ledger_problems,
    live_broker_orders,
    stop_trading,
    take_lease,
)
from tradeflow_core.ledger.schema import broker_orders, leases
from tradeflow_core.model import OrderIntent

SESSION = """
import sys, time
from pathlib import Path
from tradeflow_core.desk import Desk
from tradeflow_core.execution import trading_session
from tradeflow_core.home import Home
with trading_session(Desk(Home.open(Path(sys.argv[1])))):
    print("trading", flush=True)
    time.sleep(60)
"""


def evening(desk: Desk) -> Any:
    return desk.home.at(desk.today(), desk.settings.day.session_end)


@pytest.fixture
def elsewhere(trading_desk: Desk, tmp_path: Path) -> Desk:
    """A desk on another machine: a copy of the home with the same ledger, the same broker and the same clock."""
    here, there = trading_desk.home.path, tmp_path / "elsewhere"
    trading_desk.ledger.close()
    shutil.copytree(here, there)
    for name in ("market", "data", "clock.json"):
        shutil.rmtree(there / name, ignore_errors=True)
        (there / name).unlink(missing_ok=True)
        (there / name).symlink_to(here / name)
    settings = there / SETTINGS_FILE
    if "database" not in settings.read_text():
        settings.write_text(f'database = "sqlite:///{here / "ledger.sqlite"}"\n' + settings.read_text())
    return Desk(Home.open(there))


def lose_lease(desk: Desk) -> None:
    """Time passes on the wall while a process is paused: its lease runs out."""
    with desk.ledger.engine.begin() as tx:
        tx.execute(leases.update().values(expires_at=WallClock().now() - timedelta(seconds=1)))


def test_a_second_home_on_the_same_ledger_is_refused_while_the_first_trades(trading_desk: Desk, elsewhere: Desk) -> None:
    with trading_session(trading_desk):
        with pytest.raises(StateError, match=f"is running already .*home {trading_desk.home.path}"):
            StackHandler(elsewhere).run(evening(elsewhere))
        copied = elsewhere.home.path / "stack_handler.owner"
        shutil.copy(trading_desk.home.path / "stack_handler.owner", copied)
        with pytest.raises(StateError, match="is running already"):
            StackHandler(elsewhere).run(evening(elsewhere))
    StackHandler(elsewhere).run(evening(elsewhere))


def test_a_second_process_of_a_home_is_refused_at_once(trading_desk: Desk) -> None:
    with (trading_desk.home.path / "stack_handler.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StateError, match="is running already on this machine"):
            StackHandler(trading_desk).run(evening(trading_desk))


def test_a_home_goes_on_at_once_after_its_handler_was_killed(trading_desk: Desk) -> None:
    command = [sys.executable, "-c", SESSION, str(trading_desk.home.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=EAGER, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "trading\n"
        os.kill(process.pid, signal.SIGKILL)
    with trading_desk.ledger.read() as view:
        lease = find_lease(view, LEASE)
        assert lease is not None and lease.is_held(WallClock().now())
    StackHandler(trading_desk).run(evening(trading_desk))
    assert_sound(trading_desk)


def test_a_lease_of_a_process_that_nobody_knows_is_waited_for(trading_desk: Desk) -> None:
    with trading_desk.ledger.begin() as tx:
        take_lease(tx, LEASE, "stranger", now=WallClock().now(), seconds=3600, about="process 1 on another host")
    with pytest.raises(StateError, match=r"process 1 on another host, until .* unless prolonged"):
        StackHandler(trading_desk).run(evening(trading_desk))


def test_a_handler_that_is_paused_inside_a_send_while_another_takes_over_sends_nothing_more(
    trading_desk: Desk, elsewhere: Desk
) -> None:
    trading_desk.clock.wait(15 * 3600)
    line = UnreliableLine(trading_desk.broker)
    trading_desk.__dict__["broker"] = line
    sent: list[str] = []

    def paused(intent: OrderIntent) -> Any:
        if not sent:
            lose_lease(trading_desk)
            StackHandler(elsewhere).run(evening(elsewhere))
        sent.append(intent.client_ref)
        return line._broker.submit(intent)

    line.__dict__["submit"] = paused
    with pytest.raises((Superseded, SessionLost)):
        StackHandler(trading_desk).run(evening(trading_desk))
    assert len(sent) == 1
    at_broker = {state.client_ref for state in elsewhere.broker.orders(elsewhere.account).orders}
    assert sent[0] not in at_broker
    with elsewhere.ledger.read() as view:
        assert ledger_problems(view) == [] and not live_broker_orders(view, elsewhere.account)
        assert set(table_of(view, fills)["broker_order_id"]) <= set(
            table_of(view, broker_orders).query("client_ref in @at_broker")["id"]
        )
    assert_sound(elsewhere)


def test_a_stop_takes_the_session_from_a_handler_that_does_not_cancel(
    trading_desk: Desk, elsewhere: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradeflow_core.execution.handler.STOP_SECONDS", 0.5)
    trading_desk.clock.wait(15 * 3600)
    broker = UnreliableLine(trading_desk.broker)
    trading_desk.__dict__["broker"] = broker
    broker.lose(arrives=True)
    with trading_session(trading_desk) as session:
        StackHandler(trading_desk).step()
        with elsewhere.ledger.begin() as tx:
            assert live_broker_orders(tx, elsewhere.account)
            stop_trading(tx, elsewhere.now(), "me", why="storm")
        StackHandler(elsewhere).cancel_after_stop()
        with elsewhere.ledger.read() as view:
            assert not live_broker_orders(view, elsewhere.account)
        broker.after = broker.before = lambda _: False
        with pytest.raises(Superseded):
            session.prolong()
        with pytest.raises(SessionLost):
            broker.cancel("anything")


def test_a_handler_goes_on_after_somebody_has_held_the_ledger_for_long(trading_desk: Desk) -> None:
    """A pass that could not write is done again by the next one; a person is told."""
    trading_desk.ledger.close()
    patient, trading_desk.__dict__["ledger"] = trading_desk.ledger, Ledger.open(trading_desk.ledger.url, busy_seconds=0.2)
    held = patient.begin()
    passes: list[int] = []

    def hold_two_passes(done: Pass) -> None:
        passes.append(done.fills)
        if len(passes) == 1:
            held.__enter__()
        elif len(passes) == 3:
            held.__exit__(None, None, None)

    StackHandler(trading_desk).run(evening(trading_desk), hold_two_passes)
    assert "has been writing to the ledger" in "".join(alert["message"] for alert in trading_desk.alerts.read())
    assert sum(passes) > 0
    assert_sound(trading_desk)
    patient.close()
