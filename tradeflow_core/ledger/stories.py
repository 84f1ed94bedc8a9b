"""What happened to orders and executions, to look it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from tradeflow_core.ledger.schema import commissions, fills, order_events
from tradeflow_core.model import OrderLevel


@dataclass(frozen=True, slots=True)
class BookedFill:
    """An execution as it is booked; instants are UTC.

    `replaced_by`: the execution that has taken its place. `commission` whenever it was told; `commission_at`: when, if later than the execution.
    `bid`, `ask`: the quote of its contract when it was booked.
    """

    exec_id: str
    replaces: str | None
    broker_order_id: int | None
    instrument: str
    contract: int
    quantity: int
    price: float
    time: datetime
    commission: Decimal | None
    currency: str
    bid: float | None
    ask: float | None
    who: str
    why: str
    recorded_at: datetime
    commission_at: datetime | None
    replaced_by: str | None


def booked_fill(view: Connection, account: str, exec_id: str) -> BookedFill | None:
    """The execution with that number; None where it is not booked."""
    found = _booked(view, fills.c.account == account, fills.c.exec_id == exec_id)
    return found[0] if found else None


def fills_below(view: Connection, broker_orders: Sequence[int]) -> list[BookedFill]:
    """The executions of broker orders, corrections included, in the order in which they were booked."""
    return _booked(view, fills.c.broker_order_id.in_(broker_orders)) if broker_orders else []


def _booked(view: Connection, *wanted: Any) -> list[BookedFill]:
    later = fills.alias("later")
    names = [name for name in BookedFill.__slots__ if name in fills.c and name != "commission"]
    query = (
        select(
            *(fills.c[name] for name in names),
            func.coalesce(fills.c.commission, commissions.c.commission, type_=fills.c.commission.type).label("commission"),
            commissions.c.recorded_at.label("commission_at"),
            later.c.exec_id.label("replaced_by"),
        )
        .outerjoin(commissions, commissions.c.exec_id == fills.c.exec_id)
        .outerjoin(later, later.c.replaces == fills.c.exec_id)
        .where(*wanted)
        .order_by(fills.c.id)
    )
    return [BookedFill(**row) for row in view.execute(query).mappings()]


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """A change of an order: its status before (None: it was made) and after, when (UTC), by whom and why."""

    level: OrderLevel
    order: int
    before: str | None
    after: str
    time: datetime
    who: str
    why: str


def events_of_orders(view: Connection, orders: Sequence[tuple[OrderLevel, int]]) -> list[OrderEvent]:
    """What happened to these orders, in the order in which it was recorded."""
    of = order_events.c
    wanted = tuple_(of.level, of.order_id).in_(orders)
    query = select(of.level, of.order_id, of.before, of.after, of.recorded_at, of.who, of.why).where(wanted).order_by(of.id)
    return [OrderEvent(*row) for row in view.execute(query)]
