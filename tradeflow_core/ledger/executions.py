"""Executions: each is booked once, at all three levels and in both positions, and allocated to its owners.

The position in a contract is the sum of the changes by fills, that of a strategy the sum of its allocations, and every fill is allocated in
full in the same transaction; a transfer between strategies is two allocations that add up to zero. So both sums agree by construction.
A correction or a bust takes the place of an execution: what was allocated of that one is taken back, and the new one allocated. Roll orders
belong to the pseudo strategy `ROLLS`; a trade that is not of an order of ours belongs to `OUTSIDE` or `BY_BROKER` until a person
assigns it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

from sqlalchemy import Connection, Select, Table, Update, bindparam, insert, or_, select, update

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.facts import append, append_all
from tradeflow_core.ledger.schema import (
    allocations,
    broker_order_legs,
    broker_orders,
    commissions,
    contract_order_legs,
    contract_positions,
    fills,
    instrument_orders,
    shares,
    strategy_positions,
)
from tradeflow_core.model import BY_BROKER, OUTSIDE, Fill, Quoted

BROKER = "broker"
"""Who tells of an execution where no person does."""


class ImpossibleFill(StateError):
    """A fill is in a contract, or on a side, that its order does not have; it was not booked."""


class Booking(IntEnum):
    """What became of an execution; true if its quantity was booked."""

    NONE = 0
    """It was booked before."""
    DONE = 1
    OVERFILL = 2
    """It was booked, and its order is now filled with more than was ordered."""
    CORRECTION = 3
    """It was booked in the place of another one, with another quantity."""
    OUTSIDE = 4
    """It was booked, and is not of an order of ours."""
    REPRICED = 5
    """It was booked in the place of another one, with the same quantity."""


def book_fill(
    tx: Connection, fill: Fill, now: datetime, *, quoted: Quoted | None = None, who: str = BROKER, why: str = ""
) -> Booking:
    """Book an execution once: a second report of it changes nothing, but for a commission that was not known before.

    It is booked whatever the status of its order, and also beyond what was ordered: it has happened, and our positions have to be the
    broker's. What replaces an execution that is not of an order belongs to whom that one was allocated. `quoted`: the quote of its contract
    now. Raises ImpossibleFill, with nothing booked, where it is in a contract or on a side that its order does not have.
    """
    if _is_booked(tx, fill.exec_id):
        _book_late_commission(tx, fill, now)
        return Booking.NONE
    replaced = _newest_in_place(tx, fill.replaces) if fill.replaces else None
    order = tx.execute(_ORDER_OF, {"client_ref": fill.client_ref}).first() if fill.client_ref else None
    if order is None and replaced is not None and replaced.broker_order_id:
        order = tx.execute(_ORDER_BY_ID, {"id": replaced.broker_order_id}).first()
    change = fill.quantity - (replaced.quantity if replaced is not None else 0)
    leg, overfilled = (None, False) if order is None else _fill_legs(tx, order, fill, change=change)
    said = {"who": who, "why": why, "recorded_at": now}
    number = append(
        tx,
        fills,
        exec_id=fill.exec_id,
        replaces=fill.replaces if replaced is None else replaced.exec_id,
        broker_order_id=None if order is None else order.id,
        leg=leg,
        account=fill.account,
        instrument=fill.instrument,
        contract=fill.contract,
        quantity=fill.quantity,
        change=change,
        price=fill.price,
        time=fill.time,
        commission=fill.commission,
        currency=fill.currency,
        broker_id=fill.broker_id,
        bid=quoted.bid if quoted else None,
        ask=quoted.ask if quoted else None,
        quoted_at=quoted.time if quoted else None,
        **said,
    )
    _add_to_position(tx, contract_positions, change, account=fill.account, instrument=fill.instrument, contract=fill.contract)
    if replaced is not None:
        _take_back(tx, replaced.id, time=fill.time, said=said)
    if fill.quantity:
        owner = _owner_of(tx, replaced) or (BY_BROKER if fill.is_liquidation else OUTSIDE)
        _allocate(tx, fill, number, contract_order=order.contract_order_id if order else None, owner=owner, said=said)
    if fill.replaces:
        return Booking.CORRECTION if change else Booking.REPRICED
    if order is None:
        return Booking.OUTSIDE
    return Booking.OVERFILL if overfilled else Booking.DONE


def book_by_hand(
    tx: Connection,
    *,
    account: str,
    strategy: str,
    instrument: str,
    contract: int,
    quantity: int,
    price: float,
    currency: str,
    time: datetime,
    now: datetime,
    who: str,
    why: str,
    commission: Decimal | None = None,
) -> str:
    """Book a trade that was made elsewhere for a strategy (a balance trade); returns the number that it was given. Nothing is sent."""
    said = {"who": who, "why": why, "recorded_at": now}
    fill = Fill(hand_number(), "", account, instrument, contract, quantity, price, time, commission, currency)
    number = append(
        tx,
        fills,
        exec_id=fill.exec_id,
        account=account,
        instrument=instrument,
        contract=contract,
        quantity=quantity,
        change=quantity,
        price=price,
        time=time,
        commission=commission,
        currency=currency,
        **said,
    )
    _add_to_position(tx, contract_positions, quantity, account=account, instrument=instrument, contract=contract)
    _allocate(tx, fill, number, contract_order=None, owner=strategy, said=said)
    return fill.exec_id


def hand_number() -> str:
    """A number for an execution that a person books, unique for ever."""
    return f"hand-{uuid.uuid4().hex[:16]}"


def transfer(
    tx: Connection,
    *,
    account: str,
    instrument: str,
    giver: str,
    taker: str,
    quantity: int,
    price: float,
    time: datetime,
    now: datetime,
    who: str,
    why: str,
) -> None:
    """Move `quantity` (signed contracts) of an instrument from one owner to another at `price`; positions in contracts stay.

    Raises StateError for a transfer of nothing or to the same owner.
    """
    if not quantity or giver == taker:
        raise StateError(f"a transfer of {quantity} {instrument} from {giver} to {taker} changes nothing")
    said = {"who": who, "why": why, "recorded_at": now}
    rows = [
        {"account": account, "strategy": owner, "instrument": instrument, "quantity": part, "price": price, "time": time, **said}
        for owner, part in ((giver, -quantity), (taker, quantity))
    ]
    _append_allocations(tx, rows)


@dataclass(frozen=True, slots=True)
class Booked:
    """An execution that is booked: whether its commission is known, and whether another one has taken its place."""

    has_commission: bool
    is_replaced: bool


def booked_executions(view: Connection, since: datetime) -> dict[str, Booked]:
    """The executions that are booked by their number, of those at or after `since` (UTC), and those in whose place one of them is."""
    rows = view.execute(_BOOKED_SINCE, {"since": since}).all()
    replaced = {row.replaces for row in rows if row.replaces}
    booked = {name: Booked(has_commission=True, is_replaced=True) for name in replaced}
    for row in rows:
        known = row.commission is not None or row.later is not None
        booked[row.exec_id] = Booked(known, row.exec_id in replaced)
    return booked


# --- the parts of a booking ----------------------------------------------------------------------------------------------

_FILL = select(fills).where(fills.c.exec_id == bindparam("exec_id"))
_REPLACING = select(fills).where(fills.c.replaces == bindparam("exec_id"))
_BOOKED = select(fills.c.id).where(or_(fills.c.exec_id == bindparam("exec_id"), fills.c.replaces == bindparam("exec_id")))
_BOOKED_SINCE = (
    select(fills.c.exec_id, fills.c.replaces, fills.c.commission, commissions.c.id.label("later"))
    .outerjoin(commissions, commissions.c.exec_id == fills.c.exec_id)
    .where(fills.c.time >= bindparam("since"))
)
_ALLOCATED = select(allocations.c.strategy).where(allocations.c.fill_id == bindparam("fill")).order_by(allocations.c.id).limit(1)
_ORDER = select(broker_orders.c.id, broker_orders.c.account, broker_orders.c.contract_order_id, broker_orders.c.client_ref)
_ORDER_OF = _ORDER.where(broker_orders.c.client_ref == bindparam("client_ref"))
_ORDER_BY_ID = _ORDER.where(broker_orders.c.id == bindparam("id"))
_SHARES_OF = (
    select(shares.c.instrument_order_id, shares.c.quantity, shares.c.filled, instrument_orders.c.strategy)
    .join(instrument_orders, instrument_orders.c.id == shares.c.instrument_order_id)
    .where(shares.c.contract_order_id == bindparam("order"))
    .order_by(shares.c.instrument_order_id)
)


def _is_booked(tx: Connection, exec_id: str) -> bool:
    return tx.execute(_BOOKED, {"exec_id": exec_id}).first() is not None


def _newest_in_place(tx: Connection, exec_id: str) -> Any:
    """The booked execution of that number, or the newest that has taken its place: a person may have corrected it before the broker does."""
    newest = tx.execute(_FILL, {"exec_id": exec_id}).first()
    while newest is not None and (later := tx.execute(_REPLACING, {"exec_id": newest.exec_id}).first()):
        newest = later
    return newest


def _owner_of(tx: Connection, replaced: Any) -> str | None:
    """To whom an execution was allocated, or, where it is voided, the one in whose place it stands; None where neither is booked."""
    while replaced is not None:
        owner: str | None = tx.execute(_ALLOCATED, {"fill": replaced.id}).scalar()
        if owner is not None:
            return owner
        replaced = tx.execute(_FILL, {"exec_id": replaced.replaces}).first() if replaced.replaces else None
    return None


def _book_late_commission(tx: Connection, fill: Fill, now: datetime) -> None:
    if fill.commission is None:
        return
    row = tx.execute(_FILL, {"exec_id": fill.exec_id}).first()
    if row is None or row.commission is not None:
        return
    if tx.execute(select(commissions.c.id).where(commissions.c.exec_id == fill.exec_id)).first() is None:
        append(tx, commissions, exec_id=fill.exec_id, commission=fill.commission, currency=fill.currency, recorded_at=now)


def _fill_legs(tx: Connection, order: Any, fill: Fill, *, change: int) -> tuple[int, bool]:
    """Add a fill to the legs of its broker and contract order; returns the number of the leg, and whether one is overfilled."""
    if fill.account != order.account:
        raise ImpossibleFill(
            f"fill {fill.exec_id} is of account {fill.account}, its order {order.client_ref} of {order.account}; check it at the broker"
        )
    leg, is_over = _fill_leg(tx, broker_order_legs, "broker_order_id", order=order.id, fill=fill, change=change)
    _, is_parent_over = _fill_leg(
        tx, contract_order_legs, "contract_order_id", order=order.contract_order_id, fill=fill, change=change
    )
    return leg, is_over or is_parent_over


def _fill_leg(tx: Connection, table: Table, key: str, *, order: int, fill: Fill, change: int) -> tuple[int, bool]:
    find, add = _LEG[table.name]
    row = tx.execute(find, {"order": order, "instrument": fill.instrument, "contract": fill.contract}).first()
    if row is None or fill.quantity * row.quantity < 0 or not (fill.quantity or fill.replaces):
        what = f"{fill.instrument} {fill.contract}" if row is None else f"a trade of {fill.quantity}"
        whose = f"{key.removesuffix('_id')} {order}{f' ({fill.client_ref})' if fill.client_ref else ''}"
        raise ImpossibleFill(f"fill {fill.exec_id} is {what}, which {whose} did not ask for; check it at the broker")
    tx.execute(add, {"order": order, "number": row.leg, "more": change})
    return int(row.leg), abs(row.filled + change) > abs(row.quantity)


def _leg_statements(table: Table, key: str) -> tuple[Select[Any], Update]:
    """To find the leg of an order in a contract, and to add to what is filled of a leg."""
    of, of_order = table.c, table.c[key] == bindparam("order")
    in_contract = (of.instrument == bindparam("instrument"), of.contract == bindparam("contract"))
    find = select(of.leg, of.quantity, of.filled).where(of_order, *in_contract)
    return find, _add_to(table).where(of_order, of.leg == bindparam("number"))


def _add_to(table: Table) -> Update:
    return update(table).values(filled=table.c.filled + bindparam("more"))


# Built once: building a statement takes longer than running it.
_LEG = {
    table.name: _leg_statements(table, key)
    for table, key in ((broker_order_legs, "broker_order_id"), (contract_order_legs, "contract_order_id"))
}
_ADD_TO_INSTRUMENT_ORDER = _add_to(instrument_orders).where(instrument_orders.c.id == bindparam("order"))
_ADD_TO_SHARE = _add_to(shares).where(
    shares.c.contract_order_id == bindparam("contract_order"), shares.c.instrument_order_id == bindparam("order")
)
_ADD_TO_POSITION = {
    table.name: update(table)
    .where(*(column == bindparam(f"of_{column.name}") for column in table.primary_key.columns))
    .values(quantity=table.c.quantity + bindparam("more"))
    for table in (contract_positions, strategy_positions)
}


def _allocate(
    tx: Connection, fill: Fill, number: int, *, contract_order: int | None, owner: str, said: Mapping[str, Any]
) -> None:
    """Allocate a fill to the instrument orders that its contract order works for, or to `owner`."""
    parts = tx.execute(_SHARES_OF, {"order": contract_order}).all() if contract_order else []
    divided = divide(fill.quantity, [(part.quantity, part.filled) for part in parts]) if parts else [fill.quantity]
    whose = [(part.strategy, part.instrument_order_id) for part in parts] or [(owner, None)]
    rows = [
        {
            "account": fill.account,
            "strategy": strategy,
            "instrument": fill.instrument,
            "contract": fill.contract,
            "quantity": quantity,
            "price": fill.price,
            "time": fill.time,
            "fill_id": number,
            "instrument_order_id": order,
            "contract_order_id": contract_order,
            **said,
        }
        for (strategy, order), quantity in zip(whose, divided, strict=True)
        if quantity
    ]
    _append_allocations(tx, rows)


def _take_back(tx: Connection, fill: int, *, time: datetime, said: Mapping[str, Any]) -> None:
    """Allocate the opposite of what was allocated of a fill, at the same prices."""
    of = allocations.c
    names = ("account", "strategy", "instrument", "contract", "price", "fill_id", "instrument_order_id", "contract_order_id")
    rows = tx.execute(select(of.quantity, *(of[name] for name in names)).where(of.fill_id == fill).order_by(of.id)).mappings()
    _append_allocations(
        tx, [{**{name: row[name] for name in names}, "quantity": -row["quantity"], "time": time, **said} for row in rows.all()]
    )


def _append_allocations(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add allocations, to the positions of their strategies and to the orders that they are of."""
    append_all(tx, allocations, rows)
    for row in rows:
        quantity = row["quantity"]
        _add_to_position(
            tx, strategy_positions, quantity, account=row["account"], strategy=row["strategy"], instrument=row["instrument"]
        )
        if order := row.get("instrument_order_id"):
            tx.execute(_ADD_TO_INSTRUMENT_ORDER, {"order": order, "more": quantity})
            tx.execute(_ADD_TO_SHARE, {"order": order, "contract_order": row["contract_order_id"], "more": quantity})


def divide(quantity: int, parts: Sequence[tuple[int, int]]) -> list[int]:
    """Divide `quantity` contracts of one order among its `parts`: (ordered, filled) of each, all on one side.

    Contract by contract, to the part that is furthest behind its share of what was ordered, the first of equals (the method of
    Sainte-Laguë): so at every time each has its due to within a contract, and nobody ever gives back. What is more than was ordered goes on
    in the same proportions.
    """
    if len(parts) == 1:
        return [quantity]
    side = 1 if quantity > 0 else -1
    given = [0] * len(parts)
    for _ in range(abs(quantity)):
        has_room = [abs(filled + side * more) < abs(ordered) for (ordered, filled), more in zip(parts, given, strict=True)]
        behind = [
            (abs(filled + side * more) + 0.5) / abs(ordered) if room or not any(has_room) else float("inf")
            for (ordered, filled), more, room in zip(parts, given, has_room, strict=True)
        ]
        given[behind.index(min(behind))] += 1
    return [side * more for more in given]


def _add_to_position(tx: Connection, table: Table, quantity: int, **key: object) -> None:
    found = {f"of_{name}": value for name, value in key.items()}
    if tx.execute(_ADD_TO_POSITION[table.name], {**found, "more": quantity}).rowcount == 0:
        tx.execute(insert(table), {**key, "quantity": quantity})
