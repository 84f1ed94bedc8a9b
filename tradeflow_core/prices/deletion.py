"""Removing an instrument's price data."""

from __future__ import annotations

from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.ledger import open_instrument_orders, positions_by_contract
from tradeflow_core.model import contract_label

DATASETS = ("contract_prices", "multiple_prices", "adjusted_prices", "spreads")
"""The datasets that hold prices of an instrument."""


def delete_prices(desk: Desk, instrument: str, *, dry_run: bool = False) -> list[str]:
    """Remove the price files of an instrument; returns the datasets that had one. Contracts, rolls, orders and positions stay.

    Raises StateError while the instrument is held or has an open order.
    """
    with desk.ledger.read() as view:
        positions = positions_by_contract(view, desk.account)
        held = [contract for (name, contract), quantity in positions.items() if name == instrument and quantity]
        orders = [order.id for order in open_instrument_orders(view, desk.account) if order.instrument == instrument]
    if held:
        raise StateError(f"{instrument}: {contract_label(held[0])} is still held; its prices value the position, close it first")
    if orders:
        raise StateError(f"{instrument}: order {orders[0]} is open; cancel it first")
    datasets = [dataset for dataset in DATASETS if desk.store.exists(dataset, instrument)]
    for dataset in () if dry_run else reversed(datasets):
        desk.store.delete(dataset, instrument)
    return datasets
