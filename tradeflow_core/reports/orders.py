"""Orders of a desk to look at: which there are and what holds them back, and the whole story of one with all that hangs on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.execution import held_back
from tradeflow_core.ledger import (
    BookedFill,
    OrderEvent,
    broker_orders_below,
    contract_orders_below,
    events_of_orders,
    fills_below,
    instrument_order,
    instrument_orders_of,
    live_broker_orders,
    open_instrument_orders,
)
from tradeflow_core.model import (
    LIVE_STATUSES,
    BrokerOrder,
    ContractOrder,
    InstrumentOrder,
    Leg,
    OrderLevel,
    OrderStatus,
    contract_label,
)

Row = dict[str, Any]


def order_list(desk: Desk, *, day: date | None = None, every: bool = False) -> list[Row]:
    """Instrument orders: those that are open, or those of a business day, or every one that there ever was.

    Each: id, day, strategy, instrument, quantity, filled, type, limit, status, at_work (what works for it at the broker, with our reference),
    held_back (why nothing does; empty where the next pass of a stack handler works it), who and why it was made.
    """
    with desk.ledger.read() as view:
        if every or day is not None:
            orders = instrument_orders_of(view, desk.account, day)
        else:
            orders = open_instrument_orders(view, desk.account)
        at_work = _at_work(live_broker_orders(view, desk.account))
    still_open = [order for order in orders if order.status is OrderStatus.OPEN]
    waits = held_back(desk, [order for order in still_open if order.id not in at_work])
    names = ("id", "day", "strategy", "instrument", "quantity", "filled")
    return [
        {
            **{name: getattr(order, name) for name in names},
            "type": str(order.order_type),
            "limit": order.limit_price,
            "status": str(order.status),
            "at_work": at_work.get(order.id, ""),
            "held_back": waits.get(order.id, ""),
            "who": order.who,
            "why": order.why,
        }
        for order in orders
    ]


def legs_words(legs: Iterable[Leg]) -> str:
    """Legs in words, such as `-5 of 202403, +5 of 202406`."""
    return ", ".join(f"{leg.quantity:+d} of {contract_label(leg.contract)}" for leg in legs)


def fill_words(fill: BookedFill) -> str:
    """What an execution did, in words."""
    if fill.replaces is None:
        return f"{fill.quantity:+d} of {contract_label(fill.contract)} at {fill.price:g}"
    if not fill.quantity:
        return f"voids {fill.replaces}"
    return f"corrects {fill.replaces} to {fill.quantity:+d} of {contract_label(fill.contract)} at {fill.price:g}"


def _at_work(orders: Iterable[BrokerOrder]) -> dict[int, str]:
    words: dict[int, list[str]] = {}
    for order in orders:
        limit = "" if order.limit_price is None else f" at {order.limit_price:g}"
        for share in order.shares:
            words.setdefault(share.instrument_order_id, []).append(
                f"{legs_words(order.legs)}{limit}: {order.status} {order.client_ref}"
            )
    return {order: "; ".join(parts) for order, parts in words.items()}


@dataclass(frozen=True, slots=True)
class BrokerStory:
    """A broker order with its executions, corrections included."""

    order: BrokerOrder
    fills: tuple[BookedFill, ...]


@dataclass(frozen=True, slots=True)
class ContractStory:
    """A contract order with its broker orders."""

    order: ContractOrder
    broker_orders: tuple[BrokerStory, ...]


@dataclass(frozen=True, slots=True)
class OrderStory:
    """An instrument order with everything that hangs on it, and what happened to all of that in order of time."""

    order: InstrumentOrder
    contract_orders: tuple[ContractStory, ...]
    events: tuple[OrderEvent, ...]
    at_work: str
    held_back: str

    def plain(self) -> Row:
        """The same as plain mappings and lists."""
        return asdict(self)

    def timeline(self) -> list[Row]:
        """All that happened, in order of time: time (UTC), what, change, who, why. At the same instant ends come last, after executions."""
        sent = [each for contract in self.contract_orders for each in contract.broker_orders]
        references = {each.order.id: each.order.client_ref for each in sent}
        rows = []
        for event in self.events:
            what = references[event.order] if event.level is OrderLevel.BROKER else f"{event.level} order {event.order}"
            change = f"{event.before} -> {event.after}" if event.before else f"made, {event.after}"
            rank = 0 if event.after in (OrderStatus.OPEN, *LIVE_STATUSES) else 2
            rows.append((event.time, rank, what, change, event.who, event.why))
        for fill in [fill for each in sent for fill in each.fills]:
            rows.append((fill.recorded_at, 1, f"execution {fill.exec_id}", fill_words(fill), fill.who, fill.why))
        rows.sort(key=lambda row: row[:2])
        return [{"time": row[0], **dict(zip(("what", "change", "who", "why"), row[2:], strict=True))} for row in rows]


def order_story(desk: Desk, order: int) -> OrderStory:
    """The whole story of an instrument order. Raises StateError where there is none with that id."""
    with desk.ledger.read() as view:
        found = instrument_order(view, desk.account, order)
        if found is None:
            raise StateError(f"there is no order {order}; `tradeflow orders list --all` lists them")
        contracts = contract_orders_below(view, order)
        sent = {contract.id: broker_orders_below(view, contract.id) for contract in contracts}
        everything = [each for below in sent.values() for each in below]
        fills = fills_below(view, [each.id for each in everything])
        family = [
            (OrderLevel.INSTRUMENT, order),
            *((OrderLevel.CONTRACT, each.id) for each in contracts),
            *((OrderLevel.BROKER, each.id) for each in everything),
        ]
        events = events_of_orders(view, family)
    at_work = _at_work(each for each in everything if each.status.is_live).get(order, "")
    waits = [found] if found.status is OrderStatus.OPEN and not at_work else []
    stories = tuple(
        ContractStory(
            contract,
            tuple(
                BrokerStory(each, tuple(fill for fill in fills if fill.broker_order_id == each.id)) for each in sent[contract.id]
            ),
        )
        for contract in contracts
    )
    return OrderStory(found, stories, tuple(events), at_work, held_back(desk, waits).get(order, ""))
