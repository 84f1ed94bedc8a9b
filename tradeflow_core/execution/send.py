"""Broker orders from contract orders: sized, recorded as an intent, and only then sent."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from tradeflow_core.brokers import BrokerUnavailable, NoQuote, OrderRejected, OrderState, Quote, UnknownContract
from tradeflow_core.desk import Desk
from tradeflow_core.execution.hours import odd_hours
from tradeflow_core.execution.isolation import Failures, collecting, lock_failures, lock_for_execution
from tradeflow_core.execution.quotes import known_price_problem, price_problem, quote_problem
from tradeflow_core.execution.rolls import led_by
from tradeflow_core.ledger import (
    Rejections,
    add_broker_order,
    open_contract_orders,
    rejections,
    set_broker_status,
)
from tradeflow_core.model import BrokerOrderStatus, ContractOrder, Leg, OrderIntent, OrderType, Quoted
from tradeflow_core.orders import AtWork, allowed_for

MAX_REJECTIONS = 5
"""Attempts of one contract order that the broker may reject before its instrument is locked: after a quarter of an hour of waiting in all."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A contract order that was not sent now, or not in full, and why."""

    order: ContractOrder
    why: str


@dataclass(frozen=True, slots=True)
class _Sized:
    """A contract order that the market would take now: the quotes of its legs, and the contracts on offer for each."""

    order: ContractOrder
    quotes: tuple[Quote, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Intent:
    """An order whose intent is recorded and which is about to be sent."""

    intent: OrderIntent
    broker_order: int
    contract_order: int


def send_orders(desk: Desk) -> tuple[int, list[Blocked]]:
    """Send what can be sent now: for each open contract order without a broker order at work, as much as limits and the quoted size allow.

    Returns the number of orders sent and those that were held back, in whole or in part. Nothing is sent while trading is stopped, to a
    closed market or in a locked instrument. All intents are committed, in one transaction, before the first is sent; when the broker does
    not answer, an order stays `sending` and is found again by its reference (`fills.poll_orders`).
    """
    sized, blocked, failures = _sized_orders(desk, alarmed=True)
    intents: list[_Intent] = []
    if sized:
        with desk.ledger.begin() as tx:
            intents = _record_intents(tx, desk, sized, blocked=blocked, failures=failures)
    _submit_all(desk, intents, failures)
    lock_failures(desk, failures)
    return len(intents), blocked


def blocked_orders(desk: Desk) -> list[Blocked]:
    """The contract orders that could not be sent now, with the reason; nothing is sent."""
    sized, blocked, _ = _sized_orders(desk)
    with desk.ledger.read() as view:
        at_work = AtWork(view, desk, [each.order.instrument for each in sized])
    for each in sized:
        allowance = allowed_for(at_work, each.order, each.sizes)
        if any(allowance.quantities):
            at_work.add(each.order.strategies, each.order.instrument, allowance.quantities)
        else:
            blocked.append(Blocked(each.order, allowance.why))
    return blocked


def _sized_orders(desk: Desk, *, alarmed: bool = False) -> tuple[list[_Sized], list[Blocked], Failures]:
    """The orders that are waiting, with what the market would take of them now, and those that it would not; and what failed.

    `alarmed`: an alert is sent where the broker's hours are not ours.
    """
    if desk.settings.market == "ib_live" and not desk.settings.live_trading:
        why = "live trading is switched off; set live_trading = true in tradeflow.toml to allow it"
        return [], [Blocked(order, why) for order in waiting_orders(desk)], {}
    with desk.ledger.read() as view:
        orders = _waiting(view, desk)
        rejected = rejections(view, [order.id for order in orders])
        led = led_by(view, orders)
    sized: list[_Sized] = []
    blocked: list[Blocked] = []
    failures: Failures = {}
    for order in orders:
        with collecting(failures, order.instrument, "sending its order"):
            why, quotes = _market(desk, order, rejected.get(order.id), alarmed=alarmed)
            sizes = tuple(_offside_size(quote, leg.remaining) for quote, leg in zip(quotes, order.legs, strict=False))
            if not why and order.id in led:
                sizes = tuple(min(size, led[order.id]) for size in sizes)
                why = "" if led[order.id] else "it waits for the fills of the order that it follows"
            if why:
                blocked.append(Blocked(order, why))
            else:
                sized.append(_Sized(order, quotes, sizes))
    return sized, blocked, failures


def waiting_orders(desk: Desk) -> list[ContractOrder]:
    """Open contract orders with something left to trade and no broker order at work."""
    with desk.ledger.read() as view:
        return _waiting(view, desk)


def _waiting(view: Connection, desk: Desk) -> list[ContractOrder]:
    orders = open_contract_orders(view, desk.account, waiting=True)
    return [order for order in orders if any(leg.remaining for leg in order.legs)]


def _market(desk: Desk, order: ContractOrder, rejected: Rejections | None, *, alarmed: bool) -> tuple[str, tuple[Quote, ...]]:
    """Why the order is not sent on what the market quotes now, or an empty text; and the quotes of its legs."""
    if rejected and (again_at := rejected.last + rejection_delay(rejected.count)) > desk.now():
        why = f"rejected {rejected.count} times ({rejected.reason}); it is tried again after {again_at:%H:%M} UTC"
        return why, ()
    try:
        is_open = desk.broker.is_open(order.instrument)
        if (odd := odd_hours(desk, order.instrument, is_open=is_open)) and alarmed:
            desk.alerts.send_once(f"trading hours of {order.instrument}", odd, desk.now())
        if not is_open:
            return odd or "market closed", ()
        quotes = tuple(desk.broker.quote(order.instrument, leg.contract) for leg in order.legs)
    except (NoQuote, UnknownContract, BrokerUnavailable) as error:
        return str(error), ()
    return _quote_problem(desk, order, quotes), quotes


def _quote_problem(desk: Desk, order: ContractOrder, quotes: Sequence[Quote]) -> str:
    """Why nothing is sent on these quotes, or an empty text: the first leg's price is compared with the order's reference price."""
    instrument = desk.instrument(order.instrument)
    for quote in quotes:
        if problem := quote_problem(quote, desk.settings.execution, spread_cost=instrument.costs.spread_cost, now=desk.now()):
            return problem
        if problem := known_price_problem(quote, order.decided_at):
            return problem
    reference = order.reference_price
    return price_problem(quotes[0], reference, desk.settings.execution) if reference is not None else ""


def _record_intents(
    tx: Connection, desk: Desk, sized: Sequence[_Sized], *, blocked: list[Blocked], failures: Failures
) -> list[_Intent]:
    """Record what is about to be sent; what is not goes to `blocked`.

    Orders and controls are read again in this transaction: what was filled, cancelled or forbidden meanwhile counts.
    """
    present = {order.id: order for order in _waiting(tx, desk)}
    led = led_by(tx, list(present.values()))
    at_work = AtWork(tx, desk, [each.order.instrument for each in sized])
    intents = []
    for each in sized:
        order = present.get(each.order.id)
        if order is None:
            blocked.append(Blocked(each.order, "it was closed meanwhile"))
            continue
        with collecting(failures, order.instrument, "sending its order"):
            sizes = tuple(min(size, led.get(order.id, size)) for size in each.sizes)
            allowance = allowed_for(at_work, order, sizes)
            if allowance.why:
                blocked.append(Blocked(order, allowance.why))
            if not any(allowance.quantities):
                continue
            legs = tuple(Leg(leg.contract, size) for leg, size in zip(order.legs, allowance.quantities, strict=True) if size)
            type_ = OrderType.LIMIT if order.limit_price is not None else OrderType.MARKET
            intent = OrderIntent(new_reference(), desk.account, order.instrument, legs, type_, order.limit_price)
            quote = each.quotes[0]
            quoted = Quoted(quote.bid, quote.ask, quote.time)
            number = add_broker_order(tx, order.id, intent, now=desk.now(), quoted=quoted)
            at_work.add(order.strategies, order.instrument, allowance.quantities)
            intents.append(_Intent(intent, number, order.id))
    return intents


def after_rejection(desk: Desk, contract_order: int, instrument: str, *, problem: str) -> None:
    """Tell a person that the broker has rejected an order, and lock the instrument once `MAX_REJECTIONS` attempts have failed."""
    with desk.ledger.read() as view:
        rejected = rejections(view, [contract_order]).get(contract_order)
    if rejected and rejected.count >= MAX_REJECTIONS:
        lock_for_execution(desk, instrument, f"the broker has rejected the order {rejected.count} times, last: {problem}")
    else:
        text = f"{problem}; it is tried again in {rejection_delay(rejected.count if rejected else 1)}, or at once with `tradeflow orders retry`"
        desk.alerts.send(f"order rejected {instrument}", text, desk.now())


def rejection_delay(count: int) -> timedelta:
    """How long an order waits after it was rejected `count` times: 1, 2, 4 ... minutes. What is wrong rarely rights itself in seconds."""
    return timedelta(minutes=2 ** (count - 1))


def new_reference() -> str:
    """A reference of ours for a broker order, unique for ever."""
    return f"tf-{uuid.uuid4().hex[:16]}"


def submit_intent(desk: Desk, intent: OrderIntent, *, broker_order: int, contract_order: int) -> None:
    """Send one recorded intent to the broker and record the answer. Without an answer the order stays `sending`; `poll_orders` looks it up."""
    failures: Failures = {}
    _submit_all(desk, [_Intent(intent, broker_order, contract_order)], failures)
    lock_failures(desk, failures)


def _submit_all(desk: Desk, intents: Sequence[_Intent], failures: Failures) -> None:
    """Send recorded intents one after another, and record the answers in one transaction, whatever happens meanwhile."""
    states: dict[int, OrderState] = {}
    rejected: dict[int, str] = {}
    late: list[int] = []
    send_before = desk.now() + timedelta(seconds=desk.settings.execution.max_quote_age_seconds)
    try:
        for each in intents:
            if desk.now() > send_before:  # the process was paused, or the broker slow
                late.append(each.broker_order)
                continue
            with collecting(failures, each.intent.instrument, "sending its order"):
                try:
                    states[each.broker_order] = desk.broker.submit(each.intent)
                except OrderRejected as error:
                    rejected[each.broker_order] = str(error)
                except BrokerUnavailable as error:
                    text = f"{each.intent.instrument}: no answer to the order ({error}); it will be looked for"
                    desk.alerts.send(f"order {each.intent.client_ref}", text, desk.now())
    finally:
        if states or rejected or late:
            with desk.ledger.begin() as tx:
                for number, state in states.items():
                    set_broker_status(tx, number, BrokerOrderStatus.WORKING, now=desk.now(), broker_id=state.broker_id)
                for number, problem in rejected.items():
                    set_broker_status(tx, number, BrokerOrderStatus.REJECTED, now=desk.now(), reason=problem)
                for number in late:
                    why = "it was not sent: the quote that it was decided on had become too old"
                    set_broker_status(tx, number, BrokerOrderStatus.NEVER_ARRIVED, now=desk.now(), reason=why)
    for each in intents:
        if each.broker_order in rejected:
            after_rejection(desk, each.contract_order, each.intent.instrument, problem=rejected[each.broker_order])


def _offside_size(quote: Quote, quantity: int) -> int:
    """Contracts on offer on the side that a trade of `quantity` would hit."""
    return quote.ask_size if quantity > 0 else quote.bid_size
