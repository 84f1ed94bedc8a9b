"""What lies in a home is its owner's alone, whoever else has an account on the machine."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import program
from tests.conftest import make_home
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Files of this process are readable by everybody, until something changes that."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    """What others may read, write or enter."""
    modes = {path: path.lstat().st_mode for path in (folder, *folder.rglob("*"))}
    return {str(path): oct(mode) for path, mode in modes.items() if mode & 0o077 and not stat.S_ISLNK(mode)}


@pytest.mark.slow
def test_everything_that_a_day_through_dagster_and_a_backup_write_is_the_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for words in (("init", "--universe", "CORN,US10"), ("day", "--through-dagster"), ("backup",), ("sql", "show tables")):
        subprocess.run(program(home, *words), check=True, capture_output=True)
    kinds = {path.suffix for path in home.rglob("*") if path.is_file()}
    assert {".toml", ".json", ".sqlite", ".parquet", ".db", ".txt", ".yaml"} <= kinds
    assert open_to_others(home) == {}


def test_files_beside_a_database_in_use_are_the_owners_alone(tmp_path: Path) -> None:
    desk = Desk(make_home(tmp_path / "home"))
    with desk.ledger.begin():
        names = {path.name for path in desk.home.path.glob("ledger.sqlite*")}
        assert {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"} <= names
        assert open_to_others(desk.home.path) == {}
    desk.alerts.send("subject", "message", desk.now())
    desk.close()
    assert open_to_others(desk.home.path) == {}


def test_a_home_that_others_may_read_is_closed_when_it_is_opened(tmp_path: Path) -> None:
    path = make_home(tmp_path / "home").path
    outside = tmp_path / "outside.txt"
    outside.write_text("not of this home")
    outside.chmod(0o644)
    (path / "data" / "link").symlink_to(outside)
    (path / "data" / "prices").mkdir()
    (path / "data" / "prices" / "CORN.parquet").write_bytes(b"")
    with sqlite3.connect(path / "market" / "book.sqlite"):
        pass
    for inside in (path, *path.rglob("*")):
        if not inside.is_symlink():
            inside.chmod(0o777 if inside.is_dir() else 0o666)
    Home.open(path)
    assert open_to_others(path) == {}
    assert stat.S_IMODE((path / "tradeflow.toml").stat().st_mode) == 0o600
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644, "what a link leads to is not touched"


def test_a_place_that_all_users_share_stays_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    make_home(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
