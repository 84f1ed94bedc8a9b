"""Polling: one snapshot of the broker's orders and one of its executions; fills are booked, statuses recorded, missing orders looked into.

Nothing is concluded from silence. An order that a snapshot lacks is *unknown*: it is not sent again, and it may still fill. Only one that
the broker has never acknowledged, that two snapshots apart in time lack, and of which the positions show nothing, has never arrived. The same
poll recovers from a crash: an order whose sending was not confirmed is found at the broker by our reference.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from tradeflow_core.brokers import OrderState
from tradeflow_core.desk import Desk
from tradeflow_core.execution.isolation import isolated, lock_for_execution
from tradeflow_core.execution.reconciliation import position_breaks
from tradeflow_core.execution.send import after_rejection
from tradeflow_core.ledger import (
    Booking,
    ImpossibleFill,
    book_fill,
    booked_executions,
    complete_orders,
    instruments_locked_by,
    live_broker_orders,
    lock_instrument,
    set_broker_status,
    unlock_instrument,
)
from tradeflow_core.model import BrokerOrder, BrokerOrderStatus, Fill, LockOwner

LATE = timedelta(days=1)
"""How long the fills of an order that has ended are looked for: brokers report executions of the last day."""
CLOCKS_DIFFER = timedelta(hours=1)
"""Executions are asked for from this long before the oldest order at work was sent, since the broker's clock may be behind ours."""


def poll_orders(desk: Desk, *, accept_ends: bool = False) -> int:
    """Book the new fills of our orders and record the statuses of those at work; returns the number of fills booked.

    One transaction an order in which something has changed: fills first, then the status, so that an order is never closed while fills of
    it are missing, but with `accept_ends`. Raises BrokerUnavailable, with what is booked so far kept, when the broker does not answer.
    """
    with desk.ledger.read() as view:
        orders = live_broker_orders(view)
    since = min([desk.now() - LATE, *(order.sent_at for order in orders)]) - CLOCKS_DIFFER
    states = _states(desk) if orders else {}
    executions = desk.broker.executions(desk.account, since).fills
    with desk.ledger.read() as view:
        already_booked = booked_executions(view, since)
    # By number: an execution that is reported twice must not stand for one that is still missing.
    fills: dict[str, dict[str, Fill]] = defaultdict(dict)
    for fill in executions:
        if fill.replaces is None:
            fills[fill.client_ref][fill.exec_id] = fill
        elif fill.client_ref:
            _hold_correction(desk, fill)
    booked, changed, missing = 0, False, []
    arrived = set(fills)  # an order with an execution was there, whatever the snapshot of orders has
    for order in orders:
        state = states.get(order.client_ref)
        of_order = list(fills.pop(order.client_ref, {}).values())
        new = [fill for fill in of_order if fill.exec_id not in already_booked]
        if state is None:
            missing.append(order)
        if new or (state is not None and _has_news(order, state)):
            with isolated(desk, order.instrument, "booking its fills"):
                booked += _record(desk, order, state, fills=None if accept_ends else of_order, new=new)
                changed = True
    late = [fill for ref, of_ref in fills.items() if ref for fill in of_ref.values() if fill.exec_id not in already_booked]
    booked += sum(_book_late(desk, fill) for fill in late)
    if missing:
        _look_into(desk, missing, arrived)
    if changed or missing or late:
        release_found(desk)
        with desk.ledger.begin() as tx:
            complete_orders(tx, desk.now())
    return booked


def _states(desk: Desk) -> dict[str, OrderState]:
    return {state.client_ref: state for state in desk.broker.orders(desk.account).orders}


def _has_news(order: BrokerOrder, state: OrderState) -> bool:
    return (order.status, order.broker_id) != (state.status, state.broker_id) or order.missing_at is not None


def _record(desk: Desk, order: BrokerOrder, state: OrderState | None, *, fills: list[Fill] | None, new: list[Fill]) -> int:
    """Book the `new` ones of the `fills` of an order, and its status unless fills are still missing (None: it does not matter).

    Returns the number booked.
    """
    now, booked, impossible, overfilled = desk.now(), 0, "", False
    with desk.ledger.begin() as tx:
        for fill in new:
            try:
                booking = book_fill(tx, fill, now)
            except ImpossibleFill as error:
                impossible = str(error)  # the good fills of the same answer are booked
                continue
            booked += bool(booking)
            overfilled = overfilled or booking is Booking.OVERFILL
        if state and (fills is None or _filled(state) <= sum(abs(fill.quantity) for fill in fills)):
            set_broker_status(tx, order.id, state.status, now=now, broker_id=state.broker_id, reason=state.reason)
    if impossible or overfilled:
        why = impossible or f"order {order.client_ref} was filled with more than was ordered; its fills are booked"
        lock_for_execution(desk, order.instrument, why)
    if state and state.status is BrokerOrderStatus.REJECTED:
        after_rejection(desk, order.contract_order_id, order.instrument, problem=f"{order.client_ref}: {state.reason}")
    return booked


def _filled(state: OrderState) -> int:
    return sum(abs(leg.filled) for leg in state.legs)


def _book_late(desk: Desk, fill: Fill) -> int:
    """Book a fill of an order that has ended, if it is one of ours, and tell a person; returns the number booked."""
    booking = Booking.NONE
    with isolated(desk, fill.instrument, "booking a late fill"):
        with desk.ledger.begin() as tx:
            booking = book_fill(tx, fill, desk.now())
        if booking is Booking.OVERFILL:
            lock_for_execution(desk, fill.instrument, f"a late fill {fill.exec_id} is more than was ordered; it is booked")
        elif booking:
            text = f"{fill.client_ref} was filled with {fill.quantity} after it had ended; the fill is booked"
            desk.alerts.send(f"late fill {fill.instrument}", text, desk.now())
    return int(bool(booking))


def _hold_correction(desk: Desk, fill: Fill) -> None:
    """Lock the instrument of an execution that the broker has changed or voided: it is not another fill, and a person has to look at it."""
    what = f"has changed it to {fill.quantity} at {fill.price:g}" if fill.quantity else "has voided it"
    lock_for_execution(
        desk, fill.instrument, f"execution {fill.replaces} is booked as it was first reported, but the broker {what}"
    )


# --- orders that a snapshot lacks ----------------------------------------------------------------------------------------


def _look_into(desk: Desk, missing: list[BrokerOrder], arrived: set[str]) -> None:
    """Record the orders that a snapshot lacks as unknown, or as never arrived where that is certain. `arrived`: references with executions."""
    again = _states(desk) if not desk.broker.ack_time else {}
    arrived = arrived | {order.client_ref for order in missing if order.broker_id}
    overdue = [
        order
        for order in missing
        if order.client_ref not in again and (order.client_ref in arrived or desk.now() - order.sent_at >= desk.broker.ack_time)
    ]
    never_acknowledged = [order for order in overdue if order.client_ref not in arrived]
    doubtful = {each.instrument for each in position_breaks(desk)} if never_acknowledged else set()
    for order in overdue:
        if order.client_ref in arrived or order.instrument in doubtful or not _missing_twice(desk, order):
            _hold_unknown(desk, order)
        else:
            why = "the broker has never acknowledged it, and two of its answers did not have it"
            with desk.ledger.begin() as tx:
                set_broker_status(tx, order.id, BrokerOrderStatus.NEVER_ARRIVED, now=desk.now(), reason=why)
            desk.alerts.send(f"order never arrived {order.instrument}", f"{order.client_ref}: {why}", desk.now())


def _missing_twice(desk: Desk, order: BrokerOrder) -> bool:
    """Whether two snapshots apart in time lack the order. A broker that reports at once was asked twice in this poll."""
    wait: timedelta = desk.broker.ack_time
    return not wait or (order.missing_at is not None and desk.now() - order.missing_at >= wait)


def _hold_unknown(desk: Desk, order: BrokerOrder) -> None:
    """Record that nobody knows about the order, and lock its instrument; an order of which that is recorded stays as it is."""
    if order.status is BrokerOrderStatus.UNKNOWN:
        return
    now: datetime = desk.now()
    why = f"the broker's answer does not have order {order.client_ref}; it is neither sent again nor given up until the broker knows it"
    with desk.ledger.begin() as tx:
        set_broker_status(tx, order.id, BrokerOrderStatus.UNKNOWN, now=now, reason=why, missing_at=now)
        is_new = lock_instrument(tx, order.instrument, LockOwner.UNKNOWN_ORDER, now=now, why=why)
    if is_new:
        desk.alerts.send(f"unknown order {order.instrument}", f"{order.instrument}: {why}", now)


def release_found(desk: Desk) -> None:
    """Lift the locks of orders that are known again."""
    with desk.ledger.read() as view:
        unknown = {order.instrument for order in live_broker_orders(view) if order.status is BrokerOrderStatus.UNKNOWN}
        resolved = [name for name in instruments_locked_by(view, LockOwner.UNKNOWN_ORDER) if name not in unknown]
    if resolved:
        with desk.ledger.begin() as tx:
            for instrument in resolved:
                unlock_instrument(tx, instrument, LockOwner.UNKNOWN_ORDER, now=desk.now(), why="all its orders are known again")
