"""Bringing the tables of a database to a revision of the schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, text

MIGRATIONS = Path(__file__).parent / "migrations"

_ONE_AT_A_TIME = 7_338_510_214
"""The number of PostgreSQL's advisory lock for migrations: any number that nobody else uses."""


@contextmanager
def migration(engine: Engine) -> Iterator[Connection]:
    """A transaction for `migrate`. Processes that open a new ledger at once wait for each other here; the first one makes it."""
    is_postgres = engine.dialect.name == "postgresql"
    # So that what is read after the wait is what the one before has made.
    options = {"isolation_level": "READ COMMITTED"} if is_postgres else {}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        if is_postgres:
            connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": _ONE_AT_A_TIME})
        yield connection


def migrate(tx: Connection, revision: str) -> None:
    """Make or upgrade the tables up to `revision`, in a transaction of `migration`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = tx
    command.upgrade(config, revision)
