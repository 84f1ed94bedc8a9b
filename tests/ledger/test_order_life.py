"""The life of orders as a machine: whatever happens in whatever order, the ledger holds, and no status follows one that it may not follow.

`make soak` runs it at length.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from tradeflow_core import ledger as books
from tradeflow_core.errors import StateError
from tradeflow_core.ledger import Booking, Ledger
from tradeflow_core.ledger.schema import metadata
from tradeflow_core.model import (
    LIVE_STATUSES,
    NEXT_STATUSES,
    ROLLS,
    BrokerOrderStatus,
    Fill,
    Leg,
    OrderIntent,
    OrderType,
)

NOW = datetime(2024, 1, 8, 12, tzinfo=UTC)
MARCH, JUNE = 20240300, 20240600
IS_LONG = "SOAK_DAYS" in os.environ
EXAMPLES, STEPS = (2000, 50) if IS_LONG else (40, 30)

statuses = st.sampled_from(BrokerOrderStatus)
sizes = st.integers(1, 5)
sides = st.sampled_from([1, -1])


class Life(RuleBasedStateMachine):
    """A ledger, and what it has to say of the orders in it."""

    instrument_orders = Bundle("instrument_orders")
    contract_orders = Bundle("contract_orders")
    broker_orders = Bundle("broker_orders")
    executions = Bundle("executions")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger("sqlite://")
        metadata.create_all(self.ledger.engine)
        self.number = 0
        self.status: dict[int, BrokerOrderStatus] = {}
        self.in_force: dict[str, Fill] = {}
        self.side: dict[str, int] = {}

    def teardown(self) -> None:
        with self.ledger.read() as view:
            assert books.ledger_problems(view) == []
        self.ledger.close()

    def _next(self) -> int:
        self.number += 1
        return self.number

    @rule(target=instrument_orders, strategy=st.sampled_from(["a", "b", "c"]), size=sizes, side=sides)
    def strategy_trades(self, strategy: str, size: int, side: int) -> tuple[int, int]:
        with self.ledger.begin() as tx:
            order = books.add_instrument_order(
                tx,
                account="A",
                strategy=strategy,
                instrument="GOLD",
                quantity=side * size,
                order_type=OrderType.BEST,
                day=NOW.date(),
                now=NOW,
            )
        return order, side * size

    @rule(target=contract_orders, order=instrument_orders, contract=st.sampled_from([MARCH, JUNE]))
    def is_spawned(self, order: tuple[int, int], contract: int) -> object:
        return self._spawn({order[0]: order[1]}, contract)

    def _spawn(self, parts: dict[int, int], contract: int) -> object:
        legs = (Leg(contract, sum(parts.values())),)
        with self.ledger.read() as view:
            is_open = set(parts) <= {order.id for order in books.open_instrument_orders(view, "A")}
        try:
            with self.ledger.begin() as tx:
                order = books.add_contract_order(tx, parts, legs=legs, order_type=OrderType.BEST, now=NOW)
        except StateError:
            assert not is_open, "nothing is traded for a closed order"
            return multiple()
        assert is_open
        return order, legs

    @rule(target=contract_orders, one=instrument_orders, other=instrument_orders)
    def are_spawned_together(self, one: tuple[int, int], other: tuple[int, int]) -> object:
        if one[0] == other[0] or one[1] * other[1] < 0:
            return multiple()
        return self._spawn(dict([one, other]), MARCH)

    @rule(target=contract_orders, size=sizes, side=sides)
    def is_rolled(self, size: int, side: int) -> tuple[int, tuple[Leg, ...]]:
        legs = (Leg(MARCH, -side * size), Leg(JUNE, side * size))
        with self.ledger.begin() as tx:
            parent = books.add_instrument_order(
                tx, account="A", strategy=ROLLS, instrument="GOLD", quantity=0, order_type=OrderType.ROLL, day=NOW.date(), now=NOW
            )
            return books.add_contract_order(tx, parent, legs=legs, order_type=OrderType.MARKET, now=NOW), legs

    @rule(target=broker_orders, order=contract_orders)
    def is_sent(self, order: tuple[int, tuple[Leg, ...]]) -> object:
        reference = f"ref{self._next()}"
        with self.ledger.read() as view:
            is_at_work = any(each.contract_order_id == order[0] for each in books.live_broker_orders(view, "A"))
            is_open = books.open_contract_order(view, order[0]) is not None
        try:
            with self.ledger.begin() as tx:
                number = books.add_broker_order(tx, order[0], OrderIntent(reference, "A", "GOLD", order[1]), now=NOW)
        except StateError:
            assert is_at_work or not is_open, "one broker order at a time works for an open contract order"
            return multiple()
        assert is_open and not is_at_work
        self.status[number] = BrokerOrderStatus.SENDING
        return number, reference, order[1]

    @rule(order=broker_orders, status=statuses)
    def broker_tells(self, order: tuple[int, str, tuple[Leg, ...]], status: BrokerOrderStatus) -> None:
        before = self.status[order[0]]
        may = status is before or status in NEXT_STATUSES[before]
        if may and status in LIVE_STATUSES and before not in LIVE_STATUSES:
            with self.ledger.read() as view:
                told = books.broker_order_named(view, order[1])
                assert told is not None
                if any(each.status.is_live for each in books.broker_orders_below(view, told.contract_order_id)):
                    return  # the handler has such an order cancelled at once; the check of the ledger tells of it until then
        try:
            with self.ledger.begin() as tx:
                books.set_broker_status(tx, order[0], status, now=NOW, reason="told")
        except StateError:
            assert not may
        else:
            assert may
            self.status[order[0]] = status

    @rule(target=executions, order=broker_orders, size=sizes, which=st.integers(0, 1))
    def is_filled(self, order: tuple[int, str, tuple[Leg, ...]], size: int, which: int) -> str:
        leg = order[2][which % len(order[2])]
        side = 1 if leg.quantity > 0 else -1
        fill = Fill(f"e{self._next()}", order[1], "A", "GOLD", leg.contract, side * size, 100.0, NOW, Decimal(1), "USD")
        with self.ledger.begin() as tx:
            assert books.book_fill(tx, fill, NOW) in (Booking.DONE, Booking.OVERFILL)
            assert not books.book_fill(tx, fill, NOW)
        self.in_force[fill.exec_id], self.side[fill.exec_id] = fill, side
        return fill.exec_id

    @rule(target=executions, size=sizes, side=sides)
    def somebody_trades_elsewhere(self, size: int, side: int) -> str:
        fill = Fill(f"x{self._next()}", "", "A", "GOLD", JUNE, side * size, 100.0, NOW, None, "USD")
        with self.ledger.begin() as tx:
            assert books.book_fill(tx, fill, NOW) is Booking.OUTSIDE
        self.in_force[fill.exec_id], self.side[fill.exec_id] = fill, side
        return fill.exec_id

    @rule(target=executions, execution=executions, size=st.integers(0, 5))
    def is_corrected(self, execution: str, size: int) -> object:
        former = self.in_force.get(execution)
        if former is None:
            return multiple()
        side, number = self.side[execution], f"c{self._next()}"
        change = Fill(
            number,
            former.client_ref,
            "A",
            "GOLD",
            former.contract,
            side * size,
            101.0,
            NOW,
            Decimal(1),
            "USD",
            replaces=execution,
        )
        with self.ledger.begin() as tx:
            same = Booking.REPRICED if side * size == former.quantity else Booking.CORRECTION
            assert books.book_fill(tx, change, NOW) is same
        del self.in_force[execution]
        self.in_force[number], self.side[number] = change, side
        return number

    @rule()
    def filled_orders_are_completed(self) -> None:
        with self.ledger.begin() as tx:
            books.complete_orders(tx, NOW)

    @rule(order=instrument_orders)
    def a_person_cancels(self, order: tuple[int, int]) -> None:
        try:
            with self.ledger.begin() as tx:
                books.cancel_instrument_order(tx, order[0], now=NOW, who="me", why="no more")
        except StateError:
            return

    @rule()
    def the_day_ends(self) -> None:
        with self.ledger.read() as view:
            is_at_work = bool(books.live_broker_orders(view, "A"))
        try:
            with self.ledger.begin() as tx:
                books.close_all_orders(tx, "A", NOW)
        except StateError:
            assert is_at_work
        else:
            assert not is_at_work

    @precondition(lambda self: self.in_force)
    @invariant()
    def positions_are_what_was_executed(self) -> None:
        with self.ledger.read() as view:
            held = books.positions_by_contract(view, "A")
            owned = books.positions_by_strategy(view, "A")
        for contract in (MARCH, JUNE):
            executed = sum(fill.quantity for fill in self.in_force.values() if fill.contract == contract)
            assert held.get(("GOLD", contract), 0) == executed
        assert sum(owned.values()) == sum(held.values())


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLife.pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.timeout(7200 if IS_LONG else 300)]
