"""The SQL engine and column types: SQLite by default, PostgreSQL by URL. How a transaction begins is decided here only."""

from __future__ import annotations

import operator
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, SupportsIndex

from sqlalchemy import Connection, Engine, Enum, Integer, QueuePool, TypeDecorator, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from tradeflow_core.errors import ConfigError

BUSY_SECONDS = 30.0
"""How long a transaction waits for another one that writes, before it is refused."""


def create_sql_engine(url: str, *, busy_seconds: float = BUSY_SECONDS, enforces_references: bool = True) -> Engine:
    """An engine whose transactions are durable and serializable.

    SQLite: write-ahead log, synchronous=FULL, foreign keys, a busy timeout of `busy_seconds`, and `BEGIN IMMEDIATE`, so that a transaction
    has the write lock from its first statement and never fails half-way because it cannot get it. A transaction of `read_only` takes no
    lock, in both databases. `enforces_references`: False while tables are made anew under others that refer to them (SQLite).
    Raises ConfigError for other databases.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise ConfigError(
            "database: what is set there is not a URL; use sqlite:///PATH or postgresql://USER@HOST/NAME"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        if find_spec("psycopg2") is None:
            raise ConfigError(
                "database: a ledger in PostgreSQL needs the package psycopg2, which is not installed; install tradeflow with its extra "
                "`postgres`, or remove `database` from the settings"
            )
        return create_engine(
            parsed.set(drivername="postgresql+psycopg2"),
            isolation_level="SERIALIZABLE",
            pool_pre_ping=True,
            connect_args={"application_name": f"tradeflow {os.getpid()}"},
        )
    if backend != "sqlite":
        raise ConfigError(f"database: {backend} is not supported; use a sqlite:/// or postgresql:// URL")
    if (file := _read_only_file(parsed.database)) is not None:
        return create_engine("sqlite://", poolclass=QueuePool, creator=lambda: _opened_to_read(file, busy_seconds))
    engine = create_engine(parsed, connect_args={"timeout": busy_seconds})

    @event.listens_for(engine, "connect")
    def _prepare(connection, _record):  # type: ignore[no-untyped-def]
        connection.isolation_level = None
        references = f"foreign_keys={'ON' if enforces_references else 'OFF'}"
        _to_write_ahead_log(connection, busy_seconds)
        for pragma in ("synchronous=FULL", references):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection):  # type: ignore[no-untyped-def]
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("read_only") else "BEGIN IMMEDIATE")

    return engine


def _read_only_file(database: str | None) -> Path | None:
    """The file of a database where its folder cannot be written, so that SQLite cannot make the files that it needs beside it."""
    if not database or database == ":memory:":
        return None
    file = Path(database).absolute()
    return file if file.exists() and not os.access(file.parent, os.W_OK) else None


def _opened_to_read(file: Path, busy_seconds: float) -> sqlite3.Connection:
    """A connection to a file that cannot be written. Without a write-ahead log beside it nobody has it open, and it is all there is."""
    log = file.with_name(f"{file.name}-wal")
    immutable = "" if log.exists() and log.stat().st_size else "&immutable=1"
    return sqlite3.connect(f"{file.as_uri()}?mode=ro{immutable}", uri=True, timeout=busy_seconds, check_same_thread=False)


def _to_write_ahead_log(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Change the journal of a new database, when nobody else reads or writes it.

    SQLite does not wait here for another one that does the same, since both would wait for each other.
    """
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.001, 0.02))
        else:
            return


@contextmanager
def read_only(engine: Engine) -> Iterator[Connection]:
    """One consistent view of a database: everything that is read until the block ends is of the same instant. It takes no lock."""
    options: dict[str, Any] = {"read_only": True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection:
        yield connection


class Whole(TypeDecorator[int]):
    """An integer column that also takes NumPy integers (SQLite would store their bytes) and refuses floats."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: SupportsIndex | None, dialect: Any) -> int | None:
        return None if value is None else operator.index(value)


def word_type(words: type[StrEnum]) -> Enum:
    """A column type for the values of an enum, stored as text. Any other text is refused, in writing and reading."""
    return Enum(words, native_enum=False, create_constraint=False, length=20, values_callable=_values)


def _values(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]
