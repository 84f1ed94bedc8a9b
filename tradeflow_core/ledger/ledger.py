"""Opening, making and upgrading the ledger, and its transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from tradeflow_core.errors import StateError, TradeflowError
from tradeflow_core.home import LedgerWord
from tradeflow_core.ledger.copies import copy_before_upgrade, revision_of
from tradeflow_core.ledger.kept_word import KeptWord
from tradeflow_core.ledger.leases import require_lease
from tradeflow_core.ledger.migrate import migrate, migration
from tradeflow_core.ledger.recognise import Tell, require_database, require_own, tell_nobody
from tradeflow_core.ledger.schema import metadata
from tradeflow_core.ledger.soundness import damage
from tradeflow_core.ledger.trouble import LedgerRefused, explained, is_conflict, place
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
        # Transactions that write wait for each other (`_queue`). PostgreSQL lets the next one begin shortly before the last one is over in its
        # books of serializable transactions, and would now and then take the two for concurrent.
        self._writes = {"isolation_level": "REPEATABLE READ"} if self.engine.dialect.name == "postgresql" else {}
        self._busy_seconds = busy_seconds
        self._fence: tuple[str, int] | None = None
        self._word: KeptWord | None = None
        self._is_open = False

    @classmethod
    def open(cls, url: str, *, home: Path | None = None, tell: Tell = tell_nobody, busy_seconds: float = BUSY_SECONDS) -> Ledger:
        """The ledger at `url`, made or upgraded to this version's schema if need be; before an upgrade it is copied.

        `home`: the folder of the home whose ledger it is; it must be the one that this home has had, and must have all that it had.
        `tell`: tells a person of an upgrade, or of what is odd. Raises LedgerRefused, LedgerTrouble where it cannot be opened, and
        StateError where it is newer than this version.
        """
        ledger = cls(url, busy_seconds=busy_seconds)
        try:
            word = KeptWord.of(home, ledger.engine) if home is not None else None
            require_database(ledger.engine, word.said if word else None)
            with ledger.read() as view:
                revision = revision_of(view)
                if revision is not None and revision > HEAD:
                    raise StateError(
                        f"the ledger is of a newer tradeflow (schema {revision}, this one knows {HEAD}); upgrade tradeflow"
                    )
                require_own(view, word.said if word else LedgerWord())
            if revision != HEAD:
                ledger._upgrade(revision, home, tell=tell)
            if word is not None:
                word.begin(ledger.engine, tell)
                ledger._word = word
            ledger._is_open = True
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
        with self._explained(), self.engine.connect().execution_options(**self._writes) as transaction:
            self._wait_for_turn(transaction)
            if self._fence is not None:
                require_lease(transaction, *self._fence)
            yield transaction
            transaction.commit()
        if self._word is not None:
            self._word.facts_may_be_new(self.engine)

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

    def require_sound(self) -> None:
        """Raise LedgerRefused where the file is damaged, an invariant is broken, or one of the newest facts is not as it was written."""
        if problems := damage(self.engine):
            raise LedgerRefused(place(self.engine), f"it is damaged ({'; '.join(problems[:3])})")

    def keep_word(self) -> None:
        """Have the home know all facts that are recorded by now. Raises LedgerRefused where the ledger lacks what the home knows."""
        if self._word is not None:
            self._word.keep(self.engine)

    def close(self) -> None:
        if self._word is not None:
            self._word.keep_at_last(self.engine)
        self.engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what the database says as LedgerTrouble; an error that nobody expects is one, too, if the ledger is damaged."""
        try:
            yield
        except TradeflowError:
            raise
        except Exception as error:
            if trouble := explained(error, self.engine, busy_seconds=self._busy_seconds):
                raise trouble from error
            if self._is_open and not isinstance(error, IntegrityError) and (problems := damage(self.engine)):
                raise LedgerRefused(place(self.engine), f"it is damaged ({'; '.join(problems[:3])})") from error
            raise

    def _wait_for_turn(self, connection: Connection) -> None:
        """Begin a transaction that writes, as soon as no other one does. Until then nothing was read, so that waiting can begin anew."""
        until = monotonic() + self._busy_seconds
        while True:
            try:
                connection.begin()  # in SQLite this waits
                if self.engine.dialect.name == "postgresql":
                    connection.exec_driver_sql(_queue(self._busy_seconds))
                return
            except DBAPIError as error:
                connection.rollback()
                if not is_conflict(error) or monotonic() >= until:
                    raise

    def _upgrade(self, revision: str | None, home: Path | None, *, tell: Tell) -> None:
        copied = "" if revision is None else copy_before_upgrade(self.engine, revision, home)
        with self._explained(), migration(self.engine.url) as tx:
            migrate(tx, HEAD)
        if revision is not None:
            tell("ledger upgraded", f"the ledger {place(self.engine)} was upgraded from schema {revision} to {HEAD}{copied}")


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
