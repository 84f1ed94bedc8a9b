"""What became of the orders: every order at work is looked up by our reference, its fills are booked, its status recorded.

The same sweep recovers from a crash: an order whose sending was not confirmed is found at the broker, or declared lost after the broker
has denied knowing it for a while.
"""

from __future__ import annotations

from datetime import timedelta

from tradeflow_core.brokers import BrokerOrderStatus, Execution, OrderState, UnknownOrder
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import (
    BrokerOrder,
    Fill,
    Overfill,
    book_fill,
    complete_orders,
    live_broker_orders,
    lock_instrument,
    set_broker_status,
)

LOST_AFTER = timedelta(seconds=30)
"""How long the broker may deny knowing an order before it counts as never arrived."""

LOCK_OWNER = "execution"


def poll_orders(desk: Desk) -> int:
    """Book the new fills of all orders at work and record their statuses; returns the number of fills booked.

    One transaction an order: fills first, then the status, so that an order is never at rest with fills missing.
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
        executions = desk.broker.executions(desk.account, [order.client_ref])
        booked += _record(desk, order, state, executions)
    with desk.ledger.begin() as tx:
        complete_orders(tx, desk.now())
    return booked


def _record(desk: Desk, order: BrokerOrder, state: OrderState, executions: list[Execution]) -> int:
    now, booked = desk.now(), 0
    try:
        with desk.ledger.begin() as tx:
            for execution in executions:
                booked += book_fill(
                    tx,
                    Fill(
                        execution.exec_id,
                        execution.client_ref,
                        execution.contract,
                        execution.quantity,
                        execution.price,
                        execution.time,
                        execution.commission,
                        execution.currency,
                    ),
                    now,
                )
            if sum(abs(filled) for filled in state.filled) <= sum(abs(execution.quantity) for execution in executions):
                set_broker_status(tx, order.id, state.status.value, now, state.broker_id, state.reason)
    except Overfill as error:
        with desk.ledger.begin() as tx:
            lock_instrument(tx, order.instrument, LOCK_OWNER, now, str(error))
        desk.alerts.send(f"overfill {order.instrument}", str(error), now)
        return 0
    if state.status == BrokerOrderStatus.REJECTED:
        desk.alerts.send(f"order rejected {order.instrument}", f"{order.client_ref}: {state.reason}", now)
    return booked


def _not_found(desk: Desk, order: BrokerOrder) -> None:
    now = desk.now()
    # The paper exchange takes an order at once or never, and simulated time stands still while a killed desk is started again.
    if order.status == "sending" and not desk.clock.is_simulated and now - order.sent_at < LOST_AFTER:
        return
    why = "the broker does not know it: it never arrived"
    with desk.ledger.begin() as tx:
        set_broker_status(tx, order.id, "lost", now, reason=why)
    desk.alerts.send(f"order lost {order.instrument}", f"{order.client_ref}: {why}", now)
