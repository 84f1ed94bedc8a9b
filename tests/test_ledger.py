"""What the ledger promises: a fill counts once and moves everything that belongs to it, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import given, settings, strategies as st
from sqlalchemy import Connection, Inspector, inspect, text
from sqlalchemy.exc import StatementError

from tradeflow_core import ledger as books
from tradeflow_core.errors import StateError
from tradeflow_core.ledger import Ledger
from tradeflow_core.ledger.ledger import HEAD
from tradeflow_core.ledger.migrate import MIGRATIONS
from tradeflow_core.ledger.schema import metadata
from tradeflow_core.model import (
    BY_BROKER,
    OUTSIDE,
    ROLLS,
    BrokerOrderStatus,
    Fill,
    Leg,
    OrderIntent,
    OrderType,
    Override,
    OverrideKind,
    RollEvent,
)
from tradeflow_core.store import create_sql_engine

NOW = datetime(2024, 1, 8, 12, tzinfo=UTC)
MARCH, JUNE = 20240300, 20240600


def instrument_order(tx: Connection, strategy: str, quantity: int, *, order_type: OrderType) -> int:
    return books.add_instrument_order(
        tx,
        account="A",
        strategy=strategy,
        instrument="GOLD",
        quantity=quantity,
        order_type=order_type,
        day=date(2024, 1, 8),
        now=NOW,
    )


def contract_order(tx: Connection, parent: int, *legs: Leg, order_type: OrderType = OrderType.MARKET) -> int:
    return books.add_contract_order(tx, parent, order_type=order_type, legs=legs, now=NOW)


def broker_order(tx: Connection, parent: int, reference: str, *legs: Leg) -> int:
    return books.add_broker_order(tx, parent, OrderIntent(reference, "A", "GOLD", legs), now=NOW)


def order(
    tx: Connection, quantity: int, reference: str = "ref", *, strategy: str = "trend", contract: int = MARCH
) -> tuple[int, int]:
    parent = instrument_order(tx, strategy, quantity, order_type=OrderType.BEST)
    child = contract_order(tx, parent, Leg(contract, quantity), order_type=OrderType.BEST)
    return child, broker_order(tx, child, reference, Leg(contract, quantity))


def fill(execution: str, quantity: int, reference: str = "ref", *, contract: int = MARCH, price: float = 100.0) -> Fill:
    return Fill(execution, reference, "A", "GOLD", contract, quantity, price, NOW, Decimal("1.25"), "USD")


def test_a_fill_moves_all_three_orders_and_both_positions(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        order(tx, 5)
        assert books.book_fill(tx, fill("e1", 3), NOW)
        assert books.positions_by_contract(tx, "A") == {("GOLD", MARCH): 3}
        assert books.positions_by_strategy(tx, "A") == {("trend", "GOLD"): 3}
        assert books.open_instrument_orders(tx, "A")[0].filled == 3
        assert books.open_contract_orders(tx, "A")[0].legs[0].remaining == 2
        assert books.ledger_problems(tx) == []


def test_a_numpy_integer_is_kept_as_the_number_that_it_is(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        instrument_order(tx, "trend", np.int64(5), order_type=OrderType.BEST)  # type: ignore[arg-type]
    with ledger.read() as view:
        assert [order.quantity for order in books.open_instrument_orders(view, "A")] == [5]
        assert view.execute(text("select sum(quantity) from instrument_orders")).scalar_one() == 5


def test_a_quantity_that_is_no_whole_number_is_refused(ledger: Ledger) -> None:
    with pytest.raises(StatementError, match="float"), ledger.begin() as tx:
        instrument_order(tx, "trend", 1.5, order_type=OrderType.BEST)  # type: ignore[arg-type]


def test_the_same_execution_counts_once(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        order(tx, 5)
        assert books.book_fill(tx, fill("e1", 3), NOW)
        assert not books.book_fill(tx, fill("e1", 3), NOW)
        assert books.positions_by_contract(tx, "A") == {("GOLD", MARCH): 3}


def test_a_fill_of_more_than_was_ordered_is_booked_and_reported_and_never_traded_back(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        _, sent = order(tx, 5)
        assert books.book_fill(tx, fill("e1", 4), NOW) is books.Booking.DONE
        assert books.book_fill(tx, fill("e2", 2), NOW) is books.Booking.OVERFILL
        assert books.positions_by_contract(tx, "A") == {("GOLD", MARCH): 6}
        assert books.positions_by_strategy(tx, "A") == {("trend", "GOLD"): 6}
        assert [order.remaining for order in books.open_instrument_orders(tx, "A")] == [0]
        assert [leg.remaining for order in books.open_contract_orders(tx, "A") for leg in order.legs] == [0]
        books.set_broker_status(tx, sent, BrokerOrderStatus.FILLED, now=NOW)
        assert books.complete_orders(tx, NOW) == 1
        assert books.ledger_problems(tx) == []


@pytest.mark.parametrize(
    "end", [BrokerOrderStatus.CANCELLED, BrokerOrderStatus.REJECTED, BrokerOrderStatus.NEVER_ARRIVED, BrokerOrderStatus.FILLED]
)
def test_an_end_is_no_bar_to_a_later_fill(ledger: Ledger, end: BrokerOrderStatus) -> None:
    with ledger.begin() as tx:
        _, sent = order(tx, 5)
        books.set_broker_status(tx, sent, end, now=NOW)
        books.close_all_orders(tx, "A", NOW)
    with ledger.begin() as tx:
        assert books.book_fill(tx, fill("late", 2), NOW)
        assert books.positions_by_contract(tx, "A") == {("GOLD", MARCH): 2}
        assert books.ledger_problems(tx) == []


def test_a_fill_on_the_wrong_side_is_refused(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        order(tx, 5)
    with pytest.raises(books.ImpossibleFill, match="did not ask for"), ledger.begin() as tx:
        books.book_fill(tx, fill("e1", -1), NOW)
    with ledger.read() as view:
        assert books.positions_by_contract(view, "A") == {}


def test_a_stranger_s_fill_is_booked_for_nobody_s_strategy(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert books.book_fill(tx, fill("e1", 1, reference="somebody else"), NOW) is books.Booking.OUTSIDE
        assert books.book_fill(tx, replace(fill("e2", -3, reference=""), is_liquidation=True), NOW) is books.Booking.OUTSIDE
        assert books.positions_by_contract(tx, "A") == {("GOLD", MARCH): -2}
        assert books.positions_by_strategy(tx, "A") == {(OUTSIDE, "GOLD"): 1, (BY_BROKER, "GOLD"): -3}
        assert books.ledger_problems(tx) == []


def test_a_contract_order_has_one_broker_order_at_work_at_a_time(ledger: Ledger) -> None:
    with pytest.raises(StateError, match="could double the trade"), ledger.begin() as tx:
        child, _ = order(tx, 5)
        broker_order(tx, child, "second", Leg(MARCH, 5))


def test_an_order_completes_after_two_attempts(ledger: Ledger) -> None:
    """A cancelled part does not keep the family open once a second broker order fills the rest."""
    with ledger.begin() as tx:
        child, first = order(tx, 5)
        books.book_fill(tx, fill("e1", 3), NOW)
        books.set_broker_status(tx, first, BrokerOrderStatus.CANCELLED, now=NOW)
        assert books.complete_orders(tx, NOW) == 0
        second = broker_order(tx, child, "again", Leg(MARCH, 2))
        books.book_fill(tx, fill("e2", 2, "again"), NOW)
        books.set_broker_status(tx, second, BrokerOrderStatus.FILLED, now=NOW)
        assert books.complete_orders(tx, NOW) == 1
        assert books.open_instrument_orders(tx, "A") == []
        assert books.ledger_problems(tx) == []


def test_legs_are_sorted_together_with_their_quantities(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        parent = instrument_order(tx, ROLLS, 0, order_type=OrderType.ROLL)
        contract_order(tx, parent, Leg(JUNE, 1), Leg(MARCH, -1))
        assert [(leg.contract, leg.quantity) for leg in books.open_contract_orders(tx, "A")[0].legs] == [(MARCH, -1), (JUNE, 1)]


def test_a_half_done_roll_belongs_to_the_roll_strategy_only(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        parent = instrument_order(tx, ROLLS, 0, order_type=OrderType.ROLL)
        child = contract_order(tx, parent, Leg(MARCH, -2), Leg(JUNE, 2))
        broker_order(tx, child, "ref", Leg(MARCH, -2), Leg(JUNE, 2))
        books.book_fill(tx, fill("e1", -2), NOW)
        assert books.positions_by_strategy(tx, "A") == {(ROLLS, "GOLD"): -2}
        assert books.ledger_problems(tx) == []
        books.book_fill(tx, fill("e2", 2, contract=JUNE), NOW)
        assert books.positions_by_strategy(tx, "A") == {}


def test_orders_at_work_keep_the_day_from_ending(ledger: Ledger) -> None:
    with pytest.raises(StateError, match="still at work"), ledger.begin() as tx:
        order(tx, 5)
        books.close_all_orders(tx, "A", NOW)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["trend", "carry"]), st.integers(-9, 9).filter(bool), st.integers(0, 3)), max_size=12))
def test_whatever_is_filled_positions_are_the_sums_of_their_fills(trades: list[tuple[str, int, int]]) -> None:
    ledger = Ledger("sqlite://")
    metadata.create_all(ledger.engine)
    with ledger.begin() as tx:
        for number, (strategy, quantity, parts) in enumerate(trades):
            order(tx, quantity, f"ref{number}", strategy=strategy)
            step = 1 if quantity > 0 else -1
            for part in range(min(parts, abs(quantity))):
                books.book_fill(tx, fill(f"{number}.{part}", step, f"ref{number}"), NOW)
                books.book_fill(tx, fill(f"{number}.{part}", step, f"ref{number}"), NOW)
        assert books.ledger_problems(tx) == []
        held = sum(books.positions_by_contract(tx, "A").values())
        assert held == sum(books.positions_by_strategy(tx, "A").values())
        assert held == sum((1 if q > 0 else -1) * min(parts, abs(q)) for _, q, parts in trades)
    ledger.close()


def test_a_position_that_is_not_the_sum_of_its_fills_is_found(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        order(tx, 5)
        books.book_fill(tx, fill("e1", 3), NOW)
        tx.execute(text("update contract_positions set quantity = 4"))
        assert books.ledger_problems(tx) == ["position of GOLD 20240300 in account A is 4, the sum of its fills is 3"]


def test_rolls_are_appended_in_order_of_time_only(ledger: Ledger) -> None:
    first = RollEvent("GOLD", None, MARCH, JUNE, JUNE, "calendar")
    with ledger.begin() as tx:
        books.append_roll_events(
            tx, [first, RollEvent("GOLD", NOW, JUNE, 20240900, 20240900, "person")], NOW, who="me", why="why"
        )
        assert books.current_roll(tx, "GOLD").price_contract == JUNE  # type: ignore[union-attr]
    with pytest.raises(StateError, match="not later than the last one"), ledger.begin() as tx:
        books.append_roll_events(
            tx, [RollEvent("GOLD", NOW - timedelta(days=1), MARCH, JUNE, JUNE, "person")], NOW, who="me", why="why"
        )


def test_a_lock_is_lifted_by_its_owner_only(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert books.lock_instrument(tx, "GOLD", "person", now=NOW, why="I do not like it")
        assert books.lock_instrument(tx, "GOLD", "prices", now=NOW, why="stale")
        assert not books.lock_instrument(tx, "GOLD", "prices", now=NOW, why="stale still")
        assert books.unlock_instrument(tx, "GOLD", "prices", now=NOW, why="fresh")
        assert books.locked_instruments(tx) == {"GOLD": "person: I do not like it"}


def test_a_stop_stays_until_it_is_lifted(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        books.stop_trading(tx, NOW, "me", why="storm")
        books.stop_trading(tx, NOW, "you", why="again")
        stop = books.active_stop(tx)
        assert stop is not None and (stop.who, stop.why) == ("me", "storm")
        assert books.lift_stop(tx, NOW, "me", why="over")
        assert books.active_stop(tx) is None


def test_a_lease_is_one_owner_s_until_it_runs_out(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        books.take_lease(tx, "handler", "one", now=NOW, seconds=60)
        books.take_lease(tx, "handler", "one", now=NOW + timedelta(seconds=30), seconds=60)
        with pytest.raises(StateError, match="is running already"):
            books.take_lease(tx, "handler", "two", now=NOW + timedelta(seconds=80), seconds=60)
        books.take_lease(tx, "handler", "two", now=NOW + timedelta(seconds=91), seconds=60)


def test_every_owner_of_a_lease_gets_a_higher_generation(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert books.take_lease(tx, "handler", "one", now=NOW, seconds=60) == 1
        assert books.take_lease(tx, "handler", "one", now=NOW + timedelta(seconds=30), seconds=60) == 1
        books.release_lease(tx, "handler", "one")
        assert books.take_lease(tx, "handler", "two", now=NOW, seconds=60) == 2
        assert books.take_lease(tx, "handler", "three", now=NOW, seconds=60, dead=["two"]) == 3
        assert books.take_lease(tx, "handler", "four", now=NOW, seconds=60, by_force=True) == 4
        books.release_lease(tx, "handler", "three")
        lease = books.find_lease(tx, "handler")
        assert lease is not None and (lease.owner, lease.generation, lease.is_held(NOW)) == ("four", 4, True)


def test_whoever_has_lost_a_lease_writes_nothing_more(ledger: Ledger) -> None:
    other = Ledger.open(ledger.url)
    with ledger.begin() as tx:
        generation = books.take_lease(tx, "handler", "one", now=NOW, seconds=60, about="host a")
    with ledger.fenced("handler", generation):
        with ledger.begin() as tx:
            order(tx, 5, "before")
        with other.begin() as tx:
            books.take_lease(tx, "handler", "two", now=NOW + timedelta(seconds=61), seconds=60, about="host b")
        with pytest.raises(books.Superseded, match=r"taken over \(host b\)"), ledger.begin() as tx:
            order(tx, 5, "after")
    with ledger.begin() as tx:
        assert [live.client_ref for live in books.live_broker_orders(tx, "A")] == ["before"]
    other.close()


def test_a_trade_limit_counts_what_was_filled_in_its_period(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert books.tradeable_now(tx, "A", "trend", instrument="GOLD", now=NOW) is None
        books.set_trade_limit(tx, books.ANY, "GOLD", days=1, contracts=10, now=NOW, who="me", why="careful")
        order(tx, -7)
        books.book_fill(tx, fill("e1", -7), NOW)
        assert books.tradeable_now(tx, "A", "trend", instrument="GOLD", now=NOW) == 3
        assert books.tradeable_now(tx, "A", "trend", instrument="GOLD", now=NOW + timedelta(days=1, seconds=1)) == 10


def test_overrides_combine_to_the_strictest(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        books.set_override(tx, "trend", books.ANY, override=Override(OverrideKind.FRACTION, 0.5), now=NOW, who="me")
        books.set_override(tx, books.ANY, "GOLD", override=Override(OverrideKind.FRACTION, 0.5), now=NOW, who="me")
        assert books.override_for(tx, "trend", "GOLD").fraction == 0.25
        books.set_override(tx, books.ANY, "GOLD", override=Override(OverrideKind.REDUCE_ONLY), now=NOW, who="me")
        assert books.override_for(tx, "trend", "GOLD").kind == "reduce_only"
        books.set_override(tx, "trend", "GOLD", override=Override(OverrideKind.NO_TRADING), now=NOW, who="me")
        assert books.override_for(tx, "trend", "GOLD").kind == "no_trading"


def indexes(database: Inspector, table: str) -> dict[str | None, tuple[list[str | None], bool, list[str]]]:
    """Columns, uniqueness and condition of the indexes of a table, by name."""
    return {
        index["name"]: (index["column_names"], bool(index["unique"]), [str(v) for v in index.get("dialect_options", {}).values()])
        for index in database.get_indexes(table)
    }


def test_the_migrations_make_exactly_the_tables_of_the_schema(new_database: Callable[[], str], ledger: Ledger) -> None:
    plain = create_sql_engine(new_database())
    metadata.create_all(plain)
    made, wanted = inspect(ledger.engine), inspect(plain)
    assert set(made.get_table_names()) - {"alembic_version"} == set(wanted.get_table_names())
    for table in wanted.get_table_names():
        assert {c["name"]: (str(c["type"]), c["nullable"]) for c in made.get_columns(table)} == {
            c["name"]: (str(c["type"]), c["nullable"]) for c in wanted.get_columns(table)
        }
        assert made.get_pk_constraint(table) == wanted.get_pk_constraint(table)
        assert indexes(made, table) == indexes(wanted, table)
    plain.dispose()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_newer_ledger_is_refused(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StateError, match="newer tradeflow"):
        Ledger.open(ledger.url)


def test_a_ledger_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be used"):
        Ledger.open(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder' / 'ledger.sqlite'}")
