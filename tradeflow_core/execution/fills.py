"""Polling: one snapshot of the broker's orders and one of its executions, in which every order at work is found by our reference.

The same poll recovers from a crash: an order whose sending was not confirmed is found at the broker, or recorded as lost once the broker
has denied knowing it for `LOST_AFTER`.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from tradeflow_core.brokers import OrderState
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
CLOCKS_DIFFER = timedelta(hours=1)
"""Executions are asked for from this long before the oldest order at work was sent, since the broker's clock may be behind ours."""


def poll_orders(desk: Desk) -> int:
    """Book the new fills of all orders at work and record their statuses; returns the number of fills booked.

    One transaction an order: fills first, then the status, so that an order is never closed while fills of it are missing.
    Raises BrokerUnavailable, with what is booked so far kept, when the broker does not answer.
    """
    with desk.ledger.read() as view:
        orders = live_broker_orders(view)
    booked = 0
    if orders:
        states = {state.client_ref: state for state in desk.broker.orders(desk.account).orders}
        since = min(order.sent_at for order in orders) - CLOCKS_DIFFER
        # By number: an execution that is reported twice must not stand for one that is still missing.
        fills: dict[str, dict[str, Fill]] = defaultdict(dict)
        for fill in desk.broker.executions(desk.account, since).fills:
            fills[fill.client_ref][fill.exec_id] = fill
        for order in orders:
            if state := states.get(order.client_ref):
                booked += _record(desk, order, state, fills=list(fills[order.client_ref].values()))
            else:
                _not_found(desk, order)
    with desk.ledger.begin() as tx:
        complete_orders(tx, desk.now())
    return booked


def _record(desk: Desk, order: BrokerOrder, state: OrderState, *, fills: list[Fill]) -> int:
    now, booked = desk.now(), 0
    try:
        with desk.ledger.begin() as tx:
            for fill in fills:
                booked += book_fill(tx, fill, now)
            if sum(abs(leg.filled) for leg in state.legs) <= sum(abs(fill.quantity) for fill in fills):
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
