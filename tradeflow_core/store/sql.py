"""The SQL engine and column types: SQLite by default, PostgreSQL by URL. How a transaction begins is decided here only."""

from __future__ import annotations

import operator
from enum import StrEnum
from typing import Any, SupportsIndex

from sqlalchemy import Engine, Enum, Integer, TypeDecorator, create_engine, event
from sqlalchemy.engine import make_url

from tradeflow_core.errors import ConfigError


def create_sql_engine(url: str, *, enforces_references: bool = True) -> Engine:
    """An engine whose transactions are durable and serializable.

    SQLite: write-ahead log, synchronous=FULL, foreign keys, 30 s busy timeout, and `BEGIN IMMEDIATE`, so that a transaction
    has the write lock from its first statement and never fails half-way because it cannot get it. A connection with the execution
    option `read_only` takes no lock. `enforces_references`: False while tables are made anew under others that refer to them (SQLite).
    Raises ConfigError for other databases.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg2"), isolation_level="SERIALIZABLE", pool_pre_ping=True)
    if backend != "sqlite":
        raise ConfigError(f"database: {backend} is not supported; use a sqlite:/// or postgresql:// URL")
    engine = create_engine(parsed, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _prepare(connection, _record):  # type: ignore[no-untyped-def]
        connection.isolation_level = None
        references = f"foreign_keys={'ON' if enforces_references else 'OFF'}"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", references, "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection):  # type: ignore[no-untyped-def]
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("read_only") else "BEGIN IMMEDIATE")

    return engine


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
