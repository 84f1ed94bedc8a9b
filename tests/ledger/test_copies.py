"""A copy of a ledger has all that its source has, whatever the database and the version, or it is not there."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import MetaData, inspect, select, text

from tests.faults import EAGER
from tests.test_controls import old_ledger
from tests.test_ledger import fill, order
from tradeflow_core import ledger as books
from tradeflow_core.errors import StateError
from tradeflow_core.home import copy_sqlite, sqlite_problems
from tradeflow_core.ledger import Ledger, copy_ledger, fill_database
from tradeflow_core.ledger.schema import metadata
from tradeflow_core.store import create_sql_engine

NOW = datetime(2024, 1, 8, 12, 30, 15, 123456, tzinfo=UTC)


def fill_with_everything(ledger: Ledger) -> None:
    """A ledger with rows of many kinds: times with microseconds, exact amounts, odd floats, words, empty and missing values."""
    with ledger.begin() as tx:
        order(tx, 5)
        books.book_fill(tx, fill("e1", 3, price=0.1 + 0.2), NOW)
        books.stop_trading(tx, NOW, "Ünal", why="a storm;\nand 'more'")
        books.lift_stop(tx, NOW + timedelta(days=1), "me", why="")
        books.lock_instrument(tx, "GOLD", "person", now=NOW, why="x")
        books.record_contracts(tx, "GOLD", {20240300: (NOW.date(), True), 20240600: (NOW.date(), False)}, now=NOW)
        books.record_step(tx, NOW.date(), "rolls", started=NOW, finished=NOW, seconds=0.25, summary="")


def rows_of(url: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables of a database, as the schema reads them."""
    engine = create_sql_engine(url)
    with engine.connect() as view:
        found = {
            name: sorted(map(tuple, view.execute(select(table))), key=repr)
            for name, table in metadata.tables.items()
            if inspect(view).has_table(name)
        }
    engine.dispose()
    return found


def test_a_copy_has_every_row_as_it_was(ledger: Ledger, tmp_path: Path) -> None:
    fill_with_everything(ledger)
    counts = copy_ledger(ledger.engine, tmp_path / "copies" / "one.sqlite")
    assert [file.name for file in (tmp_path / "copies").iterdir()] == ["one.sqlite"]
    copy = f"sqlite:///{tmp_path / 'copies' / 'one.sqlite'}"
    assert rows_of(copy) == rows_of(ledger.url)
    assert counts["fills"] == 1 and counts["contracts"] == 2
    opened = Ledger.open(copy)
    with opened.begin() as tx:
        assert books.ledger_problems(tx) == []
        books.book_fill(tx, fill("e2", 2), NOW)
    opened.close()


def test_a_copy_goes_back_into_an_empty_database_and_numbers_go_on(
    ledger: Ledger, new_postgres_database: Callable[[], str], tmp_path: Path
) -> None:
    fill_with_everything(ledger)
    copy_ledger(ledger.engine, tmp_path / "one.sqlite")
    url = new_postgres_database()
    engine = create_sql_engine(url)
    assert fill_database(tmp_path / "one.sqlite", engine)["fills"] == 1
    engine.dispose()
    assert rows_of(url) == rows_of(ledger.url)
    restored = Ledger.open(url)
    with restored.begin() as tx:
        books.book_fill(tx, fill("e2", 2), NOW)
        order(tx, 4, "next")
        assert tx.execute(text("select id from fills order by id")).scalars().all() == [1, 2]
        assert tx.execute(text("select id from broker_orders order by id")).scalars().all() == [1, 2]
    with pytest.raises(StateError, match=r"is not empty .*make an empty one"):
        fill_database(tmp_path / "one.sqlite", restored.engine)
    restored.close()


def test_an_old_ledger_is_copied_with_the_tables_that_it_has(new_database: Callable[[], str], tmp_path: Path) -> None:
    url = new_database()
    old_ledger(url)
    engine = create_sql_engine(url)
    copy_ledger(engine, tmp_path / "old.sqlite")
    copy = create_sql_engine(f"sqlite:///{tmp_path / 'old.sqlite'}")
    rows = []
    for one in (engine, copy):
        tables = MetaData()
        tables.reflect(one)
        with one.connect() as view:
            rows.append({name: view.execute(select(table)).all() for name, table in sorted(tables.tables.items())})
        one.dispose()
    assert rows[0] == rows[1] and rows[0]["alembic_version"] == [("0002",)] and rows[0]["locks"]
    upgraded = Ledger.open(f"sqlite:///{tmp_path / 'old.sqlite'}")
    with upgraded.read() as view:
        assert books.locked_instruments(view) == {"GOLD": "person: x"}
    upgraded.close()


def test_a_copy_that_is_made_while_others_write_is_of_one_instant(ledger: Ledger, tmp_path: Path) -> None:
    """Each transaction books an order and its fill: a copy never has one without the other."""
    ended = threading.Event()

    def write() -> None:
        for number in range(400):
            if ended.is_set():
                return
            with ledger.begin() as tx:
                order(tx, 1, f"ref{number}")
                books.book_fill(tx, fill(f"e{number}", 1, f"ref{number}"), NOW)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            counts = copy_ledger(ledger.engine, tmp_path / f"{number}.sqlite")
            assert counts["fills"] == counts["broker_orders"] == counts["instrument_orders"]
            copy = Ledger.open(f"sqlite:///{tmp_path / f'{number}.sqlite'}")
            with copy.read() as view:
                assert books.ledger_problems(view) == []
            copy.close()
    finally:
        ended.set()
        writer.join()


KILLED = """
import os, signal, sys
from tests.ledger.test_copies import fill_with_everything
from tradeflow_core.ledger import Ledger
fill_with_everything(Ledger.open(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_copied_too(tmp_path: Path) -> None:
    """Its rows are still in the write-ahead log beside the file."""
    file = tmp_path / "ledger.sqlite"
    subprocess.run([sys.executable, "-c", KILLED, f"sqlite:///{file}"], check=False, env=EAGER)
    assert (tmp_path / "ledger.sqlite-wal").stat().st_size > 0
    assert sqlite_problems(file) == []
    assert copy_sqlite(file, tmp_path / "copy.sqlite")["fills"] == 1


@pytest.mark.parametrize("damage", ["garbage", "shortened", "text", "empty", "missing"])
def test_a_damaged_database_is_recognised_and_not_copied(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(f"sqlite:///{file}")
    fill_with_everything(ledger)
    ledger.close()
    assert sqlite_problems(file) == sqlite_problems(file, quick=True) == []
    content = file.read_bytes()
    damaged = {
        "garbage": content[:8192] + b"\xa5" * (len(content) - 16384) + content[-8192:],
        "shortened": content[: len(content) // 2],
        "text": b"a letter to the broker\n" * 100,
        "empty": b"",
        "missing": b"",
    }[damage]
    file.write_bytes(damaged)
    if damage == "missing":
        file.unlink()
    assert sqlite_problems(file) and sqlite_problems(file, quick=True)
    with pytest.raises(StateError, match="no copy was made"):
        copy_sqlite(file, tmp_path / "copies" / "copy.sqlite")
    assert list((tmp_path / "copies").glob("*")) == []
    assert not file.exists() or file.read_bytes() == damaged, "looking changes nothing"


def test_a_copy_in_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.sqlite") as connection:
        connection.execute("create table t (a)")
    connection.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be copied"):
        copy_sqlite(tmp_path / "x.sqlite", tmp_path / "file" / "copy.sqlite")
