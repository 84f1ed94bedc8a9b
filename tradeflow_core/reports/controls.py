"""Locks, overrides and limits of a desk as plain rows, read without pandas. Instants are UTC; an empty strategy or instrument is every one.

Each row ends with since, who and why. With `history` also those that have ended are there, in the order in which they were set, and
each row ends with recorded_at, who, why, ended_at, ended_by, ended_why.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.ledger import Control, control_history, trade_limits_in_force
from tradeflow_core.orders import control_words, held

Row = dict[str, Any]
BEGUN, ENDED = ("since", "who", "why"), ("recorded_at", "who", "why", "ended_at", "ended_by", "ended_why")


def lock_rows(desk: Desk, instrument: str | None = None, *, history: bool = False) -> list[Row]:
    """Locks: instrument, owner."""
    with desk.ledger.read() as view:
        return [
            {**_of(row, "instrument", "owner"), **_of(row, *(ENDED if history else BEGUN))}
            for row in _rows(view, Control.LOCK, instrument, history=history)
        ]


def override_rows(desk: Desk, instrument: str | None = None, *, history: bool = False) -> list[Row]:
    """Overrides: strategy, instrument, override (a fraction, reduce_only or no_trading)."""
    with desk.ledger.read() as view:
        return [
            {
                **_of(row, "strategy", "instrument"),
                "override": control_words(Control.OVERRIDE, row),
                **_of(row, *(ENDED if history else BEGUN)),
            }
            for row in _rows(view, Control.OVERRIDE, instrument, history=history)
        ]


def position_limit_rows(desk: Desk, instrument: str | None = None, *, history: bool = False) -> list[Row]:
    """Position limits: strategy, instrument, limit (contracts on either side); of those in force also the position held."""
    with desk.ledger.read() as view:
        return [
            {
                **_of(row, "strategy", "instrument"),
                "limit": row["contracts"],
                **({} if history else {"position": held(view, desk.account, row["strategy"], instrument=row["instrument"])}),
                **_of(row, *(ENDED if history else BEGUN)),
            }
            for row in _rows(view, Control.POSITION_LIMIT, instrument, history=history)
        ]


def trade_limit_rows(desk: Desk, instrument: str | None = None, *, history: bool = False) -> list[Row]:
    """Trade limits: strategy, instrument, days, limit (contracts in so many days); of those in force also what is used and left."""
    with desk.ledger.read() as view:
        limits = {
            (limit.strategy, limit.instrument, limit.days): limit
            for limit in trade_limits_in_force(view, desk.account, now=desk.now())
        }
        rows = []
        for row in _rows(view, Control.TRADE_LIMIT, instrument, history=history):
            limit = limits.get((row["strategy"], row["instrument"], row["days"]))
            now = {} if history or limit is None else {"used": limit.used, "left": limit.left}
            limit_fields = {**_of(row, "strategy", "instrument", "days"), "limit": row["contracts"]}
            rows.append({**limit_fields, **now, **_of(row, *(ENDED if history else BEGUN))})
        return rows


def _rows(view: Connection, control: Control, instrument: str | None, *, history: bool) -> list[Row]:
    """Controls in force by instrument, or all there ever were in the order in which they were set."""
    rows = control_history(view, control, instrument=instrument, in_force=not history)
    return rows if history else sorted(rows, key=lambda row: (row["instrument"], row.get("strategy", ""), row.get("days", 0)))


def _of(row: Row, *names: str) -> Row:
    return {name: row[name] for name in names}
