"""A restore that is interrupted, or finds remains of the former ledger, never ends in a ledger that is traded on without a word."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.commands import answer, run, said
from tests.faults import EAGER
from tests.replay.runs import ROLL_RULES, make_tape, seed
from tradeflow_core.backups import content_of, make_backup, restore_backup
from tradeflow_core.desk import Desk
from tradeflow_core.home import SETTINGS_FILE, Home
from tradeflow_core.ledger import lock_instrument
from tradeflow_core.nightly import strategy_config
from tradeflow_core.replay import replay_settings
from tradeflow_core.strategy import packaged_strategies

LOCKED_AND_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.test_restore_interrupted import lock
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
lock(Desk(Home.open(Path(sys.argv[1]))), "after")
os.kill(os.getpid(), signal.SIGKILL)
"""

RESTORED_AND_KILLED = """
import os, signal, sys
from pathlib import Path
from tradeflow_core.backups import restore_backup
left = int(sys.argv[3])

def count(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
restore_backup(Path(sys.argv[1]), Path(sys.argv[2]), who="me")
"""
"""Restores, and dies before it moves a file for the given time."""


def lock(desk: Desk, why: str) -> None:
    """Record many facts, so many that the log of SQLite holds pages of every table."""
    for instrument in desk.universe:
        for part in range(20):
            with desk.ledger.begin() as tx:
                lock_instrument(tx, f"{instrument}{part}", f"{why}", now=desk.now(), why="x" * 2000)


@pytest.fixture
def home(seeded_home: Path, tmp_path: Path) -> Path:
    """A home with a backup, `one.zip` beside it."""
    home = Path(shutil.copytree(seeded_home, tmp_path / "home"))
    answer(home, "backup", "--to", str(tmp_path / "one.zip"))
    return home


def test_a_log_of_a_killed_process_is_not_played_into_the_restored_ledger(home: Path) -> None:
    """The file of the ledger is gone, the write-ahead log beside it is not: SQLite would take it for that of the restored file."""
    ledger, log = home / "ledger.sqlite", home / "ledger.sqlite-wal"
    subprocess.run([sys.executable, "-c", LOCKED_AND_KILLED, str(home)], check=False, env=EAGER)
    assert log.stat().st_size > 0
    ledger.unlink()
    restored = answer(home, "restore", str(home.parent / "one.zip"))
    assert Path(restored["kept_aside"] + "-wal").stat().st_size > 0
    assert answer(home, "check") == {"problems": []}
    status = answer(home, "status")
    assert status["locks"] == {} and "restored from one.zip" in status["trading_stopped"]


@pytest.mark.slow
def test_a_restore_that_dies_at_any_moment_leaves_a_ledger_that_is_refused_or_stopped(home: Path, tmp_path: Path) -> None:
    """The home holds an older ledger than it had, but a newer one than that of the backup."""
    desk = Desk(Home.open(home))
    lock(desk, "first")
    desk.close()
    shutil.copyfile(home / "ledger.sqlite", tmp_path / "older.sqlite")
    desk = Desk(Home.open(home))
    lock(desk, "second")
    desk.close()
    shutil.copyfile(tmp_path / "older.sqlite", home / "ledger.sqlite")
    assert "is refused" in said(run(home, "status"))
    deaths = 0
    for number in range(1, 20):
        copy = Path(shutil.copytree(home, tmp_path / f"copy{number}"))
        command = [sys.executable, "-c", RESTORED_AND_KILLED, str(tmp_path / "one.zip"), str(copy), str(number)]
        code = subprocess.run(command, check=False, env=EAGER).returncode
        status = run(copy, "status")
        assert "is refused" in said(status) or "trading is stopped" in said(status), f"death {number}: {said(status)}"
        if code == 0:
            break
        assert code == -signal.SIGKILL
        deaths += 1
        if status.exit_code:
            assert run(copy, "restore", str(tmp_path / "one.zip")).exit_code == 0
        assert answer(copy, "check") == {"problems": []}
        assert "restored from one.zip" in answer(copy, "status")["trading_stopped"]
    assert deaths > 2


@pytest.mark.parametrize("file_rows", [50_000, 500], ids=["into the main file", "and the file is split"])
def test_bars_that_are_merged_while_a_backup_is_made_are_in_it(
    home: Path, tmp_path: Path, file_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradeflow_core.parquet.months.FILE_ROWS", file_rows)
    desk = Desk(Home.open(home))
    stored = desk.store.read("contract_prices", "CORN")

    def later(rows: int, days: int) -> pd.DataFrame:
        frame = pd.concat([stored.tail(1)] * rows, ignore_index=True)
        shift = pd.to_timedelta(range(days, days + rows), unit="h")
        return frame.assign(start=frame["start"] + shift, end=frame["end"] + shift)

    desk.store.append("contract_prices", "CORN", later(10, 1))
    expected, merged = desk.store.read("contract_prices", "CORN"), []

    def merge(name: str) -> None:
        if name.endswith("CORN.parquet") and "contract_prices" in name and not merged:
            merged.append(name)
            desk.store.append("contract_prices", "CORN", later(4100, 100))
            assert not (home / "data" / "contract_prices" / "recent" / "CORN.parquet").exists()

    make_backup(desk, content_of(desk, tmp_path / "two.zip"), merge)
    desk.close()
    assert merged
    restore_backup(tmp_path / "two.zip", tmp_path / "elsewhere", who="me")
    restored = Desk(Home.open(tmp_path / "elsewhere"))
    found = restored.store.read("contract_prices", "CORN")
    pd.testing.assert_frame_equal(found.head(len(expected)), expected)
    restored.close()


def test_the_clock_is_copied_last(home: Path) -> None:
    """So that nothing in a backup is of a later time than its clock."""
    assert list(content_of(Desk(Home.open(home))).files)[-1] == "clock.json"


def test_a_restored_home_uses_its_own_strategy_file(seeded_home: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(seeded_home, tmp_path / "home"))
    file, settings = home / "config" / "mine.yaml", home / SETTINGS_FILE
    shutil.copyfile(packaged_strategies()["static_trend_carry"], file)
    settings.write_text(settings.read_text() + f'\n[strategies.trend_carry]\nconfig = "{file}"  # my own\n')
    assert answer(home, "backup", "--to", str(tmp_path / "one.zip"))["left_out"] == []
    answer(tmp_path, "restore", str(tmp_path / "one.zip"), "--to", str(tmp_path / "elsewhere"))
    shutil.rmtree(home)
    desk = Desk(Home.open(tmp_path / "elsewhere"))
    assert strategy_config(desk, "trend_carry")
    assert "# my own" in (tmp_path / "elsewhere" / SETTINGS_FILE).read_text()
    desk.close()


def test_a_restored_replay_is_a_seeded_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ROLL_RULES.items():
        monkeypatch.setenv(name, value)
    home = seed(tmp_path / "home", make_tape(tmp_path))
    answer(home.path, "backup", "--to", str(tmp_path / "one.zip"))
    answer(tmp_path, "restore", str(tmp_path / "one.zip"), "--to", str(tmp_path / "elsewhere"))
    assert replay_settings(Home.open(tmp_path / "elsewhere")) == replay_settings(home)
