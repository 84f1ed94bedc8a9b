"""Opening, making and upgrading the ledger, and its transactions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, inspect, text

from tradeflow_core.errors import StateError, TradeflowError
from tradeflow_core.ledger.leases import require_lease
from tradeflow_core.ledger.migrate import migrate, migration
from tradeflow_core.ledger.trouble import LedgerBusy, LedgerConflict, explained
from tradeflow_core.store import BUSY_SECONDS, create_sql_engine, read_only

T = TypeVar("T")

HEAD = "0004"
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

        Within `fenced` it raises Superseded once somebody else has taken over the lease. Raises LedgerBusy where others write all the time,
        and in PostgreSQL LedgerConflict where somebody writes with another program, without waiting; `run` repeats it then.
        """
        with self._explained(), self.engine.begin() as transaction:
            if self.engine.dialect.name == "postgresql":
                transaction.exec_driver_sql(_queue(self._busy_seconds))
            if self._fence is not None:
                require_lease(transaction, *self._fence)
            yield transaction

    def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, done in one transaction; done again where the ledger is busy or somebody else has interfered.

        `work` may be called more than once, so it changes nothing but the ledger. Raises what `begin` raises after `busy_seconds` of that.
        """
        until, pause = time.monotonic() + self._busy_seconds, 0.01
        while True:
            try:
                with self.begin() as tx:
                    return work(tx)
            except (LedgerBusy, LedgerConflict):
                if time.monotonic() >= until:
                    raise
            time.sleep(random.uniform(0, pause))
            pause = min(2 * pause, 1.0)

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

    def _revision(self) -> str | None:
        with self.read() as view:
            if not inspect(view).has_table("alembic_version"):
                return None
            return view.execute(text("select version_num from alembic_version")).scalar_one_or_none()

    def _upgrade(self) -> None:
        with self._explained(), migration(self.engine) as tx:
            migrate(tx, HEAD)


def _queue(busy_seconds: float) -> str:
    """The first statements of a PostgreSQL transaction that writes: it waits until no other one is at work, before its snapshot is taken.

    Then transactions of ours are one after another, as with SQLite's BEGIN IMMEDIATE, and never fail to serialize. One whose process is
    paused gives way before those that wait for it give up.
    """
    milliseconds = round(busy_seconds * 1000)
    return (
        f"SET LOCAL lock_timeout = {milliseconds}; SET LOCAL idle_in_transaction_session_timeout = {round(0.8 * milliseconds)}; "
        "LOCK TABLE leases IN SHARE ROW EXCLUSIVE MODE"
    )
