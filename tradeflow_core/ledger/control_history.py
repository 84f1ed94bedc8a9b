"""Every control that was ever set: who set it and why, and who lifted it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Table, select

from tradeflow_core.ledger.controls import ANY, CHANGED
from tradeflow_core.ledger.schema import locks, overrides, position_limits, trade_limits, trading_stops


class Control(StrEnum):
    """The kinds of control, by the name of their table."""

    STOP = "trading_stops"
    LOCK = "locks"
    OVERRIDE = "overrides"
    POSITION_LIMIT = "position_limits"
    TRADE_LIMIT = "trade_limits"


TABLES: dict[Control, Table] = {
    Control(table.name): table for table in (trading_stops, locks, overrides, position_limits, trade_limits)
}

KEYS: dict[Control, tuple[str, ...]] = {
    Control.STOP: ("scope",),
    Control.LOCK: ("instrument", "owner"),
    Control.OVERRIDE: ("strategy", "instrument"),
    Control.POSITION_LIMIT: ("strategy", "instrument"),
    Control.TRADE_LIMIT: ("strategy", "instrument", "days"),
}
"""The columns that say what a control is about; at most one row of each key is in force."""


def control_history(
    view: Connection, control: Control, *, instrument: str | None = None, in_force: bool = False
) -> list[dict[str, Any]]:
    """Controls of one kind as rows, in the order in which they were set: id, what they say, who, why, recorded_at, ended_at, ended_by,
    ended_why (None while in force), and since.

    Instants are UTC. `since`: when the control began; earlier than recorded_at where a changed control took over from a former one
    without a gap. `instrument`: only those that hold for it, that is also those of every instrument. `in_force`: only those that have not
    ended.
    """
    table, since = TABLES[control], dict[tuple[Any, ...], Any]()
    rows = []
    for found in view.execute(select(table).order_by(table.c.id)).mappings():
        row = dict(found)
        key = tuple(row[name] for name in KEYS[control])
        row["since"] = since.pop(key, row["recorded_at"])
        if row["ended_at"] is not None and (row["ended_why"] or "").startswith(CHANGED):
            since[key] = row["since"]
        rows.append(row)
    return [
        row
        for row in rows
        if (instrument is None or row.get("instrument", ANY) in (ANY, instrument))
        and not (in_force and row["ended_at"] is not None)
    ]
