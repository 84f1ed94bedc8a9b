"""Facts are appended and never changed, and each row carries a hash of its columns and of the row before it.

So a row that was changed, lost or put in by somebody else is found: by `chain_problems` among all rows, and by `missing_heads` when a
ledger lacks the newest rows that are known of it. An end of a control is a fact too, with a hash of its own.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, insert, select, union_all, update
from sqlalchemy.sql import literal
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from tradeflow_core.ledger.schema import (
    account_values,
    allocations,
    capital_events,
    commissions,
    fills,
    locks,
    order_events,
    overrides,
    position_limits,
    price_marks,
    roll_events,
    roll_states,
    trade_limits,
    trading_stops,
)

FACTS: tuple[Table, ...] = (
    roll_events,
    roll_states,
    price_marks,
    account_values,
    capital_events,
    order_events,
    fills,
    commissions,
    allocations,
    trading_stops,
    locks,
    overrides,
    position_limits,
    trade_limits,
)
"""The tables of facts: append-only, with hashes."""

ENDS = ("ended_at", "ended_by", "ended_why")
"""The columns of the end of a control, which are written once, later."""

NOT_HASHED = ("id", "hash", "end_hash", *ENDS)

_HEADS = {
    table.name: select(literal(table.name).label("name"), table.c.id, table.c.hash).order_by(table.c.id.desc()).limit(1)
    for table in FACTS
}
_INSERT = {table.name: insert(table).returning(table.c.id) for table in FACTS}
_INSERT_ALL = {table.name: insert(table).returning(table.c.id, sort_by_parameter_order=True) for table in FACTS}


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row of a table of facts."""

    id: int
    hash: str


def append(tx: Connection, table: Table, **values: Any) -> int:
    """Add one row to a table of facts; returns its id."""
    return append_all(tx, table, [values])[0]


def append_all(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Add rows to a table of facts, in this order; returns their ids."""
    before = head_of(tx, table)
    previous = before.hash if before else ""
    sealed = []
    for row in rows:
        whole = {**_defaults(table), **row}
        previous = digest(previous, whole)
        sealed.append({**whole, "hash": previous})
    if not sealed:
        return []
    if len(sealed) == 1:
        return [int(tx.execute(_INSERT[table.name], sealed[0]).scalar_one())]
    added = tx.execute(_INSERT_ALL[table.name], sealed)
    return [int(number) for number in added.scalars()]


def append_end(tx: Connection, table: Table, control: int, *, now: datetime, who: str, why: str) -> None:
    """Record the end of a control that is in force."""
    begun = tx.execute(select(table.c.hash).where(table.c.id == control)).scalar_one()
    end = dict(zip(ENDS, (now, who, why), strict=True))
    tx.execute(update(table).where(table.c.id == control).values(**end, end_hash=digest(begun, end)))


def digest(previous: str, values: Mapping[str, Any]) -> str:
    """SHA-256 of the hash of the row before and of the values that are not missing, by name.

    It is the same for the values that were written and for those that are read back, of either database.
    """
    words = [
        [name, _word(values[name])] for name in sorted(values) if name not in ("id", "hash") and not _is_missing(values[name])
    ]
    return hashlib.sha256(json.dumps([previous, *words]).encode()).hexdigest()


def head_of(view: Connection, table: Table) -> Head | None:
    """The newest row of a table of facts; None where it is empty."""
    row = view.execute(_HEADS[table.name]).first()
    return None if row is None else Head(row.id, row.hash)


def heads(view: Connection) -> dict[str, Head]:
    """The newest row of each table of facts, by name; tables without any are left out."""
    return {table.name: head for table in FACTS if (head := head_of(view, table))}


def missing_heads(view: Connection, known: Mapping[str, Head]) -> list[str]:
    """The names of the tables that do not have the row which was the newest one at some time: it was lost, or changed."""
    asked = [
        select(literal(table.name).label("name")).where(
            table.c.id == known[table.name].id, table.c.hash == known[table.name].hash
        )
        for table in FACTS
        if table.name in known
    ]
    found = set(view.execute(union_all(*asked)).scalars()) if asked else set()
    return [name for name in known if name not in found]


def chain_problems(view: Connection, *, after: Mapping[str, Head] | None = None) -> list[str]:
    """Every row of facts that does not fit the row before it, or that has another hash than its columns, as a sentence.

    `after`: only rows that are newer than these, by table.
    """
    return [problem for table in FACTS for problem in _chain_problems(view, table, (after or {}).get(table.name))]


def _chain_problems(view: Connection, table: Table, after: Head | None) -> Iterator[str]:
    query, previous = select(table).order_by(table.c.id), ""
    if after is not None:
        query, previous = query.where(table.c.id > after.id), after.hash
    for row in view.execute(query).mappings():
        if digest(previous, hashed(row)) != row["hash"]:
            yield f"{table.name}: row {row['id']} is not as it was written, or a row before it is missing"
        previous = row["hash"]
        if "end_hash" in row and not _end_fits(row):
            yield f"{table.name}: the end of row {row['id']} is not as it was written"


def hashed(row: RowMapping) -> dict[str, Any]:
    """The columns of a row of facts that its hash is made of."""
    return {name: value for name, value in row.items() if name not in NOT_HASHED}


def _end_fits(row: RowMapping) -> bool:
    end = {name: row[name] for name in ENDS}
    is_open = all(value is None for value in end.values())
    return row["end_hash"] is None if is_open else row["end_hash"] == digest(row["hash"], end)


def _defaults(table: Table) -> dict[str, Any]:
    """What SQLAlchemy writes into columns that are not given."""
    given = {column.name: column.default for column in table.columns}
    return {name: default.arg for name, default in given.items() if isinstance(default, ScalarElementColumnDefault)}


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))  # SQLite stores NaN as NULL


def _word(value: Any) -> str:
    """A value as text that does not depend on how a database keeps it: instants in UTC, whole floats as integers."""
    if isinstance(value, datetime):
        instant = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return instant.strftime("%Y-%m-%dT%H:%M:%S.%f")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bool):
        return str(int(value))
    if hasattr(value, "item"):  # a NumPy scalar
        return _word(value.item())
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value)
