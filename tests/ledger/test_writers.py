"""Writers of a ledger wait for each other: none of them fails, and nothing that one of them wrote is lost."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.faults import EAGER
from tests.test_ledger import fill, order
from tradeflow_core import ledger as books
from tradeflow_core.ledger import Ledger, LedgerBusy, LedgerTrouble

NOW = datetime(2024, 1, 8, 12, tzinfo=UTC)
WRITERS, EACH = 6, 15

WRITER = """
import sys
from tests.ledger.test_writers import book_fills
from tradeflow_core.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
print("begin", flush=True)
sys.stdin.readline()
book_fills(ledger, sys.argv[2])
ledger.close()
"""


def book_fills(ledger: Ledger, name: str) -> None:
    """Orders and their fills, one after another: each reads the position and writes what it adds up to, as the stack handler does."""
    for number in range(EACH):
        reference = f"{name}.{number}"
        with ledger.begin() as tx:
            order(tx, 3, reference)
        with ledger.read() as view:
            books.positions_by_contract(view, "A")
        with ledger.begin() as tx:
            books.book_fill(tx, fill(f"{reference}.1", 1, reference), NOW)
        with ledger.begin() as tx:
            held = books.positions_by_contract(tx, "A")
            books.book_fill(tx, fill(f"{reference}.2", 2, reference), NOW)
            assert sum(books.positions_by_contract(tx, "A").values()) == sum(held.values()) + 2


@pytest.mark.slow
def test_processes_and_threads_that_write_at_once_lose_nothing_and_see_no_error(ledger: Ledger) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, ledger.url, f"process{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=EAGER,
        )
        for number in range(WRITERS // 2)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "begin\n", process.communicate()[1]
    with ThreadPoolExecutor(WRITERS) as threads:
        begun = [threads.submit(book_fills, ledger, f"thread{number}") for number in range(WRITERS // 2)]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for thread in begun:
            thread.result()
    for process in processes:
        assert process.wait(120) == 0, process.communicate()[1]
        process.communicate()
    with ledger.read() as view:
        assert books.positions_by_contract(view, "A") == {("GOLD", 20240300): 3 * WRITERS * EACH}
        assert books.ledger_problems(view) == []


def test_a_writer_is_not_refused_for_one_that_is_over(new_postgres_database: Callable[[], str]) -> None:
    """Serializable transactions of PostgreSQL may be refused for another one that gave the lock free and is not quite over."""
    ledger = Ledger.open(new_postgres_database())
    for _ in range(2):  # a connection is used again
        with ledger.begin() as tx:
            assert tx.exec_driver_sql("show transaction_isolation").scalar() == "repeatable read"
        with ledger.read() as view:
            assert view.exec_driver_sql("show transaction_read_only").scalar() == "on"
    ledger.close()


def test_whoever_finds_the_ledger_busy_for_too_long_is_told_so(new_database: Callable[[], str]) -> None:
    url = new_database()
    first, second = Ledger.open(url), Ledger.open(url, busy_seconds=0.3)
    with first.begin():
        with pytest.raises(LedgerBusy, match=r"has been writing to the ledger .* for 0.3 seconds.*end it"), second.begin():
            raise AssertionError("it must not get in")
        with second.read() as view:
            assert books.positions_by_strategy(view, "A") == {}, "readers wait for nobody"
    with second.begin() as tx:
        order(tx, 5)
    first.close()
    second.close()


def test_a_writer_that_is_paused_gives_way_to_the_others(new_postgres_database: Callable[[], str]) -> None:
    """A process that was stopped in the middle of a transaction must not hold up the desk for ever."""
    url = new_postgres_database()
    paused, other = Ledger.open(url, busy_seconds=1.0), Ledger.open(url, busy_seconds=30.0)
    with pytest.raises(LedgerTrouble, match=r"cannot be used \("), paused.begin() as tx:
        order(tx, 5, "paused")
        with other.begin() as theirs:  # waits until the database has ended the one that does nothing
            order(theirs, 5, "other")
        books.live_broker_orders(tx, "A")
    with other.read() as view:
        assert [live.client_ref for live in books.live_broker_orders(view, "A")] == ["other"]
    with paused.begin() as tx:
        order(tx, 5, "again")
    paused.close()
    other.close()


def test_a_reader_sees_one_instant_and_cannot_write(ledger: Ledger) -> None:
    with ledger.read() as view:
        before = books.positions_by_strategy(view, "A")
        with ledger.begin() as tx:
            order(tx, 5)
            books.book_fill(tx, fill("e1", 5), NOW)
        assert books.positions_by_strategy(view, "A") == before == {}
    if ledger.engine.dialect.name == "postgresql":
        with pytest.raises(Exception, match="read-only transaction"), ledger.read() as view:
            order(view, 5, "second")


def hold(ledger: Ledger) -> int:
    with ledger.begin() as tx:
        order(tx, 5)
        books.book_fill(tx, fill("e1", 1), NOW)
        return books.positions_by_strategy(tx, "A")["trend", "GOLD"]


def test_somebody_with_another_program_waits_too(new_postgres_database: Callable[[], str]) -> None:
    """Nobody has to repeat anything because somebody corrects a row with psql at the same time."""
    ledger, begun = Ledger.open(new_postgres_database()), threading.Event()
    hold(ledger)

    def correct() -> None:
        begun.set()
        with ledger.engine.connect().execution_options(isolation_level="READ COMMITTED") as psql:
            psql.execute(text("update strategy_positions set quantity = quantity + 1"))
            psql.commit()

    with ThreadPoolExecutor(1) as thread:
        with ledger.begin() as tx:
            held = books.positions_by_strategy(tx, "A")["trend", "GOLD"]
            corrected = thread.submit(correct)
            begun.wait()
            tx.execute(text("update strategy_positions set quantity = :new"), {"new": 10 * held})
        corrected.result()
    with ledger.read() as view:
        assert books.positions_by_strategy(view, "A")["trend", "GOLD"] == 10 * held + 1
    ledger.close()


@pytest.mark.parametrize("seed", range(3))
def test_nobody_is_told_of_a_deadlock_with_another_program(new_postgres_database: Callable[[], str], seed: int) -> None:
    """Somebody holds rows of one table and wants those of another, which our transaction has locked already."""
    ledger, other = Ledger.open(new_postgres_database()), threading.Event()
    hold(ledger)
    psql = ledger.engine.connect().execution_options(isolation_level="READ COMMITTED")
    psql.execute(text("update trading_stops set why = ''"))
    psql.execute(text("update strategy_positions set quantity = quantity"))

    def go_on() -> None:
        other.wait()
        time.sleep(0.1 * seed)
        with suppress(DBAPIError):  # it may be the one that is told
            psql.execute(text("update account_values set net_liquidation = '1'"))
            psql.commit()
        psql.close()

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(go_on)
        other.set()
        with ledger.begin() as tx:
            order(tx, 5, "ours")
        done.result()
    with ledger.read() as view:
        assert [live.client_ref for live in books.live_broker_orders(view, "A")] == ["ref", "ours"]
    ledger.close()


def test_a_connection_that_is_lost_is_said_in_one_line(new_postgres_database: Callable[[], str]) -> None:
    ledger = Ledger.open(new_postgres_database())
    with pytest.raises(LedgerTrouble, match=r"cannot be used \("), ledger.begin() as tx:
        pid = tx.execute(text("select pg_backend_pid()")).scalar_one()
        with ledger.read() as view:
            view.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
        for _ in range(100):
            books.positions_by_strategy(tx, "A")
            time.sleep(0.05)
    with ledger.begin() as tx:
        order(tx, 5)
    ledger.close()


def test_threads_of_one_process_share_a_ledger(ledger: Ledger) -> None:
    barrier = threading.Barrier(4)

    def write(number: int) -> None:
        barrier.wait()
        with ledger.begin() as tx:
            order(tx, 1, f"ref{number}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    with ledger.read() as view:
        assert len(books.live_broker_orders(view, "A")) == 4


def test_processes_that_open_a_new_ledger_at_once_make_it_once(new_database: Callable[[], str]) -> None:
    url, barrier = new_database(), threading.Barrier(4)

    def make(number: int) -> None:
        barrier.wait()
        ledger = Ledger.open(url)
        with ledger.begin() as tx:
            order(tx, 1, f"ref{number}")
        ledger.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, range(4)))
    ledger = Ledger.open(url)
    with ledger.read() as view:
        assert len(books.live_broker_orders(view, "A")) == 4
    ledger.close()
