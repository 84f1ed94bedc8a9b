"""Whether a ledger is as it was written: its file, the chains of its facts, its invariants."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, func, select

from tradeflow_core.home import sqlite_problems
from tradeflow_core.ledger.checks import broken_rules, ledger_problems
from tradeflow_core.ledger.facts import FACTS, Head, chain_problems
from tradeflow_core.store import read_only

RECENT_ROWS = 5_000
"""Rows of each table of facts, the newest, that a quick look compares with their hashes: an eighth of a second for each table that has so many."""


def damage(engine: Engine, *, quick: bool = True) -> list[str]:
    """What is wrong with a ledger, as sentences; empty where it is sound. Nothing is raised: what cannot be read is damaged.

    `quick`: without the indexes of the file, the orders, and facts that are older than the newest `RECENT_ROWS` of their table.
    """
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if file and file != ":memory:" and (problems := sqlite_problems(Path(file), quick=quick)):
        return problems
    try:
        with read_only(engine) as view:
            return [*broken_rules(view), *chain_problems(view, after=_before_recent(view))] if quick else ledger_problems(view)
    except Exception as error:  # whatever stands in the rows
        return [f"its rows cannot be read ({' '.join(str(error).split())[:200]})"]


def _before_recent(view: Connection) -> dict[str, Head]:
    """The row of each table of facts after which its newest `RECENT_ROWS` come."""
    found = {}
    for table in FACTS:
        newest = view.execute(select(func.max(table.c.id))).scalar() or 0
        row = view.execute(select(table.c.id, table.c.hash).where(table.c.id == newest - RECENT_ROWS)).first()
        if row is not None:
            found[table.name] = Head(row.id, row.hash)
    return found
