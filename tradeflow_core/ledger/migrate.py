"""Bringing the tables of a database to a revision of the schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, text

from tradeflow_core.errors import StateError
from tradeflow_core.store import create_sql_engine

MIGRATIONS = Path(__file__).parent / "migrations"

_ONE_AT_A_TIME = 7_338_510_214
"""The number of PostgreSQL's advisory lock for migrations: any number that nobody else uses."""


@contextmanager
def migration(url: URL) -> Iterator[Connection]:
    """A transaction for `migrate`. Processes that open a new ledger at once wait for each other here; the first one makes it.

    Raises StateError where rows refer to others that are missing at its end.
    """
    engine = create_sql_engine(url.render_as_string(hide_password=False), enforces_references=False)
    is_postgres = engine.dialect.name == "postgresql"
    # So that what is read after the wait is what the one before has made.
    options = {"isolation_level": "READ COMMITTED"} if is_postgres else {}
    try:
        with engine.connect().execution_options(**options) as connection, connection.begin():
            if is_postgres:
                connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": _ONE_AT_A_TIME})
            yield connection
            if not is_postgres and (lost := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
                raise StateError(f"the ledger {url!r} cannot be upgraded: rows refer to others that are missing ({lost[:3]})")
    finally:
        engine.dispose()


def migrate(tx: Connection, revision: str) -> None:
    """Make or upgrade the tables up to `revision`, in a transaction of `migration`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = tx
    command.upgrade(config, revision)
