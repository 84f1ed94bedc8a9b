"""Executions that are corrected or voided after the fact."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, insert, select, update

from tradeflow_core.brokers.paper.book import Holding, add_to_holdings, add_trade, executions, legs, orders
from tradeflow_core.brokers.paper.market import Market
from tradeflow_core.brokers.paper.matching import commission_of
from tradeflow_core.errors import StateError


def change_execution(connection: Connection, market: Market, exec_id: str, *, quantity: int, price: float, now: datetime) -> None:
    """Append an execution that takes the place of `exec_id`; with a `quantity` of 0 the trade is voided.

    The order keeps its status: a trade that is voided is not made again. Raises StateError where there is no such execution, where another
    one has taken its place already, or where the quantity would grow or change its sign.
    """
    query = select(executions, orders.c.instrument).join(orders).where(executions.c.exec_id == exec_id)
    old = connection.execute(query).one_or_none()
    later = connection.execute(select(executions.c.exec_id).where(executions.c.replaces == exec_id)).scalar_one_or_none()
    if old is None or later is not None:
        raise StateError(
            f"execution {exec_id} {f'was replaced by {later}' if later else 'does not exist'}; change one that stands"
        )
    if quantity * old.quantity < 0 or abs(quantity) > abs(old.quantity):
        raise StateError(
            f"execution {exec_id} of {old.quantity} cannot become one of {quantity}; make it smaller, or 0 to void it"
        )
    commission = commission_of(market.instruments[old.instrument], quantity, price) if quantity else Decimal(0)
    values = {
        "exec_id": f"{exec_id}/changed",
        "broker_id": old.broker_id,
        "contract": old.contract,
        "quantity": quantity,
        "price": price,
        "time": now.isoformat(),
        "commission": str(commission),
        "currency": old.currency,
        "replaces": exec_id,
    }
    connection.execute(insert(executions).values(values))
    leg = (legs.c.broker_id == old.broker_id, legs.c.contract == old.contract)
    connection.execute(update(legs).where(*leg).values(filled=legs.c.filled + quantity - old.quantity))
    changes: dict[tuple[str, int], Holding] = {}
    key = (old.instrument, old.contract)
    add_trade(changes, key, quantity=-old.quantity, price=old.price, commission=-Decimal(old.commission))
    add_trade(changes, key, quantity=quantity, price=price, commission=commission)
    add_to_holdings(connection, changes)
