"""Polling: every order at work is looked up at the broker by our reference, its fills are booked, its status recorded.

The same poll recovers from a crash: an order whose sending was not confirmed is found at the broker, or recorded as lost once the broker
has denied knowing it for `LOST_AFTER`.
"""

from __future__ import annotations

from datetime import timedelta

from tradeflow_core.brokers import OrderState, UnknownOrder
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import (
    Overfill,
    book_fill,
    complete_orders,
    live_broker_orders,
    lock_instrument,
    set_broker_status,
)
from tradeflow_core.model import BrokerOrder, BrokerOrderStatus, Fill, LockOwner

LOST_AFTER = timedelta(seconds=30)
"""How long the broker may deny knowing an order before it counts as never arrived."""


def poll_orders(desk: Desk) -> int:
    """Book the new fills of all orders at work and record their statuses; returns the number of fills booked.

    One transaction an order: fills first, then the status, so that an order is never closed while fills of it are missing.
    Raises BrokerUnavailable, with what is booked so far kept, when the broker does not answer.
    """
    with desk.ledger.read() as view:
        orders = live_broker_orders(view)
    booked = 0
    for order in orders:
        try:
            state = desk.broker.order_state(order.client_ref)
        except UnknownOrder:
            _not_found(desk, order)
            continue
        booked += _record(desk, order, state, fills=desk.broker.executions(desk.account, [order.client_ref]))
    with desk.ledger.begin() as tx:
        complete_orders(tx, desk.now())
    return booked


def _record(desk: Desk, order: BrokerOrder, state: OrderState, *, fills: list[Fill]) -> int:
    now, booked = desk.now(), 0
    try:
        with desk.ledger.begin() as tx:
            for fill in fills:
                booked += book_fill(tx, fill, now)
            if sum(abs(filled) for filled in state.filled) <= sum(abs(fill.quantity) for fill in fills):
                set_broker_status(tx, order.id, state.status, now=now, broker_id=state.broker_id, reason=state.reason)
    except Overfill as error:
        with desk.ledger.begin() as tx:
            lock_instrument(tx, order.instrument, LockOwner.EXECUTION, now=now, why=str(error))
        desk.alerts.send(f"overfill {order.instrument}", str(error), now)
        return 0
    if state.status == BrokerOrderStatus.REJECTED:
        desk.alerts.send(f"order rejected {order.instrument}", f"{order.client_ref}: {state.reason}", now)
    return booked


def _not_found(desk: Desk, order: BrokerOrder) -> None:
    now = desk.now()
    # The paper exchange takes an order at once or never, and simulated time stands still while a killed desk is started again.
    if order.status is BrokerOrderStatus.SENDING and desk.settings.time_is_real and now - order.sent_at < LOST_AFTER:
        return
    why = "the broker does not know it: it never arrived"
    with desk.ledger.begin() as tx:
        set_broker_status(tx, order.id, BrokerOrderStatus.LOST, now=now, reason=why)
    desk.alerts.send(f"order lost {order.instrument}", f"{order.client_ref}: {why}", now)
