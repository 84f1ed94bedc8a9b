"""Whatever is executed, corrected, voided, made elsewhere or moved: what strategies hold is what the account holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import Connection, select

from tradeflow_core import ledger as books
from tradeflow_core.errors import StateError
from tradeflow_core.ledger import Booking, Ledger
from tradeflow_core.ledger.executions import divide
from tradeflow_core.ledger.schema import allocations, commissions, metadata
from tradeflow_core.model import OUTSIDE, Fill, Leg, OrderIntent, OrderType, Quoted

NOW = datetime(2024, 1, 8, 12, tzinfo=UTC)
MARCH, JUNE = 20240300, 20240600


def instrument_order(tx: Connection, strategy: str, quantity: int) -> int:
    return books.add_instrument_order(
        tx,
        account="A",
        strategy=strategy,
        instrument="GOLD",
        quantity=quantity,
        order_type=OrderType.MARKET,
        day=NOW.date(),
        now=NOW,
    )


def shared_order(tx: Connection, parts: dict[str, int], reference: str = "ref") -> int:
    """One contract order of several strategies, at the broker; returns its id."""
    orders = {instrument_order(tx, strategy, quantity): quantity for strategy, quantity in parts.items()}
    leg = Leg(MARCH, sum(parts.values()))
    child = books.add_contract_order(tx, orders, legs=[leg], order_type=OrderType.MARKET, now=NOW)
    books.add_broker_order(tx, child, OrderIntent(reference, "A", "GOLD", (leg,)), now=NOW)
    return child


def fill(number: str, quantity: int, reference: str = "ref", *, price: float = 100.0, replaces: str | None = None) -> Fill:
    return Fill(number, reference, "A", "GOLD", MARCH, quantity, price, NOW, Decimal("1.25"), "USD", replaces=replaces)


def positions(view: Connection) -> dict[str, int]:
    return {strategy: quantity for (strategy, _), quantity in books.positions_by_strategy(view, "A").items()}


def test_an_order_of_several_strategies_is_filled_for_each_in_proportion(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        shared_order(tx, {"slow": 6, "fast": 3, "tiny": 1})
        books.book_fill(tx, fill("a", 5), NOW)
        assert positions(tx) == {"slow": 3, "fast": 1, "tiny": 1} or positions(tx) == {"slow": 3, "fast": 2}
        books.book_fill(tx, fill("b", 5, price=102.0), NOW)
        assert positions(tx) == {"slow": 6, "fast": 3, "tiny": 1}
        assert [order.filled for order in books.open_instrument_orders(tx, "A")] == [6, 3, 1]
        assert books.ledger_problems(tx) == []


def test_shares_have_to_make_up_the_order(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        a, b = instrument_order(tx, "a", 2), instrument_order(tx, "b", -1)
        for parts, legs in (({a: 2, b: -1}, [Leg(MARCH, 1)]), ({a: 2, b: 2}, [Leg(MARCH, 3)])):
            with pytest.raises(StateError, match="do not make up"):
                books.add_contract_order(tx, parts, legs=legs, order_type=OrderType.MARKET, now=NOW)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=6),
    st.lists(st.integers(1, 12), max_size=12),
    st.sampled_from([1, -1]),
)
def test_division_is_complete_fair_and_never_gives_back(ordered: list[int], fills: list[int], side: int) -> None:
    filled, total = [0] * len(ordered), 0
    for quantity in fills:
        parts = [(side * size, side * done) for size, done in zip(ordered, filled, strict=True)]
        given = divide(side * quantity, parts)
        assert sum(given) == side * quantity and all(part * side >= 0 for part in given)
        filled = [done + abs(part) for done, part in zip(filled, given, strict=True)]
        total += quantity
        if total <= sum(ordered):
            assert all(done <= size for done, size in zip(filled, ordered, strict=True))
            due = [total * size / sum(ordered) for size in ordered]
            assert all(abs(done - share) < len(ordered) for done, share in zip(filled, due, strict=True))
    if total == sum(ordered):
        assert filled == ordered


def test_a_correction_takes_the_place_of_an_execution_and_can_be_corrected_again(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        shared_order(tx, {"slow": 6, "fast": 4})
        books.book_fill(tx, fill("a", 10, price=100.0), NOW)
        assert books.book_fill(tx, fill("a.1", 5, price=101.0, replaces="a"), NOW) is Booking.CORRECTION
        assert books.positions_by_contract(tx, "A") == {("GOLD", MARCH): 5} and positions(tx) == {"slow": 3, "fast": 2}
        assert books.book_fill(tx, fill("a.2", 7, price=99.0, replaces="a.1"), NOW) is Booking.CORRECTION
        assert books.positions_by_contract(tx, "A") == {("GOLD", MARCH): 7}
        assert not books.book_fill(tx, fill("a", 10, price=100.0), NOW), "what was replaced is not booked again"
        rows = tx.execute(select(allocations.c.quantity, allocations.c.price)).all()
        assert sum(row.quantity * row.price for row in rows) == pytest.approx(7 * 99.0), "paid as by the last correction"
        assert books.book_fill(tx, fill("a.3", 0, replaces="a.2"), NOW) is Booking.CORRECTION
        assert books.positions_by_contract(tx, "A") == {} and positions(tx) == {}
        assert books.ledger_problems(tx) == []


def test_a_correction_that_is_told_before_its_execution_counts_once(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        shared_order(tx, {"slow": 6})
        assert books.book_fill(tx, fill("a.1", 5, replaces="a"), NOW) is Booking.CORRECTION
        assert not books.book_fill(tx, fill("a", 6), NOW)
        assert positions(tx) == {"slow": 5}
        assert books.booked_executions(tx, NOW) == {"a": books.Booked(True, True), "a.1": books.Booked(True, False)}
        assert books.ledger_problems(tx) == []


def test_a_commission_that_is_told_later_is_kept_once(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        shared_order(tx, {"slow": 6})
        silent = replace(fill("a", 6), commission=None)
        assert books.book_fill(tx, silent, NOW)
        assert not books.booked_executions(tx, NOW)["a"].has_commission
        for _ in range(2):
            assert not books.book_fill(tx, fill("a", 6), NOW)
        assert tx.execute(select(commissions.c.commission)).scalars().all() == [Decimal("1.25")]
        assert books.booked_executions(tx, NOW)["a"].has_commission
        assert books.ledger_problems(tx) == []


def test_a_trade_made_elsewhere_is_assigned_by_a_transfer(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert books.book_fill(tx, fill("x", -4, ""), NOW) is Booking.OUTSIDE
        moved = {"account": "A", "instrument": "GOLD", "price": 100.0, "time": NOW, "now": NOW, "who": "me", "why": "hedge"}
        books.transfer(tx, giver=OUTSIDE, taker="slow", quantity=-3, **moved)  # type: ignore[arg-type]
        assert positions(tx) == {OUTSIDE: -1, "slow": -3} and books.positions_by_contract(tx, "A") == {("GOLD", MARCH): -4}
        with pytest.raises(StateError, match="changes nothing"):
            books.transfer(tx, giver="slow", taker="slow", quantity=1, **moved)  # type: ignore[arg-type]
        assert books.ledger_problems(tx) == []


def test_a_fill_of_another_instrument_or_account_is_impossible(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        shared_order(tx, {"slow": 6})
    for wrong in (replace(fill("a", 1), instrument="CORN"), replace(fill("a", 1), account="B"), fill("a", 0)):
        with pytest.raises(books.ImpossibleFill), ledger.begin() as tx:
            books.book_fill(tx, wrong, NOW)
    with ledger.read() as view:
        assert books.positions_by_contract(view, "A") == books.positions_by_contract(view, "B") == {}


def test_accounts_never_mix(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        shared_order(tx, {"slow": 6})
        books.book_fill(tx, fill("a", 6), NOW)
        books.book_fill(tx, replace(fill("b", -2, ""), account="B"), NOW)
        assert books.positions_by_strategy(tx, "B") == {(OUTSIDE, "GOLD"): -2} and positions(tx) == {"slow": 6}
        assert books.open_instrument_orders(tx, "B") == books.live_broker_orders(tx, "B") == []
        books.set_trade_limit(tx, books.ANY, "GOLD", days=1, contracts=10, now=NOW, who="me", why="careful")
        assert books.tradeable_now(tx, "A", "slow", instrument="GOLD", now=NOW) == 4
        assert books.tradeable_now(tx, "B", "slow", instrument="GOLD", now=NOW) == 10


def test_the_quote_at_a_fill_is_kept_with_it(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        shared_order(tx, {"slow": 6})
        books.book_fill(tx, fill("a", 6), NOW, quoted=Quoted(99.5, 100.5, NOW))
        row = tx.execute(select(books.fills)).one()
        assert (row.bid, row.ask, row.quoted_at) == (99.5, 100.5, NOW)


ACTIONS = st.one_of(
    st.tuples(st.just("order"), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.sampled_from([1, -1])),
    st.tuples(st.just("fill"), st.integers(0, 30), st.integers(1, 9)),
    st.tuples(st.just("replace"), st.integers(0, 30), st.integers(0, 9)),
    st.tuples(st.just("outside"), st.integers(-9, 9).filter(bool), st.booleans()),
    st.tuples(st.just("hand"), st.sampled_from(["s0", "s1"]), st.integers(-9, 9).filter(bool)),
    st.tuples(st.just("move"), st.sampled_from([("s0", "s1"), (OUTSIDE, "s1")]), st.integers(-9, 9).filter(bool)),
    st.tuples(st.just("again"), st.integers(0, 30), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=25))
def test_any_sequence_of_bookings_keeps_both_sums_equal(actions: list[tuple[str, object, object]]) -> None:
    ledger = Ledger("sqlite://")
    metadata.create_all(ledger.engine)
    sides: list[int] = []
    booked: list[Fill] = []
    in_force: dict[str, int] = {}
    side_of: dict[str, int] = {}
    with ledger.begin() as tx:
        for number, (what, one, two) in enumerate(actions):
            name = f"e{number}"
            if what == "order":
                sides.append(two)  # type: ignore[arg-type]
                shared_order(tx, {f"s{i}": two * size for i, size in enumerate(one)}, f"ref{len(sides) - 1}")  # type: ignore[arg-type,operator]
            elif what == "fill" and sides:
                order = one % len(sides)  # type: ignore[operator]
                booked.append(fill(name, sides[order] * two, f"ref{order}"))  # type: ignore[operator]
            elif what == "replace" and in_force:
                former = next(f for f in booked if f.exec_id == sorted(in_force)[one % len(in_force)])  # type: ignore[operator]
                side_of[name] = side_of[former.exec_id]
                booked.append(replace(former, exec_id=name, quantity=side_of[name] * two, replaces=former.exec_id))  # type: ignore[operator]
                in_force.pop(former.exec_id)
            elif what == "outside":
                booked.append(replace(fill(name, one, ""), is_liquidation=two))  # type: ignore[arg-type]
            elif what == "hand":
                said = {"price": 5.0, "currency": "USD", "time": NOW, "now": NOW, "who": "me", "why": "x"}
                books.book_by_hand(
                    tx,
                    account="A",
                    strategy=one,
                    instrument="GOLD",
                    contract=JUNE,
                    quantity=two,
                    **said,  # type: ignore[arg-type]
                )
            elif what == "move":
                giver, taker = one  # type: ignore[misc]
                moved = {"price": 5.0, "time": NOW, "now": NOW, "who": "me", "why": "x"}
                books.transfer(tx, account="A", instrument="GOLD", giver=giver, taker=taker, quantity=two, **moved)  # type: ignore[arg-type]
            elif what == "again" and booked:
                assert not books.book_fill(tx, booked[one % len(booked)], NOW)  # type: ignore[operator]
            if booked and booked[-1].exec_id == name:
                assert books.book_fill(tx, booked[-1], NOW)
                in_force[name] = booked[-1].quantity
                side_of.setdefault(name, 1 if booked[-1].quantity > 0 else -1)
        assert books.ledger_problems(tx) == []
        held = books.positions_by_contract(tx, "A")
        assert held.get(("GOLD", MARCH), 0) == sum(in_force.values())
        owned: Counter[str] = Counter()
        for (_, instrument), quantity in books.positions_by_strategy(tx, "A").items():
            owned[instrument] += quantity
        assert owned["GOLD"] == sum(held.values())
    ledger.close()
