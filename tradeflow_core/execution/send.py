"""Broker orders from contract orders: sized, recorded as an intent, and only then sent."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass

from sqlalchemy import Connection

from tradeflow_core.brokers import BrokerUnavailable, NoQuote, OrderRejected, OrderState, Quote, UnknownContract
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import (
    active_stop,
    add_broker_order,
    live_broker_orders,
    locked_instruments,
    open_contract_orders,
    set_broker_status,
    tradeable_now,
)
from tradeflow_core.model import BrokerOrderStatus, ContractOrder, Leg, OrderIntent


@dataclass(frozen=True, slots=True)
class Blocked:
    """A contract order that was not sent now, and why."""

    order: ContractOrder
    why: str


def cut_to_caps(quantities: tuple[int, ...], caps: tuple[int, ...]) -> tuple[int, ...]:
    """The largest trade in the same whole-number ratio in which no leg exceeds its cap; zeros where there is none.

    Exact integer arithmetic: the legs are multiples of a smallest unit (their greatest common divisor), and as many units are kept
    as every cap allows.
    """
    unit = math.gcd(*quantities)
    if unit == 0:
        return quantities
    allowed = [cap // (abs(quantity) // unit) for quantity, cap in zip(quantities, caps, strict=True) if quantity]
    units = max(min(unit, *allowed), 0)
    return tuple(quantity // unit * units for quantity in quantities)


def send_orders(desk: Desk) -> tuple[int, list[Blocked]]:
    """Send what can be sent now: for each open contract order without a broker order at work, as much as limits and the quoted size allow.

    Returns the number of orders sent and those that were held back. Nothing is sent while trading is stopped, to a closed market or in a
    locked instrument. The intent is committed before it is sent; when the broker does not answer, the order stays `sending` and is
    found again by its reference (`fills.poll_orders`).
    """
    sent, blocked = 0, []
    for order in _waiting(desk):
        sizing = _size(desk, order)
        if isinstance(sizing, str):
            blocked.append(Blocked(order, sizing))
            continue
        quotes, sizes = sizing
        why = _send(desk, order, quotes, sizes=sizes)
        sent += not why
        if why:
            blocked.append(Blocked(order, why))
    return sent, blocked


def blocked_orders(desk: Desk) -> list[Blocked]:
    """The contract orders that could not be sent now, with the reason; nothing is sent."""
    return [Blocked(order, sizing) for order in _waiting(desk) if isinstance(sizing := _size(desk, order), str)]


def _waiting(desk: Desk) -> list[ContractOrder]:
    """Open contract orders with something left to trade and no broker order at work."""
    with desk.ledger.read() as view:
        orders = open_contract_orders(view)
        at_work = {order.contract_order_id for order in live_broker_orders(view)}
    return [order for order in orders if order.id not in at_work and any(leg.remaining for leg in order.legs)]


def _size(desk: Desk, order: ContractOrder) -> tuple[list[Quote], tuple[int, ...]] | str:
    """Quotes of the legs and the sizes on offer, or why the order cannot be sent now."""
    if desk.settings.market == "ib_live" and not desk.settings.live_trading:
        return "live trading is switched off; set live_trading = true in tradeflow.toml to allow it"
    try:
        if not desk.broker.is_open(order.instrument):
            return "market closed"
        quotes = [desk.broker.quote(order.instrument, leg.contract) for leg in order.legs]
    except (NoQuote, UnknownContract, BrokerUnavailable) as error:
        return str(error)
    sizes = tuple(_offside_size(quote, leg.remaining) for quote, leg in zip(quotes, order.legs, strict=True))
    with desk.ledger.read() as view:
        _, why = _allowed(view, desk, order, sizes=sizes)
    return why or (quotes, sizes)


def _allowed(view: Connection, desk: Desk, order: ContractOrder, *, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
    """The quantities that stop, locks, trade limits and quoted sizes allow to be sent now; and, where they are zero, why."""
    wanted = tuple(leg.remaining for leg in order.legs)
    nothing = (0,) * len(wanted)
    if stop := active_stop(view):
        return nothing, f"trading is stopped ({stop.why})"
    if order.instrument in (locked := locked_instruments(view)):
        return nothing, f"locked ({locked[order.instrument]})"
    limit = tradeable_now(view, order.strategy, order.instrument, now=desk.now())
    if limit is not None and not any(cut_to_caps(wanted, (limit,) * len(wanted))):
        return nothing, "trade limit reached"
    quantities = cut_to_caps(wanted, sizes if limit is None else tuple(min(size, limit) for size in sizes))
    return quantities, "" if any(quantities) else "no size quoted"


def _send(desk: Desk, order: ContractOrder, quotes: list[Quote], *, sizes: tuple[int, ...]) -> str:
    """Record the intent and send it; returns why it was not sent, or an empty text. The limits are checked again in the transaction."""
    with desk.ledger.begin() as tx:
        quantities, why = _allowed(tx, desk, order, sizes=sizes)
        if why:
            return why
        legs = tuple(Leg(leg.contract, quantity) for leg, quantity in zip(order.legs, quantities, strict=True) if quantity)
        intent = OrderIntent(new_reference(), desk.account, order.instrument, legs)
        broker_order = add_broker_order(tx, order.id, intent, now=desk.now(), bid=quotes[0].bid, ask=quotes[0].ask)
    submit_intent(desk, broker_order, intent)
    return ""


def new_reference() -> str:
    """A reference of ours for a broker order, unique for ever."""
    return f"tf-{uuid.uuid4().hex[:16]}"


def submit_intent(desk: Desk, broker_order: int, intent: OrderIntent) -> None:
    """Send a recorded intent to the broker and record the answer. Without an answer the order stays `sending`; `poll_orders` looks it up."""
    try:
        state: OrderState | None = desk.broker.submit(intent)
        problem = ""
    except OrderRejected as error:
        state, problem = None, str(error)
    except BrokerUnavailable as error:
        desk.alerts.send(
            f"order {intent.client_ref}",
            f"{intent.instrument}: no answer to the order ({error}); it will be looked for",
            desk.now(),
        )
        return
    with desk.ledger.begin() as tx:
        if state is None:
            set_broker_status(tx, broker_order, BrokerOrderStatus.REJECTED, now=desk.now(), reason=problem)
        else:
            set_broker_status(tx, broker_order, BrokerOrderStatus.WORKING, now=desk.now(), broker_id=state.broker_id)
    if state is None:
        desk.alerts.send(f"order rejected {intent.instrument}", problem, desk.now())


def _offside_size(quote: Quote, quantity: int) -> int:
    """Contracts on offer on the side that a trade of `quantity` would hit."""
    return quote.ask_size if quantity > 0 else quote.bid_size
