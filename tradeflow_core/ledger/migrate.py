"""Bringing the tables of a database to a revision of the schema."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

MIGRATIONS = Path(__file__).parent / "migrations"

_ONE_AT_A_TIME = 7_338_510_214
"""The number of PostgreSQL's advisory lock for migrations: any number that nobody else uses."""


def migrate(connection: Connection, revision: str) -> None:
    """Make or upgrade the tables up to `revision`, in a transaction of its own, of which the connection must have none yet.

    Processes that open a new ledger at once wait for each other; the first one makes it.
    """
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        # So that what is read after the wait is what the one before has made.
        connection = connection.execution_options(isolation_level="READ COMMITTED")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": _ONE_AT_A_TIME})
        command.upgrade(config, revision)
