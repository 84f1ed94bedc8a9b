"""Opening, making and upgrading the ledger, and its transactions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from tradeflow_core.errors import StateError, TradeflowError
from tradeflow_core.ledger.leases import require_lease
from tradeflow_core.ledger.migrate import migrate, migration
from tradeflow_core.ledger.schema import metadata
from tradeflow_core.ledger.trouble import explained, is_conflict
from tradeflow_core.store import BUSY_SECONDS, create_sql_engine, read_only

HEAD = "0005"
"""Revision of the schema that this code works with; a test holds it against the newest migration."""


class Ledger:
    """The one transactional record of a desk, in SQLite or PostgreSQL.

    Who writes is alone: writers wait for each other, up to `busy_seconds`, and readers wait for nobody. Whatever the database says
    reaches callers as a LedgerTrouble.
    """

    def __init__(self, url: str, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.url = url
        self.engine = create_sql_engine(url, busy_seconds=busy_seconds)
        self._busy_seconds = busy_seconds
        self._fence: tuple[str, int] | None = None

    @classmethod
    def open(cls, url: str, *, busy_seconds: float = BUSY_SECONDS) -> Ledger:
        """The ledger at `url`, made or upgraded to this version's schema if need be. Raises StateError if it is newer, or cannot be opened."""
        ledger = cls(url, busy_seconds=busy_seconds)
        try:
            revision = ledger._revision()
            if revision is not None and revision > HEAD:
                raise StateError(
                    f"the ledger is of a newer tradeflow (schema {revision}, this one knows {HEAD}); upgrade tradeflow"
                )
            if revision != HEAD:
                ledger._upgrade()
        except BaseException:
            ledger.close()
            raise
        return ledger

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: all of it is durable when the block ends, none of it when it raises.

        It begins when no other one writes, of whatever program, so that nothing in the block can collide with what others do. Within
        `fenced` it raises Superseded once somebody else has taken over the lease. Raises LedgerBusy where others write all the time.
        """
        with self._explained(), self.engine.connect() as transaction:
            self._wait_for_turn(transaction)
            if self._fence is not None:
                require_lease(transaction, *self._fence)
            yield transaction
            transaction.commit()

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
        with self._explained(), read_only(self.engine) as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what the database says as LedgerTrouble."""
        try:
            yield
        except TradeflowError:
            raise
        except Exception as error:
            if trouble := explained(error, self.engine, busy_seconds=self._busy_seconds):
                raise trouble from error
            raise

    def _wait_for_turn(self, connection: Connection) -> None:
        """Begin a transaction that writes, as soon as no other one does. Until then nothing was read, so that waiting can begin anew."""
        until = time.monotonic() + self._busy_seconds
        while True:
            try:
                connection.begin()  # in SQLite this waits
                if self.engine.dialect.name == "postgresql":
                    connection.exec_driver_sql(_queue(self._busy_seconds))
                return
            except DBAPIError as error:
                connection.rollback()
                if not is_conflict(error) or time.monotonic() >= until:
                    raise

    def _revision(self) -> str | None:
        with self.read() as view:
            if not inspect(view).has_table("alembic_version"):
                return None
            return view.execute(text("select version_num from alembic_version")).scalar_one_or_none()

    def _upgrade(self) -> None:
        with self._explained(), migration(self.engine.url) as tx:
            migrate(tx, HEAD)


def _queue(busy_seconds: float) -> str:
    """The first statements of a PostgreSQL transaction that writes: it waits until no other one is at work, before its snapshot is taken.

    Then transactions are one after another, as with SQLite's BEGIN IMMEDIATE, and never fail to serialize; readers are not held up. All tables
    are locked, not only one, so that somebody who writes with another program waits for us, and we for them. A transaction whose process
    is paused gives way before those that wait for it give up.
    """
    milliseconds = round(busy_seconds * 1000)
    return (
        f"SET LOCAL lock_timeout = {milliseconds}; SET LOCAL idle_in_transaction_session_timeout = {round(0.8 * milliseconds)}; "
        f"LOCK TABLE {', '.join(sorted(metadata.tables))} IN SHARE ROW EXCLUSIVE MODE"
    )
