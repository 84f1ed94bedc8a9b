"""The book of the paper exchange: what it adds up, how often it is asked, and that an older one still opens."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import event

from tests.brokers.conftest import ACCOUNT, OPEN, Desk, filled, open_desk, state_of
from tradeflow_core.brokers import BrokerUnavailable, SimulatedBroker
from tradeflow_core.brokers.paper.book import fold_executions, open_book, read_account, read_holdings
from tradeflow_core.model import BrokerOrderStatus, Leg, OrderIntent, OrderType

MARCH = 20240300
BOOK_OF_0_2 = Path(__file__).with_name("book_of_0_2.sql")
"""The book of version 0.2 at 15:40, with a spread that has filled in part and a limit order that waits."""


def order(ref: str, quantity: int, code: str = "SP500_micro", **more) -> OrderIntent:
    return OrderIntent(ref, ACCOUNT, code, (Leg(MARCH, quantity),), **more)


def assert_aggregates_agree(broker: SimulatedBroker) -> None:
    """What the book keeps for each contract is what its executions add up to."""
    with broker.exchange._read() as connection:
        assert read_holdings(connection) == fold_executions(connection)


def count(desk: Desk, what: str, call: Callable[[], object]) -> int:
    """How many transactions (`begin`) or statements (`before_cursor_execute`) a call takes."""
    seen: list[object] = []
    engine = desk.broker.exchange._engine

    def note(*arguments: object) -> None:
        seen.append(arguments)

    event.listen(engine, what, note)
    call()
    event.remove(engine, what, note)
    return len(seen)


def test_the_aggregate_of_each_contract_is_the_fold_of_its_executions(desk):
    for number, (code, quantity) in enumerate([("EUROSTX", 900), ("SP500_micro", -40), ("EUROSTX", -300), ("SP500_micro", 40)]):
        desk.broker.submit(order(f"r{number}", quantity, code))
        desk.clock.advance_to(desk.clock.now() + timedelta(minutes=7))
    desk.broker.submit(OrderIntent("roll", ACCOUNT, "CRUDE_W_mini", (Leg(MARCH, -3), Leg(20240400, 3))))
    desk.clock.advance_to(desk.clock.now() + timedelta(minutes=30))
    desk.broker.cancel("r0")
    assert len(desk.broker.executions(ACCOUNT).fills) > 6
    assert_aggregates_agree(desk.broker)


def test_many_orders_are_polled_in_few_transactions_and_with_few_questions_to_the_market(desk, monkeypatch):
    for number in range(40):
        desk.broker.submit(order(f"r{number}", 1, order_type=OrderType.LIMIT, limit_price=1.0))
    market, asked = desk.broker.market, []
    quote = market.quote
    monkeypatch.setattr(market, "quote", lambda *key: asked.append(key) or quote(*key))
    desk.clock.advance_to(OPEN + timedelta(minutes=10))

    def poll() -> None:
        desk.broker.orders(ACCOUNT)
        desk.broker.executions(ACCOUNT)

    assert count(desk, "begin", poll) == 3, "one to match, one for each snapshot"
    assert len(asked) == 1
    assert count(desk, "before_cursor_execute", poll) <= 6, "whatever the number of orders"
    assert len(asked) == 1


def test_an_instant_that_another_client_has_matched_is_not_matched_again(tmp_path):
    first, second = open_desk(tmp_path), open_desk(tmp_path)
    first.broker.submit(order("a", 10**5))
    before = first.broker.executions(ACCOUNT).fills
    assert second.broker.executions(ACCOUNT).fills == first.broker.executions(ACCOUNT).fills == before


@pytest.fixture
def old(tmp_path: Path) -> Desk:
    """A broker on the book of version 0.2."""
    book = sqlite3.connect(tmp_path / "book.db")
    book.executescript(BOOK_OF_0_2.read_text())
    book.close()
    return open_desk(tmp_path, OPEN + timedelta(minutes=30))


def test_a_book_of_an_older_version_opens_with_the_same_account(old):
    assert old.broker.positions(ACCOUNT) == {
        ("CRUDE_W_mini", 20240300): -1,
        ("CRUDE_W_mini", 20240400): 1,
        ("EUROSTX", MARCH): 282,
        ("SP500_micro", MARCH): 2,
    }
    assert old.broker.account_snapshot(ACCOUNT).net_liquidation == {"USD": Decimal("985401.45")}
    statuses = {state.client_ref: state.status.value for state in old.broker.orders(ACCOUNT).orders}
    assert statuses == {
        "done": "filled",
        "cancelled": "cancelled",
        "back": "filled",
        "roll": "working",
        "limit": "working",
        "no": "rejected",
    }
    assert_aggregates_agree(old.broker)


def test_a_book_of_an_older_version_goes_on_trading_and_does_not_sell_a_quote_twice(old, tmp_path):
    assert filled(state_of(old.broker, "roll")) == (-1, 1), "the quote was taken before the book was upgraded"
    assert filled(old.broker.submit(order("new", 2))) == (2,)
    while state_of(old.broker, "roll").status is BrokerOrderStatus.WORKING:
        assert old.clock.now() < datetime(2024, 1, 10, 21, tzinfo=OPEN.tzinfo)
        old.clock.advance_to(old.clock.now() + timedelta(minutes=5))
    assert old.broker.positions(ACCOUNT)["CRUDE_W_mini", 20240400] == 5
    assert_aggregates_agree(old.broker)
    again = open_desk(tmp_path)
    assert again.broker.positions(ACCOUNT) == old.broker.positions(ACCOUNT), "an upgraded book is not upgraded again"


def test_orders_of_an_older_book_that_ended_leave_the_snapshot_after_a_week(old):
    old.clock.advance_to(OPEN + timedelta(days=7, minutes=31))
    assert {state.client_ref for state in old.broker.orders(ACCOUNT).orders} <= {"roll", "limit"}


def test_a_book_that_another_process_holds_is_a_broker_that_does_not_answer(tmp_path: Path) -> None:
    """A process that was stopped in the middle of a transaction holds it; it goes on later."""
    url, capital = f"sqlite:///{tmp_path / 'book.sqlite'}", Decimal(1_000_000)
    engine = open_book(url, ACCOUNT, "USD", capital=capital, busy_seconds=0.05)
    holder = sqlite3.connect(tmp_path / "book.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(BrokerUnavailable, match="does not answer"), engine.begin():
        pass
    with pytest.raises(BrokerUnavailable, match="does not answer"):
        open_book(url, ACCOUNT, "USD", capital=capital, busy_seconds=0.05)
    holder.execute("ROLLBACK")
    holder.close()
    with engine.begin() as connection:
        assert read_account(connection).capital == capital
    engine.dispose()
