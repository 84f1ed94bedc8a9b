"""Polling: one snapshot of the broker's orders and one of its executions; fills are booked, statuses recorded, missing orders looked into.

The same poll recovers from a crash: an order whose sending was not confirmed is found at the broker by our reference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tradeflow_core.brokers import BrokerUnavailable, NoQuote, OrderState, UnknownContract, UnknownOrder
from tradeflow_core.desk import Desk
from tradeflow_core.execution.isolation import isolated, lock_for_execution
from tradeflow_core.execution.missing import look_into, release_found
from tradeflow_core.execution.outside import hold_outside_trade, release_assigned
from tradeflow_core.execution.send import after_rejection
from tradeflow_core.ledger import (
    Booked,
    Booking,
    ImpossibleFill,
    book_fill,
    booked_executions,
    broker_order_named,
    complete_orders,
    live_broker_orders,
    set_broker_status,
)
from tradeflow_core.model import BrokerOrder, BrokerOrderStatus, Fill, Quoted

LATE = timedelta(days=1)
"""How long the fills of an order that has ended are looked for: brokers report executions of the last day."""
LONG_AGO = timedelta(days=7)
"""How far back the first poll of a session looks: a desk may have been down over a long weekend, and trades made elsewhere meanwhile."""
CLOCKS_DIFFER = timedelta(hours=1)
"""Executions are asked for from this long before the oldest order at work was sent, since the broker's clock may be behind ours."""


@dataclass
class _Poll:
    """One poll: what the broker says, and what is booked already."""

    desk: Desk
    states: dict[str, OrderState]
    executions: tuple[Fill, ...]
    booked: dict[str, Booked]
    quotes: dict[tuple[str, int], Quoted | None] = field(default_factory=dict)

    def is_news(self, fill: Fill) -> bool:
        """Whether an execution, or its commission, is not booked yet."""
        booked = self.booked.get(fill.exec_id)
        return booked is None or (fill.commission is not None and not booked.has_commission)

    def quote(self, fill: Fill) -> Quoted | None:
        """The quote of the contract of a fill now; None where there is none."""
        key = (fill.instrument, fill.contract)
        if key not in self.quotes:
            try:
                quote = self.desk.broker.quote(*key)
                self.quotes[key] = Quoted(quote.bid, quote.ask, quote.time)
            except (NoQuote, UnknownContract, BrokerUnavailable):
                self.quotes[key] = None
        return self.quotes[key]


def poll_orders(desk: Desk, *, accept_ends: bool = False, long_ago: bool = False) -> int:
    """Book the new executions of the account and record the statuses of the orders at work; returns the number of fills booked.

    One transaction an order in which something has changed: fills first, then the status, so that an order is never closed while fills of
    it are missing, but with `accept_ends`. `long_ago`: look further back, for what happened while nobody looked. Raises BrokerUnavailable,
    with what is booked so far kept, when the broker does not answer.
    """
    with desk.ledger.read() as view:
        orders = live_broker_orders(view, desk.account)
    since = min([desk.now() - (LONG_AGO if long_ago else LATE), *(order.sent_at for order in orders)]) - CLOCKS_DIFFER
    states = _states(desk)
    executions = desk.broker.executions(desk.account, since).fills
    with desk.ledger.read() as view:
        poll = _Poll(desk, states, executions, booked_executions(view, since))
    superseded = {fill.replaces for fill in executions if fill.replaces}
    # By number: an execution that is reported twice must not stand for one that is still missing.
    by_reference: dict[str, dict[str, Fill]] = defaultdict(dict)
    for fill in executions:
        by_reference[fill.client_ref][fill.exec_id] = fill
    arrived = {reference for reference, of_order in by_reference.items() if of_order}
    booked, changed, missing = 0, False, []
    for order in orders:
        state = states.get(order.client_ref)
        of_order = by_reference.pop(order.client_ref, {})
        new = [fill for fill in of_order.values() if poll.is_news(fill)]
        if state is None:
            missing.append(order)
        if new or (state is not None and _has_news(order, state)):
            told = None if accept_ends else sum(abs(f.quantity) for f in of_order.values() if f.exec_id not in superseded)
            with isolated(desk, order.instrument, "booking its fills"):
                booked += _record(poll, order, state, told=told, new=new)
            changed = True
    for of_reference in by_reference.values():
        for fill in of_reference.values():
            if poll.is_news(fill):
                booked += _book_other(poll, fill)
                changed = True
    _hold_revived(desk, states, at_work={order.client_ref for order in orders})
    if missing:
        look_into(desk, missing, arrived, ask_again=lambda: set(_states(desk)))
    if changed or missing:
        release_found(desk)
        with desk.ledger.begin() as tx:
            complete_orders(tx, desk.now())
    return booked


def unbooked_executions(desk: Desk) -> list[Fill]:
    """The executions of the last days that the broker reports and that are not booked; nothing is booked."""
    since = desk.now() - LONG_AGO
    told = desk.broker.executions(desk.account, since).fills
    with desk.ledger.read() as view:
        booked = booked_executions(view, since)
    return list({fill.exec_id: fill for fill in told if fill.exec_id not in booked}.values())


def _states(desk: Desk) -> dict[str, OrderState]:
    return {state.client_ref: state for state in desk.broker.orders(desk.account).orders if state.client_ref}


def _status(order: BrokerOrder, state: OrderState) -> BrokerOrderStatus:
    """The status to record: an order of which the cancellation is asked for stays so until the broker reports its end."""
    if order.status is BrokerOrderStatus.CANCELLING and state.status is BrokerOrderStatus.WORKING:
        return order.status
    return state.status


def _has_news(order: BrokerOrder, state: OrderState) -> bool:
    return (order.status, order.broker_id) != (_status(order, state), state.broker_id) or order.missing_at is not None


def _record(poll: _Poll, order: BrokerOrder, state: OrderState | None, *, told: int | None, new: list[Fill]) -> int:
    """Book the `new` fills of an order, and its status unless fills are still missing: `told` is how many contracts all its fills are
    (None: it does not matter). Returns the number booked."""
    desk, booked, problems = poll.desk, 0, []
    quotes = [poll.quote(fill) for fill in new]  # before the transaction, which keeps others waiting
    with desk.ledger.begin() as tx:
        for fill, quoted in zip(new, quotes, strict=True):
            try:
                booking = book_fill(tx, fill, desk.now(), quoted=quoted)
            except ImpossibleFill as error:
                problems.append(str(error))  # the good fills of the same answer are booked
                continue
            booked += bool(booking)
            if booking is Booking.REPRICED:
                desk.alerts.send(f"price changed {fill.instrument}", f"{_change_in_words(fill)}; it is booked", desk.now())
            problems += [_problem(fill, booking)] if booking in _PROBLEMS else []
        if state and (told is None or _filled(state) <= told):
            status = _status(order, state)
            set_broker_status(tx, order.id, status, now=desk.now(), broker_id=state.broker_id, reason=state.reason)
    if problems:
        lock_for_execution(desk, order.instrument, problems[0])
    if state and state.status is BrokerOrderStatus.REJECTED:
        after_rejection(desk, order.contract_order_id, order.instrument, problem=f"{order.client_ref}: {state.reason}")
    return booked


def _filled(state: OrderState) -> int:
    return sum(abs(leg.filled) for leg in state.legs)


def _book_other(poll: _Poll, fill: Fill) -> int:
    """Book a fill of an order that has ended, or of none of ours, and tell a person; returns the number booked."""
    desk, booking = poll.desk, Booking.NONE
    with isolated(desk, fill.instrument, "booking a fill"):
        quoted = poll.quote(fill)
        with desk.ledger.begin() as tx:
            booking = book_fill(tx, fill, desk.now(), quoted=quoted)
            if booking is Booking.OUTSIDE:
                hold_outside_trade(tx, desk, fill)
                release_assigned(tx, desk)  # it may take an earlier one back
        if booking in _PROBLEMS:
            lock_for_execution(desk, fill.instrument, _problem(fill, booking))
        elif booking is Booking.OUTSIDE:
            text = (
                f"{fill.quantity} {fill.instrument} {fill.contract} at {fill.price:g} ({fill.exec_id}) is not of an order of this desk; "
                "it is booked and belongs to no strategy: `tradeflow positions assign` gives it to one"
            )
            desk.alerts.send(f"trade made elsewhere {fill.instrument}", text, desk.now())
        elif booking is Booking.REPRICED:
            desk.alerts.send(f"price changed {fill.instrument}", f"{_change_in_words(fill)}; it is booked", desk.now())
        elif booking:
            text = (
                f"{fill.client_ref} was filled with {fill.quantity} after it had ended; the fill is booked, and the next orders of its "
                "strategy reckon with it"
            )
            desk.alerts.send(f"late fill {fill.instrument}", text, desk.now())
    return int(bool(booking))


_PROBLEMS: dict[Booking, Callable[[Fill], str]] = {
    Booking.OVERFILL: lambda fill: (
        f"order {fill.client_ref} was filled with more than was ordered (execution {fill.exec_id}); its fills are booked, and the next "
        "orders of its strategy trade back what is too much"
    ),
    Booking.CORRECTION: lambda fill: f"{_change_in_words(fill)}; the position was changed as well",
}
"""Bookings after which a person has to look before more is traded, and what is said of them."""


def _problem(fill: Fill, booking: Booking) -> str:
    return _PROBLEMS[booking](fill)


def _change_in_words(fill: Fill) -> str:
    """What the broker has done with an earlier execution."""
    if not fill.quantity:
        return f"the broker has voided execution {fill.replaces}"
    return f"the broker has changed execution {fill.replaces} to {fill.quantity} at {fill.price:g}"


def _hold_revived(desk: Desk, states: dict[str, OrderState], *, at_work: set[str]) -> None:
    """Have orders cancelled that work at the broker although they had ended for us: others may have taken their place."""
    for reference, state in states.items():
        if not state.status.is_live or reference in at_work:
            continue
        with desk.ledger.read() as view:
            order = broker_order_named(view, reference)
        if order is None or order.status.is_live:
            continue
        why = f"the broker says that {reference}, which had ended ({order.status}), works; it is cancelled"
        with desk.ledger.begin() as tx:
            set_broker_status(tx, order.id, BrokerOrderStatus.CANCELLING, now=desk.now(), broker_id=state.broker_id, reason=why)
        lock_for_execution(desk, order.instrument, why)
        cancel_at_broker(desk, reference)


def cancel_at_broker(desk: Desk, client_ref: str) -> None:
    """Ask the broker to cancel an order; one that it does not know is looked into by the next poll."""
    try:
        desk.broker.cancel(client_ref)
    except UnknownOrder:
        return


def request_cancel(desk: Desk, order: BrokerOrder, *, now: datetime, why: str, who: str = "tradeflow") -> None:
    """Record that an order at work is to be cancelled, and ask the broker."""
    if order.status not in (BrokerOrderStatus.CANCELLING, BrokerOrderStatus.UNKNOWN):
        with desk.ledger.begin() as tx:
            set_broker_status(tx, order.id, BrokerOrderStatus.CANCELLING, now=now, reason=why, who=who)
    cancel_at_broker(desk, order.client_ref)
