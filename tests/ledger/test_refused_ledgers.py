"""A ledger that is not the one that the home has had, or is damaged, is refused by every command, in one sentence."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.commands import answer, run, said
from tests.conftest import make_home
from tradeflow_core import business_day, home
from tradeflow_core.cli.main import COMMANDS
from tradeflow_core.desk import Desk
from tradeflow_core.home import LEDGER_WORD_FILE, Home, LedgerWord
from tradeflow_core.home.upgrades import HOME_VERSION
from tradeflow_core.ledger import LedgerRefused, lift_stop, stop_trading

NOW = datetime(2024, 1, 8, 12, tzinfo=UTC)

ON_THE_LEDGER = {
    "day": (),
    "backfill": ("CORN",),
    "status": (),
    "stop": (),
    "resume": (),
    "capital": (),
    "locks": (),
    "overrides": (),
    "limits": (),
    "sql": ("select * from fills",),
    "orders": (),
    "roll": (),
    "prices": ("update",),
    "check": (),
    "positions": (),
    "reconcile": (),
}
"""Commands that work with the ledger, with their arguments."""

WITHOUT = {"init", "ui", "instruments", "alerts", "import", "replay", "backtest", "backup", "restore", "verify"}
"""Commands that need no ledger of this home, or only in the jobs that they start, or that say themselves what is wrong with it."""


def garbage(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:8192] + b"\xa5" * (len(content) - 16384) + content[-8192:])


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "garbage in the middle": garbage,
    "cut short": cut,
    "of no bytes": lambda file: file.write_bytes(b""),
    "a text": lambda file: file.write_text("a letter to the broker\n" * 100),
    "missing": Path.unlink,
}


def test_every_command_is_looked_at() -> None:
    assert set(ON_THE_LEDGER) | WITHOUT >= set(COMMANDS)


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_command_says_in_one_sentence_that_the_ledger_is_damaged(trading_desk: Desk, damage: str) -> None:
    path = trading_desk.home.path
    trading_desk.close()
    file = path / "ledger.sqlite"
    DAMAGES[damage](file)
    before = file.read_bytes() if file.exists() else None
    for command, arguments in ON_THE_LEDGER.items():
        result = run(path, command, *arguments)
        assert result.exit_code == 1, (command, result.output)
        assert isinstance(result.exception, SystemExit), (command, result.exception)
        assert "Traceback" not in result.output, command
        if command != "check":  # which lists what is wrong
            assert said(result).count("is refused") == 1 and "tradeflow restore" in said(result), (command, result.output)
        assert (file.read_bytes() if file.exists() else None) == before, f"{command} leaves the file as it was found"


def kept(desk: Desk, *, stops: int) -> None:
    """Record some facts, and have the home know them."""
    for _ in range(stops):
        with desk.ledger.begin() as tx:
            stop_trading(tx, NOW, "me", why="storm")
        with desk.ledger.begin() as tx:
            lift_stop(tx, NOW, "me", why="calm")
    desk.close()


@pytest.fixture
def a_home(new_database: Callable[[], str], tmp_path: Path, *, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose ledger is in each kind of database in turn, with facts that it knows."""
    monkeypatch.setenv("TRADEFLOW_DATABASE", new_database())
    made = make_home(tmp_path / "home")
    kept(Desk(made), stops=2)
    return made


def test_a_new_home_makes_its_ledger_once(tmp_path: Path) -> None:
    made = make_home(tmp_path / "home")
    assert LedgerWord.read(made.path) == LedgerWord()
    Desk(made).ledger.close()
    word = LedgerWord.read(made.path)
    assert word is not None and word.made and word.identity
    (made.path / "ledger.sqlite").unlink()
    with pytest.raises(LedgerRefused, match="the file is missing, and this home has had a ledger"):
        _ = Desk(made).ledger
    assert not (made.path / "ledger.sqlite").exists(), "and it is not made anew"


def test_an_empty_database_is_not_taken_for_the_ledger(
    a_home: Home, new_database: Callable[[], str], *, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEFLOW_DATABASE", new_database())
    with pytest.raises(LedgerRefused, match="this home has had a ledger"):
        _ = Desk(Home.open(a_home.path)).ledger


def test_the_ledger_of_another_home_is_refused(
    a_home: Home, new_database: Callable[[], str], tmp_path: Path, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEFLOW_DATABASE", new_database())
    other = Desk(make_home(tmp_path / "other"))
    kept(other, stops=1)
    with pytest.raises(LedgerRefused, match="it is another one: its identity is"):
        _ = Desk(Home.open(a_home.path)).ledger


def test_a_new_home_takes_on_the_ledger_that_its_database_has(a_home: Home, tmp_path: Path) -> None:
    """Two hosts of one desk share one PostgreSQL database."""
    second = make_home(tmp_path / "second")
    kept(Desk(second), stops=1)
    kept(Desk(a_home), stops=1)
    kept(Desk(second), stops=1)
    words = [LedgerWord.read(each.path) for each in (a_home, second)]
    assert words[0] and words[1] and words[0].identity == words[1].identity


def test_a_ledger_that_lacks_what_the_home_has_seen_is_refused(a_home: Home) -> None:
    """As when an older one is put back from a copy of the disk."""
    desk = Desk(a_home)
    with desk.ledger.engine.begin() as tx:
        tx.execute(text("delete from trading_stops where id = (select max(id) from trading_stops)"))
    desk.ledger.engine.dispose()
    with pytest.raises(LedgerRefused, match=r"it lacks the newest trading stops .*tradeflow restore"):
        _ = Desk(Home.open(a_home.path)).ledger


def test_an_older_copy_put_back_is_refused_by_the_commands(tmp_path: Path) -> None:
    made = make_home(tmp_path / "home")
    kept(Desk(made), stops=1)
    shutil.copyfile(made.path / "ledger.sqlite", tmp_path / "old.sqlite")
    kept(Desk(made), stops=1)
    for part in ("-wal", "-shm"):
        (made.path / f"ledger.sqlite{part}").unlink(missing_ok=True)
    shutil.copyfile(tmp_path / "old.sqlite", made.path / "ledger.sqlite")
    result = run(made.path, "status")
    assert result.exit_code == 1 and "it is older than it was" in said(result)


def test_a_lost_word_is_written_anew_from_a_sound_ledger_and_a_person_is_told(a_home: Home) -> None:
    (a_home.path / LEDGER_WORD_FILE).write_text("{")
    desk = Desk(Home.open(a_home.path))
    desk.ledger.close()
    word = LedgerWord.read(a_home.path)
    assert word is not None and word.identity and word.heads
    assert "Make sure that it is the newest one" in (a_home.path / "logs" / "alerts.jsonl").read_text()


def test_a_lost_word_without_a_ledger_is_refused(tmp_path: Path) -> None:
    made = make_home(tmp_path / "home")
    kept(Desk(made), stops=1)
    (made.path / LEDGER_WORD_FILE).unlink()
    (made.path / "ledger.sqlite").unlink()
    with pytest.raises(LedgerRefused, match="is missing too"):
        _ = Desk(Home.open(made.path)).ledger


def test_a_row_that_was_changed_is_not_traded_on(a_home: Home) -> None:
    desk = Desk(a_home)
    with desk.ledger.engine.begin() as tx:
        tx.execute(text("update trading_stops set why = 'x' where id = (select min(id) from trading_stops)"))
    for step in (business_day.roll_step, business_day.stack_handler_step):
        with pytest.raises(LedgerRefused, match="is not as it was written"):
            step(desk)
    desk.close()
    assert "ledger refused" in (a_home.path / "logs" / "alerts.jsonl").read_text()
    assert any("is not as it was written" in problem for problem in answer_of_check(a_home))


def answer_of_check(made: Home) -> list[str]:
    result = run(made.path, "check", "--json")
    assert result.exit_code == 1
    return result.output.splitlines()


def test_a_home_of_before_the_word_knows_its_ledger_after_the_upgrade(tmp_path: Path) -> None:
    made = make_home(tmp_path / "home")
    kept(Desk(made), stops=1)
    settings = made.path / home.SETTINGS_FILE
    settings.write_text(settings.read_text().replace(f"home_version = {HOME_VERSION}", "home_version = 2"))
    (made.path / LEDGER_WORD_FILE).unlink()
    assert answer(made.path, "status")["trading_stopped"] is None
    copies = list((made.path / home.BACKUPS).glob("*.sqlite"))
    assert len(copies) == 1
    with sqlite3.connect(copies[0]) as connection:
        assert connection.execute("select count(*) from trading_stops").fetchone() == (1,)
    connection.close()
    (made.path / "ledger.sqlite").unlink()
    assert run(made.path, "status").exit_code == 1
