"""Whether a database is the ledger that a home has: there, sound, its own, and not older than it was.

A home keeps its word about its ledger (`home/ledger_word.py`). A ledger that does not keep that word is refused before anything is
written to it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Connection, Engine, inspect, select

from tradeflow_core.home import LEDGER_WORD_FILE, LedgerWord, is_sqlite
from tradeflow_core.ledger.copies import revision_of
from tradeflow_core.ledger.facts import Head, heads, missing_heads
from tradeflow_core.ledger.schema import identity
from tradeflow_core.ledger.trouble import LedgerRefused, place
from tradeflow_core.store import read_only

Tell = Callable[[str, str], None]
"""Tells a person something: subject and message."""


def tell_nobody(subject: str, message: str) -> None:
    """Where no home has alerts."""


def file_of(engine: Engine) -> Path | None:
    """The file of an SQLite database; None for one in memory, and in PostgreSQL."""
    path = engine.url.database
    return Path(path) if engine.dialect.name == "sqlite" and path and path != ":memory:" else None


def require_database(engine: Engine, word: LedgerWord | None) -> None:
    """Raise LedgerRefused where the file of the ledger is none of SQLite, or is missing although there was a ledger.

    To be called before the database is opened, which would make a missing or empty one. `word`: None where no home asks.
    """
    file = file_of(engine)
    if file is None:
        return
    size = file.stat().st_size if file.exists() else None
    if size and not is_sqlite(file):
        _refuse(engine, "the file is not an SQLite database")
    if not size and word is not None and word.made:
        _refuse(engine, f"the file is {'missing' if size is None else 'empty'}, and this home has had a ledger ({_facts(word)})")


def require_own(view: Connection, word: LedgerWord) -> None:
    """Raise LedgerRefused where the database is not what the home's word says; nothing is written before that."""
    revision = revision_of(view)
    if revision is None:
        if word.made:
            _refuse(view.engine, f"the database is empty, and this home has had a ledger ({_facts(word)})")
        if view.dialect.name == "sqlite" and inspect(view).get_table_names():
            _refuse(view.engine, "the file is the database of something else")
        return
    if not word.identity:
        return
    found = identity_of(view)
    if found is None:
        _refuse(view.engine, f"it is of an older version (schema {revision}) than the one that this home has had")
    if found != word.identity:
        _refuse(view.engine, f"it is another one: its identity is {found}, the ledger of this home is {word.identity}")
    if lost := missing_heads(view, {table: Head(*head) for table, head in word.heads.items()}):
        _refuse(
            view.engine,
            f"it is older than it was, or was changed: it lacks the newest {_listed(lost)} that this home has seen ({_facts(word)})",
        )


def require_any(engine: Engine) -> None:
    """Raise LedgerRefused where the database holds no ledger, of whatever home."""
    made = LedgerWord(made=True)
    require_database(engine, made)
    with read_only(engine) as view:
        require_own(view, made)


def identity_of(view: Connection) -> str | None:
    """The random id that the ledger got when it was made; None in one of an older version, before it is upgraded."""
    return view.execute(select(identity.c.id)).scalar() if inspect(view).has_table(identity.name) else None


def word_about(view: Connection, *, replaced: int) -> LedgerWord:
    """What a home may say about this ledger now."""
    return LedgerWord(
        made=True,
        identity=identity_of(view) or "",
        heads={table: (head.id, head.hash) for table, head in heads(view).items()},
        replaced=replaced,
    )


def require_something(engine: Engine) -> None:
    """Raise LedgerRefused where there is no ledger, although the home has lost its word about it."""
    file = file_of(engine)
    if file is not None and not (file.exists() and file.stat().st_size):
        _refuse(
            engine,
            f"it is missing or empty, and {LEDGER_WORD_FILE}, in which this home says which ledger is its own, is missing too",
        )


def _refuse(engine: Engine, why: str) -> NoReturn:
    raise LedgerRefused(place(engine), why)


def _facts(word: LedgerWord) -> str:
    count = sum(head[0] for head in word.heads.values())
    return f"with {count} facts" if count else "of which it knows no facts yet"


def _listed(tables: list[str]) -> str:
    return ", ".join(table.replace("_", " ") for table in tables)
