"""Deleting an instrument's prices: what comes back, and when it is refused."""

from __future__ import annotations

import pytest

from tests.days import run_until
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.ledger import open_instrument_orders, positions_by_contract, roll_events_of
from tradeflow_core.prices import PriceWindow, delete_prices, run_stages


def test_deleted_prices_come_back_with_a_full_refresh(trading_desk: Desk) -> None:
    desk = trading_desk
    before = desk.store.read("adjusted_prices", "US10")
    with desk.ledger.begin() as tx:
        tx.exec_driver_sql("update instrument_orders set status = 'cancelled'")
        events = roll_events_of(tx, "US10")
    assert delete_prices(desk, "US10", dry_run=True) == ["contract_prices", "multiple_prices", "adjusted_prices"]
    assert desk.store.exists("adjusted_prices", "US10")
    delete_prices(desk, "US10")
    assert not any(desk.store.exists(dataset, "US10") for dataset in ("contract_prices", "multiple_prices", "adjusted_prices"))
    with desk.ledger.read() as view:
        assert len(roll_events_of(view, "US10")) == len(events)
    run_stages(desk, "US10", window=PriceWindow(full_refresh=True))
    after = desk.store.read("adjusted_prices", "US10")
    daily_before = before["price"].dropna()
    assert after["price"].reindex(daily_before.index).notna().all()


def test_prices_of_a_held_instrument_are_not_deleted(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.read() as view:
        ordered = open_instrument_orders(view, desk.account)[0].instrument
    with pytest.raises(StateError, match="is open; cancel it first"):
        delete_prices(desk, ordered)
    run_until(desk, "stack_handler")
    with desk.ledger.read() as view:
        code = next(iter(positions_by_contract(view, desk.account)))[0]
    with pytest.raises(StateError, match="is still held"):
        delete_prices(desk, code)
    assert desk.store.exists("adjusted_prices", code)
