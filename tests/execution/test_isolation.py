"""Trouble with one instrument does not keep the others from trading, and a broker that says no is not asked for ever."""

from __future__ import annotations

from typing import Any

import pytest

from tests.execution.test_stack_handler import UnreliableLine
from tests.frames import table_of
from tradeflow_core.brokers import OrderRejected, Quote
from tradeflow_core.desk import Desk
from tradeflow_core.execution import StackHandler, blocked_orders
from tradeflow_core.ledger import instruments_locked_by, ledger_problems, open_instrument_orders, unlock_instrument
from tradeflow_core.ledger.schema import broker_orders
from tradeflow_core.model import LockOwner, OrderIntent


@pytest.fixture
def line(trading_desk: Desk) -> UnreliableLine:
    trading_desk.clock.wait(15 * 3600)
    line = UnreliableLine(trading_desk.broker)
    trading_desk.__dict__["broker"] = line
    return line


@pytest.fixture
def troubled(trading_desk: Desk) -> str:
    """An instrument that has an order today, and is open all day."""
    with trading_desk.ledger.read() as view:
        return open_instrument_orders(view, trading_desk.account)[-1].instrument


def traded(desk: Desk) -> set[str]:
    with desk.ledger.read() as view:
        return set(table_of(view, broker_orders)["instrument"])


def ask(line: UnreliableLine, name: str, answer: Any) -> None:
    """Have `answer` reply to one method of the broker."""
    line.__dict__[name] = answer


def test_an_unexpected_error_of_one_instrument_locks_it_and_the_others_are_traded(
    trading_desk: Desk, line: UnreliableLine, troubled: str
) -> None:
    desk = trading_desk

    def broken_quote(instrument: str, contract: int) -> Quote:
        if instrument == troubled:
            raise KeyError("bid")
        return line._broker.quote(instrument, contract)

    ask(line, "quote", broken_quote)
    for _ in range(3):
        StackHandler(desk).step()
        desk.clock.wait(60)
    assert traded(desk) and troubled not in traded(desk)
    with desk.ledger.read() as view:
        assert instruments_locked_by(view, LockOwner.EXECUTION) == [troubled]
        assert ledger_problems(view) == []
    alerts = [alert["message"] for alert in desk.alerts.read() if alert["subject"] == f"locked {troubled}"]
    assert len(alerts) == 1 and "KeyError: 'bid'" in alerts[0] and "test_isolation.py" in alerts[0]


def test_a_rejected_order_waits_longer_each_time_and_then_locks_its_instrument(
    trading_desk: Desk, line: UnreliableLine, troubled: str
) -> None:
    desk, attempts = trading_desk, []

    def reject(intent: OrderIntent) -> Any:
        if intent.instrument != troubled:
            return line._broker.submit(intent)
        attempts.append((desk.now() - begin).total_seconds() // 60)
        raise OrderRejected("margin too small")

    ask(line, "submit", reject)
    begin = desk.now()
    for minute in range(40):
        StackHandler(desk).step()
        if minute == 1:
            waiting = {blocked.order.instrument: blocked.why for blocked in blocked_orders(desk)}
            assert "rejected 2 times (margin too small); it is tried again after" in waiting[troubled]
        desk.clock.wait(60)
    assert attempts == [0, 1, 3, 7, 15]
    with desk.ledger.begin() as tx:
        assert instruments_locked_by(tx, LockOwner.EXECUTION) == [troubled]
        unlock_instrument(tx, troubled, LockOwner.EXECUTION, now=desk.now(), who="me", why="mended")
    assert traded(desk) > {troubled}
    ask(line, "submit", line._broker.submit)
    StackHandler(desk).step()
    with desk.ledger.read() as view:
        last = table_of(view, broker_orders).query("instrument == @troubled")["status"].iloc[-1]
        assert last != "rejected" and ledger_problems(view) == []
