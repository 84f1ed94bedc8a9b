"""Orders that a snapshot of the broker lacks. Nothing is concluded from silence.

Such an order is *unknown*: it is not sent again, and it may still fill. Only one that the broker has never acknowledged, that two snapshots
apart in time lack, and of which the positions show nothing, has never arrived.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from tradeflow_core.desk import Desk
from tradeflow_core.execution.reconciliation import position_breaks
from tradeflow_core.ledger import (
    instruments_locked_by,
    live_broker_orders,
    lock_instrument,
    set_broker_status,
    unlock_instrument,
)
from tradeflow_core.model import BrokerOrder, BrokerOrderStatus, LockOwner


def look_into(desk: Desk, missing: list[BrokerOrder], arrived: set[str], *, ask_again: Callable[[], set[str]]) -> None:
    """Record the orders that a snapshot lacks as unknown, or as never arrived where that is certain. `arrived`: references with executions;
    `ask_again`: the references that another snapshot has."""
    again = ask_again() if not desk.broker.ack_time else set()
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
    why = (
        f"the broker's answer does not have order {order.client_ref}; it is neither sent again nor given up until the broker knows it, or a "
        "person has looked there: `tradeflow orders settle`"
    )
    with desk.ledger.begin() as tx:
        set_broker_status(tx, order.id, BrokerOrderStatus.UNKNOWN, now=now, reason=why, missing_at=now)
        is_new = lock_instrument(tx, order.instrument, LockOwner.UNKNOWN_ORDER, now=now, why=why)
    if is_new:
        desk.alerts.send(f"unknown order {order.instrument}", f"{order.instrument}: {why}", now)


def release_found(desk: Desk) -> None:
    """Lift the locks of orders that are known again."""
    with desk.ledger.read() as view:
        locked = instruments_locked_by(view, LockOwner.UNKNOWN_ORDER)
        orders = live_broker_orders(view, desk.account) if locked else []
    unknown = {order.instrument for order in orders if order.status is BrokerOrderStatus.UNKNOWN}
    if resolved := [name for name in locked if name not in unknown]:
        with desk.ledger.begin() as tx:
            for instrument in resolved:
                unlock_instrument(tx, instrument, LockOwner.UNKNOWN_ORDER, now=desk.now(), why="all its orders are known again")
