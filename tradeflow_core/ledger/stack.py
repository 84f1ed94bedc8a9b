"""Orders and positions as they are now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Connection, Table, bindparam, case, exists, func, or_, select

from tradeflow_core.ledger.orders import RETRY
from tradeflow_core.ledger.schema import (
    allocations,
    broker_order_legs,
    broker_orders,
    contract_order_legs,
    contract_orders,
    contract_positions,
    instrument_orders,
    order_events,
    shares,
    strategy_positions,
)
from tradeflow_core.model import (
    LIVE_STATUSES,
    ROLLS,
    BrokerOrder,
    BrokerOrderStatus,
    ContractOrder,
    InstrumentOrder,
    Leg,
    OrderLevel,
    OrderStatus,
    Share,
)


def open_instrument_orders(view: Connection, account: str, *, unspawned: bool = False) -> list[InstrumentOrder]:
    """Open instrument orders of the account in order; only those without contract orders if `unspawned`."""
    rows = view.execute(_UNSPAWNED if unspawned else _OPEN_INSTRUMENT_ORDERS, {"of": account})
    return [InstrumentOrder(*row) for row in rows]


def has_open_instrument_orders(view: Connection, account: str, *, unspawned: bool = False) -> bool:
    """Whether there is an open instrument order of the account; one without contract orders if `unspawned`."""
    query = _UNSPAWNED if unspawned else _OPEN_INSTRUMENT_ORDERS
    return view.execute(query.limit(1), {"of": account}).first() is not None


def instrument_orders_of(view: Connection, account: str, day: date | None = None) -> list[InstrumentOrder]:
    """The instrument orders that were made for a business day, in order; without a day, every one that there ever was."""
    of = instrument_orders.c
    query = select(*_INSTRUMENT_ORDER).where(of.account == account).order_by(of.id)
    return [InstrumentOrder(*row) for row in view.execute(query if day is None else query.where(of.day == day))]


def instrument_order(view: Connection, account: str, order: int) -> InstrumentOrder | None:
    """The instrument order of that id, whatever its status; None where there is none."""
    of = instrument_orders.c
    row = view.execute(select(*_INSTRUMENT_ORDER).where(of.account == account, of.id == order)).first()
    return None if row is None else InstrumentOrder(*row)


# Columns in the order of the fields that they fill: a row becomes an order without looking each field up.
_INSTRUMENT_ORDER = [instrument_orders.c[name] for name in InstrumentOrder.__slots__]
_CONTRACT_ORDER = [contract_orders.c[name] for name in ContractOrder.__slots__ if name not in ("legs", "shares")]
_BROKER_ORDER = [broker_orders.c[name] for name in BrokerOrder.__slots__ if name not in ("legs", "shares")]

_OPEN_INSTRUMENT_ORDERS = (
    select(*_INSTRUMENT_ORDER)
    .where(instrument_orders.c.account == bindparam("of"), instrument_orders.c.status == OrderStatus.OPEN)
    .order_by(instrument_orders.c.id)
)
_UNSPAWNED = _OPEN_INSTRUMENT_ORDERS.where(~exists().where(shares.c.instrument_order_id == instrument_orders.c.id))


def count_open_contract_orders(view: Connection, account: str) -> int:
    """How many contract orders of the account are open."""
    of = contract_orders.c
    query = select(func.count()).select_from(contract_orders).where(of.account == account, of.status == OrderStatus.OPEN)
    return view.execute(query).scalar_one()


def open_contract_orders(
    view: Connection, account: str, *, waiting: bool = False, following: bool = False
) -> list[ContractOrder]:
    """Open contract orders of the account with their shares and legs, in order; only those without a broker order at work if `waiting`, and
    those that follow another one if `following`."""
    wanted = [contract_orders.c.account == account, contract_orders.c.status == OrderStatus.OPEN]
    if following:
        wanted.append(contract_orders.c.follows.is_not(None))
    if waiting:
        of = broker_orders.c
        wanted.append(~exists().where(of.contract_order_id == contract_orders.c.id, of.status.in_(LIVE_STATUSES)))
    return _contract_orders(view, *wanted)


def open_contract_order(view: Connection, order: int) -> ContractOrder | None:
    """The contract order of that id with its shares and legs; None if it is not open."""
    found = _contract_orders(view, contract_orders.c.status == OrderStatus.OPEN, contract_orders.c.id == order)
    return found[0] if found else None


def contract_orders_below(view: Connection, instrument_order: int) -> list[ContractOrder]:
    """Every contract order that works, or has worked, for an instrument order."""
    below = select(shares.c.contract_order_id).where(shares.c.instrument_order_id == instrument_order)
    return _contract_orders(view, contract_orders.c.id.in_(below))


def _contract_orders(view: Connection, *wanted: ColumnElement[bool]) -> list[ContractOrder]:
    rows = view.execute(select(*_CONTRACT_ORDER).where(*wanted).order_by(contract_orders.c.id)).all()
    orders = [row[0] for row in rows]
    legs, parts = _legs(view, contract_order_legs, "contract_order_id", orders=orders), _shares(view, orders)
    return [ContractOrder(*(*row, parts[row[0]], legs[row[0]])) for row in rows]


def live_broker_orders(view: Connection, account: str, instrument: str | None = None) -> list[BrokerOrder]:
    """Broker orders of the account that may still fill, in order, of one instrument if it is named."""
    wanted = [broker_orders.c.account == account, broker_orders.c.status.in_(LIVE_STATUSES)]
    if instrument is not None:
        wanted.append(broker_orders.c.instrument == instrument)
    return _broker_orders(view, *wanted)


def unwanted_broker_orders(view: Connection, account: str) -> list[BrokerOrder]:
    """Broker orders that may still fill and are to be cancelled: it was asked for, or the contract order above is closed."""
    of = broker_orders.c
    is_closed = exists().where(contract_orders.c.id == of.contract_order_id, contract_orders.c.status != OrderStatus.OPEN)
    wanted = or_(of.status == BrokerOrderStatus.CANCELLING, is_closed)
    return _broker_orders(view, of.account == account, of.status.in_(LIVE_STATUSES), wanted)


def untold_broker_orders(view: Connection, account: str, instruments: Collection[str]) -> list[BrokerOrder]:
    """Broker orders in these instruments that the broker calls filled, of which executions are missing here."""
    of, leg = broker_orders.c, broker_order_legs.c
    is_short = exists().where(leg.broker_order_id == of.id, func.abs(leg.filled) < func.abs(leg.quantity))
    wanted = [of.account == account, of.instrument.in_(instruments), of.status == BrokerOrderStatus.FILLED, is_short]
    return _broker_orders(view, *wanted)


def broker_order_named(view: Connection, client_ref: str) -> BrokerOrder | None:
    """The broker order with that reference of ours, whatever its status; None where there is none."""
    found = _broker_orders(view, broker_orders.c.client_ref == client_ref)
    return found[0] if found else None


def broker_orders_below(view: Connection, contract_order: int) -> list[BrokerOrder]:
    """Every broker order that was made for a contract order."""
    return _broker_orders(view, broker_orders.c.contract_order_id == contract_order)


def _broker_orders(view: Connection, *wanted: ColumnElement[bool]) -> list[BrokerOrder]:
    rows = view.execute(select(*_BROKER_ORDER).where(*wanted).order_by(broker_orders.c.id)).all()
    legs = _legs(view, broker_order_legs, "broker_order_id", orders=[row[0] for row in rows])
    parts = _shares(view, sorted({row.contract_order_id for row in rows}))
    return [BrokerOrder(*(*row, parts[row.contract_order_id], legs[row[0]])) for row in rows]


@dataclass(frozen=True, slots=True)
class Rejections:
    """How often the broker has rejected a contract order, when last (UTC), and its last reason."""

    count: int
    last: datetime
    reason: str


def rejections(view: Connection, orders: Sequence[int]) -> dict[int, Rejections]:
    """The rejections of contract orders, by order, since a person had one tried again, if ever; only those that have any."""
    if not orders:
        return {}
    retried = {row.order_id: row.event for row in view.execute(_RETRIED, {"orders": orders})}
    found: dict[int, Rejections] = {}
    for row in view.execute(_REJECTED, {"orders": orders}):
        if row.event > retried.get(row.contract_order_id, 0):
            before = found.get(row.contract_order_id)
            found[row.contract_order_id] = Rejections((before.count if before else 0) + 1, row.closed_at, row.reason)
    return found


_REJECTED = (
    select(
        broker_orders.c.contract_order_id,
        broker_orders.c.closed_at,
        broker_orders.c.reason,
        func.max(order_events.c.id).label("event"),
    )
    .join(order_events, order_events.c.order_id == broker_orders.c.id)
    .where(
        broker_orders.c.contract_order_id.in_(bindparam("orders", expanding=True)),
        broker_orders.c.status == BrokerOrderStatus.REJECTED,
        order_events.c.level == OrderLevel.BROKER,
    )
    .group_by(broker_orders.c.id)
    .order_by(broker_orders.c.id)
)
_RETRIED = (
    select(order_events.c.order_id, func.max(order_events.c.id).label("event"))
    .where(
        order_events.c.level == OrderLevel.CONTRACT,
        order_events.c.order_id.in_(bindparam("orders", expanding=True)),
        order_events.c.why.startswith(RETRY),
    )
    .group_by(order_events.c.order_id)
)


def _legs(view: Connection, table: Table, key: str, *, orders: Sequence[int]) -> dict[int, tuple[Leg, ...]]:
    legs: dict[int, list[Leg]] = {order: [] for order in orders}
    if orders:
        of = table.c
        query = select(of[key], of.contract, of.quantity, of.filled).where(of[key].in_(orders)).order_by(of[key], of.leg)
        for order, *leg in view.execute(query):
            legs[order].append(Leg(*leg))
    return {order: tuple(of_order) for order, of_order in legs.items()}


def _shares(view: Connection, orders: Sequence[int]) -> dict[int, tuple[Share, ...]]:
    parts: dict[int, list[Share]] = {order: [] for order in orders}
    if orders:
        for order, *share in view.execute(_SHARES, {"orders": orders}):
            parts[order].append(Share(*share))
    return {order: tuple(of_order) for order, of_order in parts.items()}


_SHARES = (
    select(
        shares.c.contract_order_id,
        shares.c.instrument_order_id,
        instrument_orders.c.strategy,
        shares.c.quantity,
        shares.c.filled,
        case((instrument_orders.c.reference_time.is_not(None), instrument_orders.c.created_at)),
    )
    .join(instrument_orders, instrument_orders.c.id == shares.c.instrument_order_id)
    .where(shares.c.contract_order_id.in_(bindparam("orders", expanding=True)))
    .order_by(shares.c.contract_order_id, shares.c.instrument_order_id)
)


def positions_by_contract(view: Connection, account: str) -> dict[tuple[str, int], int]:
    """Contracts held according to the ledger, by (instrument, contract), without zeros."""
    p = contract_positions.c
    rows = view.execute(select(p.instrument, p.contract, p.quantity).where(p.account == account, p.quantity != 0))
    return {(row.instrument, row.contract): row.quantity for row in rows}


def positions_by_strategy(view: Connection, account: str) -> dict[tuple[str, str], int]:
    """Contracts held by (strategy, instrument), without zeros; the pseudo strategies are among them."""
    p = strategy_positions.c
    rows = view.execute(select(p.strategy, p.instrument, p.quantity).where(p.account == account, p.quantity != 0))
    return {(row.strategy, row.instrument): row.quantity for row in rows}


def filled_of(view: Connection, orders: Sequence[int]) -> dict[int, int]:
    """Contracts filled of the first leg of contract orders, without sign, by order, open or not."""
    of = contract_order_legs.c
    query = select(of.contract_order_id, func.abs(of.filled)).where(of.contract_order_id.in_(orders), of.leg == 0)
    return {order: filled for order, filled in view.execute(query)} if orders else {}


def newest_fill_time(view: Connection, contract_order: int) -> datetime | None:
    """When a contract order was filled last (UTC); None if it never was."""
    of = allocations.c
    found: datetime | None = view.execute(
        select(of.time).where(of.contract_order_id == contract_order).order_by(of.time.desc()).limit(1)
    ).scalar()
    return found


def unfinished_rolls(view: Connection, account: str) -> dict[str, int]:
    """Contracts by instrument of rolls that are half done: they have left one contract and not arrived in the other.

    Such a rest is traded before anything else of the instrument, and until then its roll does not go on.
    """
    positions = positions_by_strategy(view, account)
    return {instrument: rest for (owner, instrument), rest in positions.items() if owner == ROLLS}
