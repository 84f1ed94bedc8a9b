"""Orders and executions as the book of the paper exchange records them, and as a client sees them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, Row, insert, or_, select

from tradeflow_core.brokers.base import OrderRejected, OrderState, UnknownOrder
from tradeflow_core.brokers.paper.book import FOREIGN, LIQUIDATION, executions, legs, orders
from tradeflow_core.model import BrokerOrderStatus, Fill, Leg, OrderIntent


def find_order(connection: Connection, client_ref: str) -> Row | None:
    """The order of that reference; None if there is none."""
    return connection.execute(select(orders).where(orders.c.client_ref == client_ref)).one_or_none()


def order_of(connection: Connection, client_ref: str) -> Row:
    """The order of that reference; raises UnknownOrder."""
    order = find_order(connection, client_ref)
    if order is None or order.client_ref.startswith(FOREIGN):
        raise UnknownOrder(f"no order has the reference {client_ref}")
    return order


def add_order(connection: Connection, intent: OrderIntent, reason: str, *, now: datetime) -> int:
    """Record an order, refused if there is a `reason`; returns its number."""
    values = {
        "client_ref": intent.client_ref,
        "account": intent.account,
        "instrument": intent.instrument,
        "order_type": intent.order_type,
        "limit_price": intent.limit_price,
        "status": BrokerOrderStatus.REJECTED if reason else BrokerOrderStatus.WORKING,
        "reason": reason,
        "submitted": now.isoformat(),
        "ended": now.isoformat() if reason else None,
    }
    broker_id = int(connection.execute(insert(orders).returning(orders.c.broker_id), values).scalar_one())
    if intent.legs:
        rows = [
            {"broker_id": broker_id, "leg": number, "contract": leg.contract, "quantity": leg.quantity, "filled": 0, "matched": 0}
            for number, leg in enumerate(intent.legs)
        ]
        connection.execute(insert(legs), rows)
    return broker_id


def legs_of(connection: Connection, order: Row) -> Sequence[Row]:
    """The legs of one order, in their order."""
    return connection.execute(select(legs).where(legs.c.broker_id == order.broker_id).order_by(legs.c.leg)).all()


def check_same(connection: Connection, order: Row, intent: OrderIntent) -> None:
    """Raises OrderRejected unless `intent` is what the recorded `order` was made of."""
    recorded_legs = tuple((leg.contract, leg.quantity) for leg in legs_of(connection, order))
    recorded = (order.account, order.instrument, order.order_type, order.limit_price, recorded_legs)
    asked_legs = tuple((leg.contract, leg.quantity) for leg in intent.legs)
    if recorded != (intent.account, intent.instrument, intent.order_type, intent.limit_price, asked_legs):
        raise OrderRejected(f"the reference {intent.client_ref} was used for another order; give each order its own")


def working_limit(order: Row) -> float | None:
    """The limit price by which an order works now."""
    return order.limit_price if order.changed_limit is None else order.changed_limit


def read_state(connection: Connection, order: Row) -> OrderState:
    """What a client sees of one order."""
    return _state(order, [Leg(leg.contract, leg.quantity, leg.filled) for leg in legs_of(connection, order)])


def read_states(connection: Connection, ended_since: datetime) -> tuple[OrderState, ...]:
    """Every open order, and every one that ended at or after `ended_since` (UTC), by number."""
    reported = or_(orders.c.status == BrokerOrderStatus.WORKING, orders.c.ended >= ended_since.isoformat())
    rows = connection.execute(select(orders).where(reported).order_by(orders.c.broker_id)).all()
    of = legs.c
    query = select(of.broker_id, of.contract, of.quantity, of.filled).join(orders).where(reported).order_by(of.broker_id, of.leg)
    grouped: dict[int, list[Leg]] = defaultdict(list)
    for order, *leg in connection.execute(query):
        grouped[order].append(Leg(*leg))
    return tuple(_state(row, grouped[row.broker_id]) for row in rows)


def group_legs(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Rows of legs by the number of their order; an empty list for an order without any."""
    grouped: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.broker_id].append(row)
    return grouped


def read_fills(connection: Connection, since: datetime | None) -> tuple[Fill, ...]:
    """Executions and their corrections as they were recorded; with `since` (UTC), those of that time and later."""
    query = select(executions, orders.c.client_ref, orders.c.account, orders.c.instrument).join(orders)
    if since is not None:
        query = query.where(executions.c.time >= since.isoformat())
    return tuple(_fill(row) for row in connection.execute(query.order_by(executions.c.number)))


def _state(order: Row, order_legs: Sequence[Leg]) -> OrderState:
    return OrderState(
        client_ref=_public_reference(order),
        broker_id=str(order.broker_id),
        status=order.status,
        account=order.account,
        instrument=order.instrument,
        legs=tuple(order_legs),
        order_type=order.order_type,
        limit_price=working_limit(order),
        reason=order.reason,
    )


def _fill(row: Row) -> Fill:
    return Fill(
        exec_id=row.exec_id,
        client_ref=_public_reference(row),
        account=row.account,
        instrument=row.instrument,
        contract=row.contract,
        quantity=row.quantity,
        price=row.price,
        time=datetime.fromisoformat(row.time),
        commission=Decimal(row.commission),
        currency=row.currency,
        broker_id=str(row.broker_id),
        replaces=row.replaces,
        is_liquidation=row.client_ref.startswith(FOREIGN + LIQUIDATION),
    )


def _public_reference(order: Row) -> str:
    return "" if order.client_ref.startswith(FOREIGN) else str(order.client_ref)
