"""Orders at three levels: making them and changing their status. Each change is an event, written in the same transaction.

What is filled of them is booked in `executions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, exists, func, insert, select, update

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.facts import append_all, digest
from tradeflow_core.ledger.schema import (
    broker_order_legs,
    broker_orders,
    contract_order_legs,
    contract_orders,
    instrument_orders,
    order_events,
    shares,
)
from tradeflow_core.model import (
    LIVE_STATUSES,
    BrokerOrderStatus,
    Leg,
    OrderIntent,
    OrderLevel,
    OrderStatus,
    OrderType,
    Quoted,
)

SYSTEM = "tradeflow"
"""Who changes an order where no person does."""

RETRY = "retry: "
"""How the reason of an event begins by which a person has a rejected order tried again at once."""

DAY_ENDED = "no order outlives its day"
"""How the reason of an event begins by which an order ends in the evening; what held it back follows after a colon."""

CHANGING = {"id", "filled", "status", "closed_at", "broker_id", "reason", "missing_at"}
"""Columns of orders that change; all others are fixed when an order is made."""


# --- making orders -------------------------------------------------------------------------------------------------------


def add_instrument_order(
    tx: Connection,
    *,
    account: str,
    strategy: str,
    instrument: str,
    quantity: int,
    order_type: OrderType,
    day: date,
    now: datetime,
    limit_price: float | None = None,
    reference_contract: int | None = None,
    reference_price: float | None = None,
    reference_time: datetime | None = None,
    who: str = SYSTEM,
    why: str = "",
) -> int:
    """Put an instrument order for the business day `day` on the stack; returns its id."""
    values = {
        "account": account,
        "strategy": strategy,
        "instrument": instrument,
        "quantity": quantity,
        "order_type": order_type,
        "limit_price": limit_price,
        "day": day,
        "reference_contract": reference_contract,
        "reference_price": reference_price,
        "reference_time": reference_time,
        "who": who,
        "why": why,
        "created_at": now,
    }
    order = _insert(tx, instrument_orders, filled=0, status=OrderStatus.OPEN, **values)
    fixed = fixed_digest(values)
    _record(tx, OrderLevel.INSTRUMENT, {order: None}, after=OrderStatus.OPEN, now=now, who=who, why=why, fixed=fixed)
    return order


def add_contract_order(
    tx: Connection,
    works_for: int | Mapping[int, int],
    *,
    legs: Sequence[Leg],
    order_type: OrderType,
    now: datetime,
    limit_price: float | None = None,
    follows: int | None = None,
    reference_price: float | None = None,
    who: str = SYSTEM,
    why: str = "",
) -> int:
    """Put a contract order below one instrument order, or below several with the quantity for each; returns its id.

    Its legs are stored in order of contract. Raises StateError where the parts of several do not add up to its only leg, or one of them is
    closed.
    """
    in_order = sorted(legs, key=lambda leg: leg.contract)
    total = sum(leg.quantity for leg in in_order)
    parts = dict(works_for) if isinstance(works_for, Mapping) else {works_for: total}
    if len(parts) > 1 and (len(legs) > 1 or sum(parts.values()) != total or any(part * total <= 0 for part in parts.values())):
        raise StateError(f"shares {parts} do not make up a contract order of {[leg.quantity for leg in legs]}")
    parents = tx.execute(_PARENTS, {"orders": sorted(parts)}).all()
    if closed := [row.id for row in parents if row.status is not OrderStatus.OPEN]:
        raise StateError(f"instrument order {closed[0]} is closed; nothing more is traded for it")
    parent = parents[0]
    values = {
        "account": parent.account,
        "instrument": parent.instrument,
        "order_type": order_type,
        "limit_price": limit_price,
        "follows": follows,
        "reference_price": reference_price,
        "created_at": now,
    }
    order = _insert(tx, contract_orders, status=OrderStatus.OPEN, **values)
    _insert_legs(tx, contract_order_legs, "contract_order_id", order=order, instrument=parent.instrument, legs=in_order)
    rows = [{"contract_order_id": order, "instrument_order_id": key, "quantity": part} for key, part in parts.items()]
    tx.execute(insert(shares), [{**row, "filled": 0} for row in rows])
    fixed = fixed_digest(values, legs=in_order, parts=parts)
    _record(tx, OrderLevel.CONTRACT, {order: None}, after=OrderStatus.OPEN, now=now, who=who, why=why, fixed=fixed)
    return order


def add_broker_order(
    tx: Connection,
    contract_order: int,
    intent: OrderIntent,
    *,
    now: datetime,
    quoted: Quoted | None = None,
) -> int:
    """Record the intent to send an order, as `SENDING`, before it is sent; returns its id. The legs keep their order.

    `quoted`: of the first leg. Raises StateError while the contract order has another broker order at work, or if it is closed.
    """
    status = tx.execute(_CONTRACT_STATUS, {"order": contract_order}).scalar_one()
    if status is not OrderStatus.OPEN:
        raise StateError(f"contract order {contract_order} is {status}; nothing more is sent for it")
    if tx.execute(_AT_WORK_FOR, {"contract_order": contract_order}).first():
        raise StateError(
            f"contract order {contract_order} has a broker order at work already; a second one could double the trade"
        )
    values = {
        "contract_order_id": contract_order,
        "client_ref": intent.client_ref,
        "account": intent.account,
        "instrument": intent.instrument,
        "order_type": intent.order_type,
        "limit_price": intent.limit_price,
        "bid": quoted.bid if quoted else None,
        "ask": quoted.ask if quoted else None,
        "quoted_at": quoted.time if quoted else None,
        "created_at": now,
        "sent_at": now,
    }
    order = _insert(tx, broker_orders, status=BrokerOrderStatus.SENDING, reason="", **values)
    _insert_legs(tx, broker_order_legs, "broker_order_id", order=order, instrument=intent.instrument, legs=intent.legs)
    fixed = fixed_digest(values, legs=intent.legs)
    _record(tx, OrderLevel.BROKER, {order: None}, after=BrokerOrderStatus.SENDING, now=now, fixed=fixed)
    return order


def fixed_digest(values: Mapping[str, Any], *, legs: Sequence[Leg] = (), parts: Mapping[int, int] | None = None) -> str:
    """Hash of what never changes of an order: its columns but for `CHANGING`, its legs and shares."""
    fixed = {name: value for name, value in values.items() if name not in CHANGING}
    of_legs = " ".join(f"{leg.contract}:{int(leg.quantity)}" for leg in legs)
    of_parts = " ".join(f"{key}:{int(part)}" for key, part in sorted((parts or {}).items()))
    return digest("", {**fixed, "legs": of_legs, "shares": of_parts})


_PARENTS = (
    select(*(instrument_orders.c[name] for name in ("id", "account", "instrument", "status")))
    .where(instrument_orders.c.id.in_(bindparam("orders", expanding=True)))
    .order_by(instrument_orders.c.id)
)
_CONTRACT_STATUS = select(contract_orders.c.status).where(contract_orders.c.id == bindparam("order"))
_AT_WORK_FOR = select(broker_orders.c.id).where(
    broker_orders.c.contract_order_id == bindparam("contract_order"), broker_orders.c.status.in_(LIVE_STATUSES)
)


def _insert(tx: Connection, table: Table, **values: Any) -> int:
    return int(tx.execute(insert(table).returning(table.c.id), values).scalar_one())


def _insert_legs(tx: Connection, table: Table, key: str, *, order: int, instrument: str, legs: Sequence[Leg]) -> None:
    rows = [
        {key: order, "leg": number, "instrument": instrument, "contract": leg.contract, "quantity": leg.quantity, "filled": 0}
        for number, leg in enumerate(legs)
    ]
    tx.execute(insert(table), rows)


# --- status --------------------------------------------------------------------------------------------------------------


def set_broker_status(
    tx: Connection,
    order: int,
    status: BrokerOrderStatus,
    *,
    now: datetime,
    broker_id: str | None = None,
    reason: str = "",
    missing_at: datetime | None = None,
    who: str = SYSTEM,
) -> None:
    """Record where a broker order stands; one that has ended is closed. `missing_at`: since when the broker's answers lack it.

    Raises StateError where that status may not follow its present one (`NEXT_STATUSES`).
    """
    before: BrokerOrderStatus = tx.execute(_BROKER_STATUS, {"order": order}).scalar_one()
    if status is not before and not before.may_become(status):
        raise StateError(f"broker order {order} is {before}, which cannot become {status}")
    values: dict[str, object] = {"status": status, "reason": reason, "missing_at": missing_at}
    if broker_id is not None:
        values["broker_id"] = broker_id
    values["closed_at"] = None if status.is_live else now
    tx.execute(_OF_BROKER_ORDER.values(**values), {"order": order})
    if status is not before:
        _record(tx, OrderLevel.BROKER, {order: before}, after=status, now=now, who=who, why=reason)


_OF_BROKER_ORDER = update(broker_orders).where(broker_orders.c.id == bindparam("order"))
_BROKER_STATUS = select(broker_orders.c.status).where(broker_orders.c.id == bindparam("order"))


def complete_orders(tx: Connection, now: datetime) -> int:
    """Complete contract orders that are filled and have no broker order at work, then instrument orders that are filled and have no open
    contract order. Returns the number of instrument orders completed."""
    done = list(tx.execute(_FILLED_CONTRACT_ORDERS).scalars())
    _end(tx, contract_orders, done, status=OrderStatus.COMPLETED, now=now)
    complete = list(tx.execute(_FILLED_INSTRUMENT_ORDERS).scalars())
    _end(tx, instrument_orders, complete, status=OrderStatus.COMPLETED, now=now)
    return len(complete)


# Only what hangs on open orders is read, so that the cost does not grow with the orders of all time.
_FILLED_CONTRACT_ORDERS = select(contract_orders.c.id).where(
    contract_orders.c.status == OrderStatus.OPEN,
    ~exists().where(broker_orders.c.contract_order_id == contract_orders.c.id, broker_orders.c.status.in_(LIVE_STATUSES)),
    ~exists().where(
        contract_order_legs.c.contract_order_id == contract_orders.c.id,
        func.abs(contract_order_legs.c.filled) < func.abs(contract_order_legs.c.quantity),
    ),
)
_CHILDREN = exists().where(shares.c.instrument_order_id == instrument_orders.c.id)
_FILLED_INSTRUMENT_ORDERS = select(instrument_orders.c.id).where(
    instrument_orders.c.status == OrderStatus.OPEN,
    func.abs(instrument_orders.c.filled) >= func.abs(instrument_orders.c.quantity),
    _CHILDREN,
    ~_CHILDREN.where(shares.c.contract_order_id == contract_orders.c.id, contract_orders.c.status == OrderStatus.OPEN),
)


def close_all_orders(
    tx: Connection, account: str, now: datetime, *, why: Mapping[tuple[OrderLevel, int], str] | None = None
) -> int:
    """End of day: cancel every open instrument and contract order of the account; returns the number of instrument orders.

    `why`: by level and id why an order was not filled, which is recorded. No broker order may be at work; raises StateError otherwise.
    """
    of = broker_orders.c
    at_work = tx.execute(select(of.client_ref).where(of.account == account, of.status.in_(LIVE_STATUSES))).scalars().all()
    if at_work:
        raise StateError(f"broker orders {', '.join(at_work)} are still at work; cancel them first (`tradeflow stop` does)")
    closed = 0
    for table, level in ((contract_orders, OrderLevel.CONTRACT), (instrument_orders, OrderLevel.INSTRUMENT)):
        is_open = select(table.c.id).where(table.c.account == account, table.c.status == OrderStatus.OPEN)
        orders = list(tx.execute(is_open).scalars())
        by_reason: dict[str, list[int]] = {}
        for order in orders:
            reason = (why or {}).get((level, order), "")
            by_reason.setdefault(f"{DAY_ENDED}: {reason}" if reason else DAY_ENDED, []).append(order)
        for reason, some in by_reason.items():
            _end(tx, table, some, status=OrderStatus.CANCELLED, now=now, why=reason)
        closed = len(orders)
    return closed


def cancel_instrument_order(tx: Connection, order: int, *, now: datetime, who: str, why: str) -> None:
    """Cancel an open instrument order and its open contract orders; what is at work for it at the broker is to be cancelled there.

    Raises StateError where it is not open, or shares a contract order with another instrument order.
    """
    status = tx.execute(select(instrument_orders.c.status).where(instrument_orders.c.id == order)).scalar_one_or_none()
    if status is not OrderStatus.OPEN:
        raise StateError(
            f"instrument order {order} {'does not exist' if status is None else f'is {status}'}; only open ones can be cancelled"
        )
    children = (
        select(contract_orders.c.id)
        .join(shares)
        .where(shares.c.instrument_order_id == order, contract_orders.c.status == OrderStatus.OPEN)
    )
    below = list(tx.execute(children).scalars())
    others = select(shares.c.instrument_order_id).where(
        shares.c.contract_order_id.in_(below), shares.c.instrument_order_id != order
    )
    if also := sorted(set(tx.execute(others).scalars())):
        raise StateError(f"instrument order {order} is worked together with {also}; cancel those too, or stop trading")
    _end(tx, contract_orders, below, status=OrderStatus.CANCELLED, now=now, who=who, why=why)
    _end(tx, instrument_orders, [order], status=OrderStatus.CANCELLED, now=now, who=who, why=why)


def retry_contract_order(tx: Connection, order: int, *, now: datetime, who: str, why: str) -> None:
    """Forget the rejections of an open contract order, so that it is tried again at once."""
    _record(tx, OrderLevel.CONTRACT, {order: OrderStatus.OPEN}, after=OrderStatus.OPEN, now=now, who=who, why=f"{RETRY}{why}")


def _end(
    tx: Connection,
    table: Table,
    orders: Sequence[int],
    *,
    status: OrderStatus,
    now: datetime,
    who: str = SYSTEM,
    why: str = "",
) -> None:
    if orders:
        tx.execute(update(table).where(table.c.id.in_(orders)).values(status=status, closed_at=now))
        level = OrderLevel.INSTRUMENT if table is instrument_orders else OrderLevel.CONTRACT
        _record(tx, level, dict.fromkeys(orders, OrderStatus.OPEN), after=status, now=now, who=who, why=why)


def _record(
    tx: Connection,
    level: OrderLevel,
    before: Mapping[int, str | None],
    *,
    after: str,
    now: datetime,
    who: str = SYSTEM,
    why: str = "",
    fixed: str | None = None,
) -> None:
    """Append the event of each order whose status was `before`."""
    rows = [
        {
            "level": level,
            "order_id": order,
            "before": status,
            "after": after,
            "fixed": fixed,
            "who": who,
            "why": why,
            "recorded_at": now,
        }
        for order, status in before.items()
    ]
    append_all(tx, order_events, rows)
