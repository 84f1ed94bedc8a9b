"""Broker orders from contract orders: sized, recorded as an intent, and only then sent."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from tradeflow_core.brokers import BrokerUnavailable, NoQuote, OrderRejected, OrderState, Quote, UnknownContract
from tradeflow_core.desk import Desk
from tradeflow_core.execution.isolation import isolated, lock_for_execution
from tradeflow_core.execution.quotes import price_problem, quote_problem
from tradeflow_core.ledger import (
    add_broker_order,
    live_broker_orders,
    open_contract_order,
    open_contract_orders,
    rejections,
    set_broker_status,
)
from tradeflow_core.model import BrokerOrderStatus, ContractOrder, Leg, OrderIntent
from tradeflow_core.orders import Allowance, allowed_now, standing_at_work

MAX_REJECTIONS = 5
"""Attempts of one contract order that the broker may reject before its instrument is locked: after a quarter of an hour of waiting in all."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A contract order that was not sent now, and why."""

    order: ContractOrder
    why: str


def send_orders(desk: Desk) -> tuple[int, list[Blocked]]:
    """Send what can be sent now: for each open contract order without a broker order at work, as much as limits and the quoted size allow.

    Returns the number of orders sent and those that were held back. Nothing is sent while trading is stopped, to a closed market or in a
    locked instrument. The intent is committed before it is sent; when the broker does not answer, the order stays `sending` and is
    found again by its reference (`fills.poll_orders`).
    """
    sent, blocked = 0, []
    for order in _waiting(desk):
        with isolated(desk, order.instrument, "sending its order"):
            sizing = _size(desk, order)
            why = sizing if isinstance(sizing, str) else _send(desk, order, sizing[0], sizes=sizing[1])
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
    with desk.ledger.read() as view:
        rejected = rejections(view, order.id)
    if rejected and (again_at := rejected.last + rejection_delay(rejected.count)) > desk.now():
        return f"rejected {rejected.count} times ({rejected.reason}); it is tried again after {again_at:%H:%M} UTC"
    try:
        if not desk.broker.is_open(order.instrument):
            return "market closed"
        quotes = [desk.broker.quote(order.instrument, leg.contract) for leg in order.legs]
    except (NoQuote, UnknownContract, BrokerUnavailable) as error:
        return str(error)
    if why := _quote_problem(desk, order, quotes):
        return why
    sizes = tuple(_offside_size(quote, leg.remaining) for quote, leg in zip(quotes, order.legs, strict=True))
    with desk.ledger.read() as view:
        allowance = _allowance(view, desk, order, sizes=sizes)
    return (quotes, sizes) if any(allowance.quantities) else allowance.why


def _quote_problem(desk: Desk, order: ContractOrder, quotes: list[Quote]) -> str:
    """Why nothing is sent on these quotes, or an empty text: the first leg's price is compared with the order's reference price."""
    instrument = desk.instrument(order.instrument)
    for quote in quotes:
        if problem := quote_problem(quote, desk.settings.execution, spread_cost=instrument.costs.spread_cost, now=desk.now()):
            return problem
    reference = order.reference_price
    return price_problem(quotes[0], reference, desk.settings.execution) if reference is not None else ""


def _allowance(view: Connection, desk: Desk, order: ContractOrder, *, sizes: tuple[int, ...]) -> Allowance:
    standing = standing_at_work(view, desk, order.strategy, instrument=order.instrument)
    return allowed_now(standing, order.strategy, order.legs, sizes=sizes)


def _send(desk: Desk, order: ContractOrder, quotes: list[Quote], *, sizes: tuple[int, ...]) -> str:
    """Record the intent and send it; returns why it was not sent, or an empty text.

    Order and controls are read again in the transaction of the intent: what was filled, cancelled or forbidden meanwhile counts.
    """
    with desk.ledger.begin() as tx:
        present = open_contract_order(tx, order.id)
        if present is None:
            return "it was closed meanwhile"
        allowance = _allowance(tx, desk, present, sizes=sizes)
        if not any(allowance.quantities):
            return allowance.why
        legs = tuple(Leg(leg.contract, size) for leg, size in zip(present.legs, allowance.quantities, strict=True) if size)
        intent = OrderIntent(new_reference(), desk.account, order.instrument, legs)
        broker_order = add_broker_order(tx, order.id, intent, now=desk.now(), bid=quotes[0].bid, ask=quotes[0].ask)
    submit_intent(desk, intent, broker_order=broker_order, contract_order=order.id)
    return ""


def after_rejection(desk: Desk, contract_order: int, instrument: str, *, problem: str) -> None:
    """Tell a person that the broker has rejected an order, and lock the instrument once `MAX_REJECTIONS` attempts have failed."""
    with desk.ledger.read() as view:
        rejected = rejections(view, contract_order)
    if rejected and rejected.count >= MAX_REJECTIONS:
        lock_for_execution(desk, instrument, f"the broker has rejected the order {rejected.count} times, last: {problem}")
    else:
        desk.alerts.send(f"order rejected {instrument}", problem, desk.now())


def rejection_delay(count: int) -> timedelta:
    """How long an order waits after it was rejected `count` times: 1, 2, 4 ... minutes. What is wrong rarely rights itself in seconds."""
    return timedelta(minutes=2 ** (count - 1))


def new_reference() -> str:
    """A reference of ours for a broker order, unique for ever."""
    return f"tf-{uuid.uuid4().hex[:16]}"


def submit_intent(desk: Desk, intent: OrderIntent, *, broker_order: int, contract_order: int) -> None:
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
        after_rejection(desk, contract_order, intent.instrument, problem=problem)


def _offside_size(quote: Quote, quantity: int) -> int:
    """Contracts on offer on the side that a trade of `quantity` would hit."""
    return quote.ask_size if quantity > 0 else quote.bid_size
