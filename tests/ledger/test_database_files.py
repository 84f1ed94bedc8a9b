"""The files of a database belong to SQLite alone: what one process writes stays, whoever looks at it, comes and goes meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tradeflow_core import ledger as books
from tradeflow_core.home import is_sqlite, sqlite_problems
from tradeflow_core.ledger import Ledger
from tradeflow_core.store import create_sql_engine

NOW = datetime(2024, 1, 8, 12, tzinfo=UTC)

COME_AND_GO = """
import sys
from tradeflow_core.ledger import Ledger, locked_instruments
ledger = Ledger.open(sys.argv[1])
with ledger.begin() as tx:
    print(*locked_instruments(tx))
ledger.close()
"""

EVERYTHING = """
import sys
opened = set()

def look(event, values):
    if event == "open" and str(values[0]).removesuffix("-wal").removesuffix("-shm").endswith(".sqlite"):
        opened.add(str(values[0]))

sys.addaudithook(look)
from click.testing import CliRunner
from tradeflow_core.cli.main import root

for words in sys.argv[2:]:
    result = CliRunner().invoke(root, ["--home", sys.argv[1], *words.split()])
    assert result.exit_code == 0, result.output
print(*sorted(name for name in opened if name.startswith(sys.argv[1])))
"""


def come_and_go(ledger: Ledger) -> list[str]:
    """Another process opens the ledger, writes, and closes it; returns the locked instruments that it saw."""
    done = subprocess.run([sys.executable, "-c", COME_AND_GO, ledger.url], capture_output=True, text=True, check=True)
    return done.stdout.split()


def lock(ledger: Ledger, instrument: str) -> None:
    with ledger.begin() as tx:
        books.lock_instrument(tx, instrument, "person", now=NOW, why="news")


def test_what_a_process_writes_after_it_has_looked_at_the_file_is_seen_by_others_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(f"sqlite:///{file}")
    lock(ledger, "CORN")
    assert is_sqlite(file) and sqlite_problems(file) == []
    assert come_and_go(ledger) == ["CORN"]
    lock(ledger, "GOLD")
    assert come_and_go(ledger) == ["CORN", "GOLD"]
    ledger.close()
    assert come_and_go(ledger) == ["CORN", "GOLD"]


@pytest.mark.slow
def test_nothing_but_sqlite_ever_opens_the_file_of_a_database(day_done: Path, tmp_path: Path) -> None:
    """Whoever else opens one and closes it takes the locks away that its process has on it."""
    shutil.copytree(day_done, tmp_path / "home")
    commands = ["status", "day --days 1", "check", "reconcile", "backup", "orders list", "positions", "capital"]
    home = str(tmp_path / "home")
    done = subprocess.run([sys.executable, "-c", EVERYTHING, home, *commands], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    copies = f"{home}/backups/"
    assert [name for name in done.stdout.split() if not name.startswith(copies)] == []


@pytest.mark.parametrize("content", [b"", b"SQLite format 2\0" + bytes(200), b"something else" * 100])
def test_a_file_that_is_no_database_is_told_from_one(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ledger.sqlite"
    assert not is_sqlite(file)
    file.write_bytes(content)
    assert not is_sqlite(file)
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_many_that_open_a_new_database_at_once_all_get_it(tmp_path: Path) -> None:
    """Each changes the journal first, for which SQLite does not wait: one in a hundred was refused."""

    def come(url: str, barrier: threading.Barrier) -> int:
        engine = create_sql_engine(url)
        barrier.wait()
        with engine.begin() as tx:
            tx.exec_driver_sql("create table if not exists visits (visitor)")
            tx.exec_driver_sql("insert into visits values (1)")
            count = len(tx.exec_driver_sql("select * from visits").all())
        engine.dispose()
        return count

    for number in range(40):
        url, barrier = f"sqlite:///{tmp_path / f'{number}.sqlite'}", threading.Barrier(8)
        with ThreadPoolExecutor(8) as visitors:
            assert sorted(visitors.map(come, [url] * 8, [barrier] * 8)) == list(range(1, 9))
