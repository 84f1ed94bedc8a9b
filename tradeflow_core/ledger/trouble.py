"""What the database says when something is wrong with the ledger as a whole, in words for a person."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError

from tradeflow_core.errors import StateError
from tradeflow_core.home import is_without_room

RESTORE = (
    "put a backup back with `tradeflow restore FILE` (those of this home lie in its folder `backups`), take the ledger that lies there if "
    "you know that it is right (`tradeflow restore --as-it-is`), or begin anew with `tradeflow restore --empty`; the broker can tell its "
    "positions (`tradeflow positions adopt`) and the executions of the last days again"
)

CONFLICTS = ("40001", "40P01")
"""PostgreSQL's codes for a transaction that could not be serialized, and for a deadlock."""


class LedgerTrouble(StateError):
    """The ledger cannot be used at the moment, or not at all. It is never about one instrument."""


class LedgerBusy(LedgerTrouble):
    """Another process has been writing for so long that this one has given up waiting; nothing was written."""


class LedgerRefused(LedgerTrouble):
    """The ledger is damaged, missing, older than it was, or of another home. Nothing is traded on it."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"the ledger {where} is refused: {why}. Nothing was changed; {RESTORE}")
        self.why = why


def place(engine: Engine) -> str:
    """Which database it is, for people: without a password."""
    return engine.url.set(drivername=engine.dialect.name).render_as_string(hide_password=True)


def is_conflict(error: DBAPIError) -> bool:
    """Whether PostgreSQL has ended a transaction because it and another one could not both go on."""
    return getattr(error.orig, "pgcode", None) in CONFLICTS


def explained(error: Exception, engine: Engine, *, busy_seconds: float) -> LedgerTrouble | None:
    """The error of a database in words for a person; None where it is about a statement, which is a mistake of ours."""
    if isinstance(error, DBAPIError):
        original = error.orig
        if original is None:
            return None
    elif isinstance(error, sqlite3.Error):
        original = error
    else:
        return None
    kind = _sqlite_kind(original) if isinstance(original, sqlite3.Error) else _postgres_kind(original)
    said = " ".join(str(original).split())
    if kind is LedgerBusy:
        return LedgerBusy(
            f"another process has been writing to the ledger {place(engine)} for {busy_seconds:g} seconds, so nothing was written; "
            f"look which one it is{_how_to_look(engine)}, wait for it or end it, then do this again"
        )
    if kind is LedgerRefused:
        return LedgerRefused(place(engine), f"it is damaged ({said})")
    if isinstance(original, sqlite3.Error):
        is_ours = kind is None
    else:
        is_ours = not isinstance(error, (OperationalError, InterfaceError, InternalError))
    return (
        None
        if is_ours
        else LedgerTrouble(
            f"the ledger {place(engine)} cannot be used ({said}); what was not confirmed is not written. Check that the database runs and has "
            "room, `database` in the settings, and the rights of the folder; then do this again"
        )
    )


def _how_to_look(engine: Engine) -> str:
    return " (`select * from pg_stat_activity`)" if engine.dialect.name == "postgresql" else ""


def _sqlite_kind(error: sqlite3.Error) -> type[LedgerTrouble] | None:
    """None: the statement was wrong, or breaks a constraint."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # the module's own, such as text that is not UTF-8 or a closed connection
        return None
    if is_without_room(error):
        return LedgerTrouble
    primary = code & 0xFF
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LedgerBusy
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FORMAT):
        return LedgerRefused
    of_the_file = (
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
    )
    return LedgerTrouble if primary in of_the_file else None


def _postgres_kind(error: BaseException) -> type[LedgerTrouble]:
    code = getattr(error, "pgcode", None) or ""
    if code == "55P03" or code in CONFLICTS:
        return LedgerBusy
    if code[:2] == "XX" or code == "58030":
        return LedgerRefused
    return LedgerTrouble
