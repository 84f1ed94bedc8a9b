"""A person's word about an order of which the broker's answers say nothing."""

from __future__ import annotations

from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.execution.fills import poll_orders, release_found
from tradeflow_core.execution.reconciliation import position_breaks
from tradeflow_core.ledger import live_broker_orders, set_broker_status
from tradeflow_core.model import BrokerOrder, BrokerOrderStatus, contract_label


def unknown_orders(desk: Desk) -> list[BrokerOrder]:
    """The orders of which the broker's answers say nothing."""
    with desk.ledger.read() as view:
        return [order for order in live_broker_orders(view, desk.account) if order.status is BrokerOrderStatus.UNKNOWN]


def settle_order(desk: Desk, client_ref: str, status: BrokerOrderStatus, *, who: str, why: str, dry_run: bool) -> BrokerOrder:
    """Record what a person has found out about an unknown order; returns the order as it was. With `dry_run` nothing is written.

    The broker is asked once more first. Raises StateError where the order is not unknown (any more), or where the positions in its instrument
    differ from the broker's: then it may have been filled.
    """
    if not dry_run:
        poll_orders(desk)
    order = next((order for order in unknown_orders(desk) if order.client_ref == client_ref), None)
    if order is None:
        references = ", ".join(order.client_ref for order in unknown_orders(desk)) or "none"
        raise StateError(f"{client_ref} is not an unknown order; unknown are: {references}")
    if breaks := [each for each in position_breaks(desk) if each.instrument == order.instrument]:
        where = ", ".join(f"{contract_label(each.contract)} is {each.ledger} here and {each.broker} there" for each in breaks)
        raise StateError(
            f"{order.instrument}: positions differ from the broker's ({where}), so {client_ref} may have been filled; wait for its fills"
        )
    if not dry_run:
        with desk.ledger.begin() as tx:
            set_broker_status(tx, order.id, status, now=desk.now(), reason=f"settled by {who}: {why}")
        release_found(desk)
    return order
