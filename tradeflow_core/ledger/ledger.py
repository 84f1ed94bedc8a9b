"""Opening, making and upgrading the ledger, and its transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.leases import require_lease
from tradeflow_core.store import create_sql_engine

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0005"
"""Revision of the schema that this code works with; a test holds it against the newest migration."""


class Ledger:
    """The one transactional record of a desk, in SQLite or PostgreSQL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_sql_engine(url)
        self._fence: tuple[str, int] | None = None

    @classmethod
    def open(cls, url: str) -> Ledger:
        """The ledger at `url`, made or upgraded to this version's schema if need be. Raises StateError if it is newer, or cannot be opened."""
        ledger = cls(url)
        try:
            revision = ledger._revision()
            if revision is not None and revision > HEAD:
                raise StateError(
                    f"the ledger is of a newer tradeflow (schema {revision}, this one knows {HEAD}); upgrade tradeflow"
                )
            if revision != HEAD:
                ledger._upgrade()
        except OperationalError as error:
            ledger.close()
            raise StateError(
                f"the ledger {ledger.engine.url!r} cannot be opened ({error.orig}); check `database` and the rights of the folder"
            ) from error
        except BaseException:
            ledger.close()
            raise
        return ledger

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: all of it is durable when the block ends, none of it when it raises.

        Within `fenced` it raises Superseded once somebody else has taken over the lease.
        """
        with self.engine.begin() as transaction:
            if self._fence is not None:
                require_lease(transaction, *self._fence)
            yield transaction

    @contextmanager
    def fenced(self, lease: str, generation: int) -> Iterator[None]:
        """Until the block ends, every transaction of this ledger object requires that the lease is of this generation."""
        self._fence = (lease, generation)
        try:
            yield
        finally:
            self._fence = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the ledger, for reading; takes no lock."""
        with self.engine.connect().execution_options(read_only=True) as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()

    def _revision(self) -> str | None:
        with self.read() as view:
            if not inspect(view).has_table("alembic_version"):
                return None
            return view.execute(text("select version_num from alembic_version")).scalar_one_or_none()

    def _upgrade(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        engine = create_sql_engine(self.url, enforces_references=False)
        try:
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                if engine.dialect.name == "sqlite" and (lost := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
                    raise StateError(
                        f"the ledger {engine.url!r} cannot be upgraded: rows refer to others that are missing ({lost[:3]})"
                    )
        finally:
            engine.dispose()
