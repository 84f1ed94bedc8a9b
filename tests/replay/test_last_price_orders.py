"""Orders of type `last`: what a replayed roll leaves over is closed at its last price, whatever the market does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.replay.runs import make_tape
from tradeflow_core.brokers import OrderRejected, ReplayBroker
from tradeflow_core.home import SimulatedClock
from tradeflow_core.model import BrokerOrderStatus, Leg, OrderIntent, OrderType
from tradeflow_core.store import Tape

OLD = 20230800
SATURDAY = datetime(2023, 8, 12, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    return make_tape(tmp_path_factory.mktemp("tape"))


@pytest.fixture
def broker(tape: Tape, tmp_path: Path) -> Iterator[ReplayBroker]:
    made = ReplayBroker(
        tape=tape,
        clock=SimulatedClock(tmp_path / "clock.json", SATURDAY),
        book_url=f"sqlite:///{tmp_path / 'book.sqlite'}",
        account="R1",
        base_currency="USD",
        capital=Decimal(1000000),
    )
    yield made
    made.close()


def last_order(ref: str, quantity: int, contract: int = OLD) -> OrderIntent:
    return OrderIntent(ref, "R1", "ALPHA", (Leg(contract, quantity),), order_type=OrderType.LAST)


def test_it_is_filled_in_full_at_the_last_price_in_a_closed_market(broker, tape):
    assert not broker.is_open("ALPHA")
    state = broker.submit(last_order("a", -70))
    (fill,) = broker.executions("R1").fills
    bars = tape.bars("ALPHA")
    assert state.status == BrokerOrderStatus.FILLED
    assert (fill.quantity, fill.price) == (-70, bars.loc[(bars["contract"] == OLD) & (bars["end"] <= SATURDAY), "FINAL"].iloc[-1])
    assert broker.submit(last_order("a", -70)) == state
    assert broker.positions("R1") == {("ALPHA", OLD): -70}


def test_it_closes_a_contract_that_has_just_expired(broker):
    broker.submit(last_order("a", 5))
    expiry = broker.contract("ALPHA", OLD).expiry
    broker.clock.advance_to(datetime(expiry.year, expiry.month, expiry.day, tzinfo=UTC) + timedelta(days=2))
    with pytest.raises(OrderRejected, match="expired"):
        broker.submit(OrderIntent("b", "R1", "ALPHA", (Leg(OLD, -5),)))
    assert broker.submit(last_order("c", -5)).status == BrokerOrderStatus.FILLED
    fills = broker.executions("R1").fills
    assert sum(fill.quantity for fill in fills) == 0


def test_it_is_refused_for_a_contract_without_any_price(broker):
    with pytest.raises(OrderRejected, match="20240200"):
        broker.submit(last_order("a", 1, contract=20240200))
