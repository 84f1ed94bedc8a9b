"""Orders at three levels, fills and positions. Changes that belong together are one transaction.

A fill updates the legs of its broker order and contract order, the instrument order, the position in the contract and the position of
the strategy. Roll orders belong to the pseudo strategy `ROLLS`, whose position is zero whenever no roll is half done; so the
positions of all strategies in an instrument always add up to those in its contracts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, func, insert, select, update

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.schema import (
    broker_order_legs,
    broker_orders,
    contract_order_legs,
    contract_orders,
    contract_positions,
    fills,
    instrument_orders,
    strategy_positions,
)
from tradeflow_core.model import (
    LIVE_STATUSES,
    ROLLS,
    BrokerOrder,
    BrokerOrderStatus,
    ContractOrder,
    Fill,
    InstrumentOrder,
    Leg,
    OrderIntent,
    OrderStatus,
    OrderType,
)


class ImpossibleFill(StateError):
    """A fill is in a contract, or on a side, that its order does not have; it was not booked."""


class Booking(IntEnum):
    """What became of a fill."""

    NONE = 0
    """It was booked before, or is not of an order of ours."""
    DONE = 1
    OVERFILL = 2
    """It was booked, and its order is now filled with more than was ordered."""


# --- making orders -------------------------------------------------------------------------------------------------------


def add_instrument_order(
    tx: Connection,
    *,
    strategy: str,
    instrument: str,
    quantity: int,
    order_type: OrderType,
    day: date,
    now: datetime,
    reference_contract: int | None = None,
    reference_price: float | None = None,
    reference_time: datetime | None = None,
) -> int:
    """Put an instrument order for the business day `day` on the stack; returns its id."""
    return _insert(
        tx,
        instrument_orders,
        strategy=strategy,
        instrument=instrument,
        quantity=quantity,
        filled=0,
        order_type=order_type,
        status=OrderStatus.OPEN,
        day=day,
        reference_contract=reference_contract,
        reference_price=reference_price,
        reference_time=reference_time,
        created_at=now,
    )


def add_contract_order(
    tx: Connection,
    instrument_order: int,
    *,
    instrument: str,
    order_type: OrderType,
    legs: Sequence[Leg],
    now: datetime,
    reference_price: float | None = None,
) -> int:
    """Put a contract order below an instrument order; its legs are stored in order of contract. Returns its id."""
    order = _insert(
        tx,
        contract_orders,
        instrument_order_id=instrument_order,
        instrument=instrument,
        order_type=order_type,
        status=OrderStatus.OPEN,
        reference_price=reference_price,
        created_at=now,
    )
    in_order = sorted(legs, key=lambda leg: leg.contract)
    _insert_legs(tx, contract_order_legs, "contract_order_id", order=order, legs=in_order)
    return order


def add_broker_order(
    tx: Connection,
    contract_order: int,
    intent: OrderIntent,
    *,
    now: datetime,
    bid: float | None = None,
    ask: float | None = None,
) -> int:
    """Record the intent to send an order, as `SENDING`, before it is sent; returns its id. The legs keep their order.

    Raises StateError while the contract order has another broker order at work.
    """
    at_work = broker_orders.c.status.in_(LIVE_STATUSES)
    if tx.execute(select(broker_orders.c.id).where(broker_orders.c.contract_order_id == contract_order, at_work)).first():
        raise StateError(
            f"contract order {contract_order} has a broker order at work already; a second one could double the trade"
        )
    order = _insert(
        tx,
        broker_orders,
        contract_order_id=contract_order,
        client_ref=intent.client_ref,
        account=intent.account,
        instrument=intent.instrument,
        order_type=intent.order_type,
        limit_price=intent.limit_price,
        status=BrokerOrderStatus.SENDING,
        bid=bid,
        ask=ask,
        created_at=now,
        sent_at=now,
        reason="",
    )
    _insert_legs(tx, broker_order_legs, "broker_order_id", order=order, legs=intent.legs)
    return order


def _insert(tx: Connection, table: Table, **values: object) -> int:
    (key,) = tx.execute(insert(table).values(**values).returning(table.c.id)).one()
    return int(key)


def _insert_legs(tx: Connection, table: Table, key: str, *, order: int, legs: Sequence[Leg]) -> None:
    tx.execute(
        insert(table),
        [
            {key: order, "leg": number, "contract": leg.contract, "quantity": leg.quantity, "filled": 0}
            for number, leg in enumerate(legs)
        ],
    )


# --- status and fills ----------------------------------------------------------------------------------------------------


def set_broker_status(
    tx: Connection,
    order: int,
    status: BrokerOrderStatus,
    *,
    now: datetime,
    broker_id: str | None = None,
    reason: str = "",
    missing_at: datetime | None = None,
) -> None:
    """Record where a broker order stands; one that has ended is closed. `missing_at`: since when the broker's answers lack it."""
    values: dict[str, object] = {"status": status, "reason": reason, "missing_at": missing_at}
    if broker_id is not None:
        values["broker_id"] = broker_id
    if not status.is_live:
        values["closed_at"] = now
    tx.execute(update(broker_orders).where(broker_orders.c.id == order).values(**values))


def book_fill(tx: Connection, fill: Fill, now: datetime) -> Booking:
    """Book a fill at all three levels and in both positions, once.

    A fill is booked whatever the status of its order, and also beyond what was ordered (`Booking.OVERFILL`): it has happened, and our
    positions have to be the broker's. `Booking.NONE` if it was booked before, or is not of an order of ours. Raises ImpossibleFill, with
    nothing booked, where it is in a contract or on a side that its order does not have.
    """
    if tx.execute(select(fills.c.id).where(fills.c.exec_id == fill.exec_id)).first() is not None:
        return Booking.NONE
    order = tx.execute(
        select(
            broker_orders.c.id,
            broker_orders.c.account,
            broker_orders.c.instrument,
            broker_orders.c.contract_order_id,
            contract_orders.c.instrument_order_id,
            instrument_orders.c.strategy,
        )
        .select_from(broker_orders.join(contract_orders).join(instrument_orders))
        .where(broker_orders.c.client_ref == fill.client_ref)
    ).first()
    if order is None:
        return Booking.NONE
    leg, is_overfilled = _fill_leg(tx, broker_order_legs, "broker_order_id", order=order.id, fill=fill)
    _, is_parent_overfilled = _fill_leg(tx, contract_order_legs, "contract_order_id", order=order.contract_order_id, fill=fill)
    tx.execute(
        insert(fills).values(
            exec_id=fill.exec_id,
            broker_order_id=order.id,
            leg=leg,
            account=order.account,
            strategy=order.strategy,
            instrument=order.instrument,
            contract=fill.contract,
            quantity=fill.quantity,
            price=fill.price,
            time=fill.time,
            commission=fill.commission,
            currency=fill.currency,
            recorded_at=now,
        )
    )
    if order.strategy != ROLLS:
        tx.execute(
            update(instrument_orders)
            .where(instrument_orders.c.id == order.instrument_order_id)
            .values(filled=instrument_orders.c.filled + fill.quantity)
        )
    _add_to_position(
        tx, contract_positions, fill.quantity, account=order.account, instrument=order.instrument, contract=fill.contract
    )
    _add_to_position(tx, strategy_positions, fill.quantity, strategy=order.strategy, instrument=order.instrument)
    return Booking.OVERFILL if is_overfilled or is_parent_overfilled else Booking.DONE


def booked_executions(view: Connection, since: datetime) -> set[str]:
    """Ids of the executions that are booked, of those at or after `since` (UTC)."""
    return set(view.execute(select(fills.c.exec_id).where(fills.c.time >= since)).scalars())


def _fill_leg(tx: Connection, table: Table, key: str, *, order: int, fill: Fill) -> tuple[int, bool]:
    """Add a fill to its leg; returns the number of the leg, and whether it is filled with more than was ordered."""
    row = tx.execute(
        select(table.c.leg, table.c.quantity, table.c.filled).where(table.c[key] == order, table.c.contract == fill.contract)
    ).first()
    if row is None or fill.quantity * row.quantity <= 0:
        what = f"contract {fill.contract}" if row is None else f"a trade of {fill.quantity}"
        raise ImpossibleFill(
            f"fill {fill.exec_id} is {what}, which {key.removesuffix('_id')} {order} ({fill.client_ref}) did not ask for; check it at the broker"
        )
    filled = row.filled + fill.quantity
    tx.execute(update(table).where(table.c[key] == order, table.c.leg == row.leg).values(filled=filled))
    return int(row.leg), abs(filled) > abs(row.quantity)


def _add_to_position(tx: Connection, table: Table, quantity: int, **key: object) -> None:
    where = and_(*(table.c[name] == value for name, value in key.items()))
    if tx.execute(update(table).where(where).values(quantity=table.c.quantity + quantity)).rowcount == 0:
        tx.execute(insert(table).values(quantity=quantity, **key))


def complete_orders(tx: Connection, now: datetime) -> int:
    """Complete contract orders that are filled and have no broker order at work, then instrument orders that are filled and have no open
    contract order. Returns the number of instrument orders completed."""
    at_work = select(broker_orders.c.contract_order_id).where(broker_orders.c.status.in_(LIVE_STATUSES))
    unfilled = select(contract_order_legs.c.contract_order_id).where(
        func.abs(contract_order_legs.c.filled) < func.abs(contract_order_legs.c.quantity)
    )
    tx.execute(
        update(contract_orders)
        .where(
            contract_orders.c.status == OrderStatus.OPEN,
            contract_orders.c.id.not_in(at_work),
            contract_orders.c.id.not_in(unfilled),
        )
        .values(status=OrderStatus.COMPLETED, closed_at=now)
    )
    open_children = select(contract_orders.c.instrument_order_id).where(contract_orders.c.status == OrderStatus.OPEN)
    children = select(contract_orders.c.instrument_order_id)
    done = update(instrument_orders).where(
        instrument_orders.c.status == OrderStatus.OPEN,
        func.abs(instrument_orders.c.filled) >= func.abs(instrument_orders.c.quantity),
        instrument_orders.c.id.in_(children),
        instrument_orders.c.id.not_in(open_children),
    )
    return tx.execute(done.values(status=OrderStatus.COMPLETED, closed_at=now)).rowcount


def close_all_orders(tx: Connection, now: datetime) -> int:
    """End of day: cancel every open instrument and contract order. No broker order may be at work; raises StateError otherwise."""
    at_work = tx.execute(select(broker_orders.c.client_ref).where(broker_orders.c.status.in_(LIVE_STATUSES))).scalars().all()
    if at_work:
        raise StateError(f"broker orders {', '.join(at_work)} are still at work; cancel them first (`tradeflow stop` does)")
    tx.execute(
        update(contract_orders)
        .where(contract_orders.c.status == OrderStatus.OPEN)
        .values(status=OrderStatus.CANCELLED, closed_at=now)
    )
    closed = (
        update(instrument_orders)
        .where(instrument_orders.c.status == OrderStatus.OPEN)
        .values(status=OrderStatus.CANCELLED, closed_at=now)
    )
    return tx.execute(closed).rowcount


# --- queries -------------------------------------------------------------------------------------------------------------


def open_instrument_orders(view: Connection, *, unspawned: bool = False) -> list[InstrumentOrder]:
    """Open instrument orders in order; only those without contract orders if `unspawned`."""
    query = select(instrument_orders).where(instrument_orders.c.status == OrderStatus.OPEN).order_by(instrument_orders.c.id)
    if unspawned:
        query = query.where(instrument_orders.c.id.not_in(select(contract_orders.c.instrument_order_id)))
    return [_instrument_order(row) for row in view.execute(query)]


def instrument_orders_of(view: Connection, day: date) -> list[InstrumentOrder]:
    """The instrument orders that were made for a business day, in order."""
    query = select(instrument_orders).where(instrument_orders.c.day == day).order_by(instrument_orders.c.id)
    return [_instrument_order(row) for row in view.execute(query)]


def _instrument_order(row: Row[Any]) -> InstrumentOrder:
    return InstrumentOrder(**{name: getattr(row, name) for name in InstrumentOrder.__slots__})


def open_contract_orders(view: Connection) -> list[ContractOrder]:
    """Open contract orders with their legs, in order."""
    return _contract_orders(view, contract_orders.c.status == OrderStatus.OPEN)


def open_contract_order(view: Connection, order: int) -> ContractOrder | None:
    """The contract order of that id with its legs; None if it is not open."""
    return next(
        iter(_contract_orders(view, and_(contract_orders.c.status == OrderStatus.OPEN, contract_orders.c.id == order))), None
    )


def _contract_orders(view: Connection, where: ColumnElement[bool]) -> list[ContractOrder]:
    rows = view.execute(
        select(contract_orders, instrument_orders.c.strategy)
        .select_from(contract_orders.join(instrument_orders))
        .where(where)
        .order_by(contract_orders.c.id)
    ).all()
    legs = _legs(view, contract_order_legs, "contract_order_id", orders=[row.id for row in rows])
    columns = [name for name in ContractOrder.__slots__ if name != "legs"]
    return [ContractOrder(**{name: getattr(row, name) for name in columns}, legs=legs[row.id]) for row in rows]


def live_broker_orders(view: Connection, instrument: str | None = None) -> list[BrokerOrder]:
    """Broker orders that may still fill, in order, of one instrument if it is named."""
    wanted: list[ColumnElement[bool]] = [broker_orders.c.status.in_(LIVE_STATUSES)]
    if instrument is not None:
        wanted.append(broker_orders.c.instrument == instrument)
    rows = view.execute(
        select(broker_orders, instrument_orders.c.strategy)
        .select_from(broker_orders.join(contract_orders).join(instrument_orders))
        .where(*wanted)
        .order_by(broker_orders.c.id)
    ).all()
    legs = _legs(view, broker_order_legs, "broker_order_id", orders=[row.id for row in rows])
    columns = [name for name in BrokerOrder.__slots__ if name != "legs"]
    return [BrokerOrder(**{name: getattr(row, name) for name in columns}, legs=legs[row.id]) for row in rows]


@dataclass(frozen=True, slots=True)
class Rejections:
    """How often the broker has rejected a contract order, when last (UTC), and its last reason."""

    count: int
    last: datetime
    reason: str


def rejections(view: Connection, contract_order: int) -> Rejections | None:
    """The rejections of a contract order so far; None where there are none."""
    of_order = (broker_orders.c.contract_order_id == contract_order, broker_orders.c.status == BrokerOrderStatus.REJECTED)
    rows = view.execute(
        select(broker_orders.c.closed_at, broker_orders.c.reason).where(*of_order).order_by(broker_orders.c.id)
    ).all()
    return Rejections(len(rows), rows[-1].closed_at, rows[-1].reason) if rows else None


def _legs(view: Connection, table: Table, key: str, *, orders: Sequence[int]) -> dict[int, tuple[Leg, ...]]:
    legs: dict[int, list[Leg]] = {order: [] for order in orders}
    for row in view.execute(select(table).where(table.c[key].in_(orders)).order_by(table.c[key], table.c.leg)):
        legs[getattr(row, key)].append(Leg(row.contract, row.quantity, row.filled))
    return {order: tuple(of_order) for order, of_order in legs.items()}


def positions_by_contract(view: Connection, account: str) -> dict[tuple[str, int], int]:
    """Contracts held according to the ledger, by (instrument, contract), without zeros."""
    p = contract_positions.c
    rows = view.execute(select(p.instrument, p.contract, p.quantity).where(p.account == account, p.quantity != 0))
    return {(row.instrument, row.contract): row.quantity for row in rows}


def positions_by_strategy(view: Connection) -> dict[tuple[str, str], int]:
    """Contracts held by (strategy, instrument), without zeros."""
    p = strategy_positions.c
    rows = view.execute(select(p.strategy, p.instrument, p.quantity).where(p.quantity != 0))
    return {(row.strategy, row.instrument): row.quantity for row in rows}
