"""A backup is one file that is whole or not there; put back anywhere, the desk trades on as if nothing had happened."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.commands import answer, run, said
from tests.conftest import make_home
from tests.frames import table_of
from tests.ledger.test_copies import rows_of
from tests.test_ledger import fill, order
from tradeflow_core import business_day
from tradeflow_core.backups import content_of, make_backup, problems_of, restore_backup
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, StateError
from tradeflow_core.execution import LOCK_FILE, trading_session
from tradeflow_core.home import Home, LedgerWord
from tradeflow_core.ledger import active_stop, book_fill, fills, ledger_problems, lift_stop, positions_by_contract, stop_trading
from tradeflow_core.reports import check_desk

NOW = datetime(2024, 1, 8, 12, tzinfo=UTC)


def backup_of(home: Path, to: Path) -> Path:
    answer(home, "backup", "--to", str(to))
    return to


def resumed(home: Path) -> Desk:
    """The desk of a restored home, after a person has compared it with the broker."""
    desk = Desk(Home.open(home))
    with desk.ledger.begin() as tx:
        assert active_stop(tx) is not None
        lift_stop(tx, NOW, "me", why="compared")
    return desk


def traded(desk: Desk) -> dict[str, Any]:
    """What a desk does on its next day, without what is drawn at random."""
    business_day.run_day(desk, business_day.days_to_run(desk, 1)[0])
    assert check_desk(desk) == []
    with desk.ledger.read() as view:
        booked = table_of(view, fills)
        found = {
            "fills": booked[["instrument", "contract", "quantity", "price", "time", "commission"]].to_dict("records"),
            "positions": positions_by_contract(view, desk.account),
        }
    desk.close()
    return found


@pytest.mark.slow
def test_a_desk_that_is_restored_elsewhere_trades_the_next_day_as_the_original(trading_desk: Desk, tmp_path: Path) -> None:
    business_day.run_day(trading_desk, trading_desk.business_day())
    trading_desk.close()
    file = backup_of(trading_desk.home.path, tmp_path / "one.zip")
    elsewhere = tmp_path / "another" / "machine"
    restored = answer(tmp_path, "restore", str(file), "--to", str(elsewhere))
    assert restored["new_home"] and restored["kept_aside"] is None and restored["backup"]["prices"]
    assert run(elsewhere, "day", "--days", "1").exit_code == 1, "trading is stopped"
    expected = traded(Desk(Home.open(trading_desk.home.path)))
    assert expected["fills"] and traded(resumed(elsewhere)) == expected


def test_a_backup_says_what_it_holds_and_has_the_files_of_the_home(trading_desk: Desk, tmp_path: Path) -> None:
    path = trading_desk.home.path
    (path / "config" / "mine.yaml").write_text("x: 1")
    dry = answer(path, "backup", "--dry-run")
    assert not dry["done"] and not (path / "backups").exists()
    made = answer(path, "backup")
    file = Path(made["file"])
    assert file.parent == path / "backups" and made["files"] == dry["files"]
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))
    assert {"tradeflow.toml", "clock.json", "ledger.json", "ledger.sqlite", "market/book.sqlite", "config/mine.yaml"} <= names
    assert any(name.startswith("data/") for name in names)
    assert not any(name.split("/")[0] in ("dagster", "logs", "backups", "reports") for name in names)
    assert set(manifest["files"]) == names - {"manifest.json"}
    assert answer(path, "verify", str(file))["problems"] == []
    assert "is whole" in said(run(path, "verify", str(file)))
    again = run(path, "backup", "--to", str(file))
    assert again.exit_code == 1 and "exists already" in said(again)
    small = answer(path, "backup", "--to", str(tmp_path / "small.zip"), "--without-prices")
    assert small["bytes"] < made["bytes"] and small["left_out"]
    assert not [each for each in file.parent.iterdir() if each != file], "nothing temporary is left"


def test_a_backup_while_others_write_is_of_one_instant(
    new_database: Callable[[], str], tmp_path: Path, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction books an order and its fill: a backup never has one without the other."""
    monkeypatch.setenv("TRADEFLOW_DATABASE", new_database())
    desk, ended = Desk(make_home(tmp_path / "home")), threading.Event()
    assert desk.ledger

    def write() -> None:
        for number in range(400):
            if ended.is_set():
                return
            with desk.ledger.begin() as tx:
                order(tx, 1, f"ref{number}")
                book_fill(tx, fill(f"e{number}", 1, f"ref{number}"), NOW)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            manifest = make_backup(desk, content_of(desk, tmp_path / f"{number}.zip"))
            assert problems_of(tmp_path / f"{number}.zip") == []
            assert manifest.identity and manifest.schema
    finally:
        ended.set()
        writer.join()
    desk.close()


@pytest.mark.parametrize("damage", ["a byte", "cut", "text", "missing", "a file", "a foreign file"])
def test_a_damaged_backup_is_recognised_and_not_restored(trading_desk: Desk, tmp_path: Path, damage: str) -> None:
    file = backup_of(trading_desk.home.path, tmp_path / "one.zip")
    content = file.read_bytes()
    if damage == "a byte":
        place = len(content) // 2
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        file.write_text("a letter")
    elif damage == "missing":
        file.unlink()
    else:
        with zipfile.ZipFile(file) as old, zipfile.ZipFile(tmp_path / "two.zip", "w") as new:
            for name in old.namelist():
                if damage != "a file" or name != "clock.json":
                    new.writestr(name, old.read(name))
            if damage == "a foreign file":
                new.writestr("../evil", "x")
        file = tmp_path / "two.zip"
    result = run(tmp_path, "verify", str(file))
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit) and "error:" in result.output
    result = run(tmp_path, "restore", str(file), "--to", str(tmp_path / "new"))
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit) and "error:" in result.output
    assert not (tmp_path / "new").exists() and not (tmp_path / "evil").exists()


def test_a_ledger_that_was_changed_by_hand_is_not_backed_up(trading_desk: Desk, tmp_path: Path) -> None:
    with trading_desk.ledger.begin() as tx:
        stop_trading(tx, NOW, "me", why="storm")
        tx.exec_driver_sql("update trading_stops set why = 'x'")
    result = run(trading_desk.home.path, "backup", "--to", str(tmp_path / "one.zip"))
    assert result.exit_code == 1 and "not as it was written" in said(result)
    assert not list(tmp_path.glob("*.zip"))


def test_a_sound_ledger_is_not_replaced_and_a_folder_with_files_is_not_filled(trading_desk: Desk, tmp_path: Path) -> None:
    path = trading_desk.home.path
    file = backup_of(path, tmp_path / "one.zip")
    result = run(path, "restore", str(file))
    assert result.exit_code == 1 and "is sound, so it is not replaced" in said(result)
    result = run(path, "restore", "--empty", "--yes")
    assert result.exit_code == 1 and "is sound, so it is not replaced" in said(result)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("x")
    result = run(path, "restore", str(file), "--to", str(tmp_path / "full"))
    assert result.exit_code == 1 and "is not empty and no home" in said(result)


@pytest.mark.parametrize("damage", ["missing", "text", "older"])
def test_a_refused_ledger_is_replaced_and_kept_aside(trading_desk: Desk, tmp_path: Path, damage: str) -> None:
    path = trading_desk.home.path
    with trading_session(trading_desk):
        pass  # the broker knows the number of this session
    trading_desk.close()
    ledger, old = path / "ledger.sqlite", tmp_path / "old.sqlite"
    shutil.copyfile(ledger, old)
    file = backup_of(path, tmp_path / "one.zip")
    for part in ("", "-wal", "-shm"):
        Path(f"{ledger}{part}").unlink(missing_ok=True)
    if damage == "text":
        ledger.write_text("a letter")
    elif damage == "older":
        other = Desk(make_home(tmp_path / "other"))
        assert other.ledger
        other.close()
        shutil.copyfile(tmp_path / "other" / "ledger.sqlite", ledger)
    kept = ledger.read_bytes() if ledger.exists() else None
    would = answer(path, "restore", str(file), "--dry-run")
    assert not would["done"] and (ledger.read_bytes() if ledger.exists() else None) == kept
    result = run(path, "restore", str(file))
    assert result.exit_code == 0, result.output
    assert "trading is stopped" in said(result) and "tradeflow resume" in said(result)
    refused = list((path / "backups").glob("refused-*.sqlite"))
    assert [each.read_bytes() for each in refused] == ([] if kept is None else [kept])
    assert "restored from one.zip" in answer(path, "status")["trading_stopped"]
    word = LedgerWord.read(path)
    assert word is not None and word.replaced == 1
    desk = resumed(path)
    with trading_session(desk) as session:  # the broker takes it for the newest
        assert session.generation > 1_000_000
    with desk.ledger.read() as view:
        assert ledger_problems(view) == []
    desk.close()


def test_a_home_in_which_somebody_trades_is_left_alone(trading_desk: Desk, tmp_path: Path) -> None:
    path = trading_desk.home.path
    file = backup_of(path, tmp_path / "one.zip")
    with FileLock(path / LOCK_FILE):
        result = run(path, "restore", str(file))
        assert result.exit_code == 1 and "is at work; end it first" in said(result)
    with trading_session(trading_desk, by_force=True):
        result = run(path, "restore", str(file))
        assert result.exit_code == 1 and "trades on the ledger" in said(result)


def test_a_new_ledger_is_begun_only_knowingly(trading_desk: Desk) -> None:
    path = trading_desk.home.path
    trading_desk.close()
    (path / "ledger.sqlite").write_text("a letter")
    asked = run(path, "restore", "--empty", text="n\n")
    assert "without any history" in asked.output and (path / "ledger.sqlite").read_text() == "a letter"
    assert run(path, "restore", "--empty", "--json").exit_code == 1
    made = answer(path, "restore", "--empty", "--yes")
    assert Path(made["kept_aside"]).read_text() == "a letter"
    status = answer(path, "status")
    assert "begun anew" in status["trading_stopped"] and status["last_done_day"] is None


def test_a_ledger_in_postgresql_is_backed_up_and_put_into_an_empty_database(
    new_postgres_database: Callable[[], str], tmp_path: Path, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_postgres_database()
    monkeypatch.setenv("TRADEFLOW_DATABASE", url)
    desk = Desk(make_home(tmp_path / "home"))
    with desk.ledger.begin() as tx:
        order(tx, 5)
        book_fill(tx, fill("e1", 3), NOW)
    desk.close()
    file = backup_of(desk.home.path, tmp_path / "one.zip")
    before = rows_of(url)
    with pytest.raises(StateError, match="is not empty"):
        restore_backup(file, tmp_path / "new", who="me", database=url)
    assert rows_of(url) == before
    fresh = new_postgres_database()
    monkeypatch.setenv("TRADEFLOW_DATABASE", fresh)
    assert run(desk.home.path, "status").exit_code == 1, "the empty one is refused"
    result = run(desk.home.path, "restore", str(file))
    assert result.exit_code == 0, result.output
    after = rows_of(fresh)
    assert after["fills"] == before["fills"] and after["identity"] == before["identity"] and len(after["trading_stops"]) == 1
    restored = resumed(desk.home.path)
    with restored.ledger.begin() as tx:
        book_fill(tx, fill("e2", 2), NOW)
        assert ledger_problems(tx) == []
    restored.close()


def test_a_host_takes_the_ledger_that_another_host_has_restored(
    new_postgres_database: Callable[[], str], tmp_path: Path, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = new_postgres_database()
    desk = Desk(make_home(tmp_path / "home", database=first))
    with desk.ledger.begin() as tx:
        order(tx, 5)
    desk.close()
    file = backup_of(desk.home.path, tmp_path / "one.zip")
    other = Desk(make_home(tmp_path / "other", database=first))
    with other.ledger.begin() as tx:
        book_fill(tx, fill("e1", 3), NOW)
    other.close()
    fresh = new_postgres_database()
    monkeypatch.setenv("TRADEFLOW_DATABASE", fresh)
    empty = run(other.home.path, "restore", "--as-it-is", "--yes")
    assert empty.exit_code == 1 and "the database is empty" in empty.output
    assert run(desk.home.path, "restore", str(file)).exit_code == 0
    assert answer(other.home.path, "restore", "--as-it-is", "--dry-run")["done"] is False
    refused = run(other.home.path, "status")
    assert refused.exit_code == 1 and "lacks the newest" in refused.output and "--as-it-is" in refused.output
    taken = run(other.home.path, "restore", "--as-it-is", text="y\n")
    assert taken.exit_code == 0 and "ledger taken" in taken.output, taken.output
    assert answer(other.home.path, "status")["trading_stopped"]
    again = run(other.home.path, "restore", "--as-it-is", "--yes")
    assert again.exit_code == 1 and "is sound" in again.output
    assert run(desk.home.path, "status").exit_code == 0


def test_a_damaged_or_missing_ledger_is_not_taken_as_it_is(trading_desk: Desk) -> None:
    path = trading_desk.home.path
    trading_desk.close()
    ledger = path / "ledger.sqlite"
    with sqlite3.connect(ledger) as tx:
        tx.execute("update order_events set why = 'another'")
    damaged = run(path, "restore", "--as-it-is", "--yes")
    assert damaged.exit_code == 1 and "is damaged" in damaged.output
    ledger.unlink()
    missing = run(path, "restore", "--as-it-is", "--yes")
    assert missing.exit_code == 1 and "is missing" in missing.output and not ledger.exists()


def test_a_ledger_in_postgresql_becomes_a_new_home_with_another_database(
    new_postgres_database: Callable[[], str], tmp_path: Path
) -> None:
    first, second = new_postgres_database(), new_postgres_database()
    desk = Desk(make_home(tmp_path / "home", database=first))
    assert desk.ledger
    desk.close()
    file = backup_of(desk.home.path, tmp_path / "one.zip")
    answer(tmp_path, "restore", str(file), "--to", str(tmp_path / "new"), "--database", second)
    assert Home.open(tmp_path / "new").database_url == second
    assert answer(tmp_path / "new", "status")["trading_stopped"]
    assert Home.open(desk.home.path).database_url == first


def test_a_file_that_is_no_backup_is_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("letter", "x")
    with pytest.raises(DataError, match="is no backup of tradeflow"):
        problems_of(tmp_path / "x.zip")
