"""Orders in a ledger, for tests that begin with some."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection

from tradeflow_core import ledger as books
from tradeflow_core.model import BrokerOrderStatus, Fill, Leg, OrderIntent, OrderType


def put_order(
    tx: Connection,
    instrument: str,
    quantity: int,
    *,
    now: datetime,
    day: date | None = None,
    strategy: str = "s",
    account: str = "A",
    contract: int = 20240300,
    filled: int = 0,
) -> None:
    """An instrument order, with so much of it filled in one contract, by a broker order that has come to rest."""
    parent = books.add_instrument_order(
        tx,
        account=account,
        strategy=strategy,
        instrument=instrument,
        quantity=quantity,
        order_type=OrderType.BEST,
        day=day or now.date(),
        now=now,
    )
    if not filled:
        return
    reference, leg = f"{strategy} {instrument} {parent}", Leg(contract, quantity)
    child = books.add_contract_order(tx, parent, order_type=OrderType.BEST, legs=[leg], now=now)
    broker = books.add_broker_order(tx, child, OrderIntent(reference, account, instrument, (leg,)), now=now)
    assert books.book_fill(
        tx, Fill(reference, reference, account, instrument, contract, filled, 100.0, now, Decimal(0), "USD"), now
    )
    books.set_broker_status(tx, broker, BrokerOrderStatus.FILLED, now=now)
