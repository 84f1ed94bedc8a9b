"""Days with a broker that lies, falls silent and loses orders end with the positions that the exchange has, and no order sent twice."""

from __future__ import annotations

import pytest

from tests.frames import table_of
from tradeflow_core import business_day
from tradeflow_core.desk import Desk
from tradeflow_core.execution import poll_orders
from tradeflow_core.home import SETTINGS_FILE, Home
from tradeflow_core.ledger import fills, ledger_problems
from tradeflow_core.ledger.schema import broker_orders
from tradeflow_core.reports import check_desk

FAULTS = """
[simulated.faults]
seed = {seed}
denied_orders = 0.2
denied_minutes = 40
lost_answers = 0.2
lost_orders = 0.2
doubled_executions = 0.3
disordered_executions = 0.3
late_executions = 0.2
rejected_orders = 0.1
silences = 0.05
session_drops = 0.05
late_cancels = 0.3
partial_fills = 0.3
moved_prices = 0.3
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_days_of_lies_end_with_what_the_exchange_has(trading_desk: Desk, seed: int) -> None:
    settings = trading_desk.home.path / SETTINGS_FILE
    settings.write_text(settings.read_text(encoding="utf-8") + FAULTS.format(seed=seed), encoding="utf-8")
    desk = Desk(Home.open(trading_desk.home.path))
    for today in business_day.days_to_run(desk, 4):
        business_day.run_day(desk, today)
        with desk.ledger.read() as view:
            assert ledger_problems(view) == [], today
    desk.clock.wait(3600)
    poll_orders(desk)  # by now all that was late is reported
    exchange = Desk(Home.open(trading_desk.home.path)).broker.inner  # type: ignore[attr-defined]
    at_exchange = [state.client_ref for state in exchange.orders(desk.account).orders]
    with desk.ledger.read() as view:
        sent, booked = set(table_of(view, broker_orders)["client_ref"]), list(table_of(view, fills)["exec_id"])
    assert len(at_exchange) == len(set(at_exchange)) and set(at_exchange) <= sent
    assert sorted(booked) == sorted(execution.exec_id for execution in exchange.executions(desk.account).fills) and booked
    assert check_desk(desk) == []
