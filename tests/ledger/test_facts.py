"""A row of facts that was changed, lost or put in by somebody else is found, whatever the database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import text

from tests.orders import put_order
from tradeflow_core import ledger as books
from tradeflow_core.ledger import Head, Ledger
from tradeflow_core.ledger.facts import digest
from tradeflow_core.ledger.schema import account_values, fills, metadata
from tradeflow_core.model import Fill, Override, OverrideKind, RollEvent, RollState

NOW = datetime(2024, 1, 8, 12, 30, 15, 123456, tzinfo=UTC)


def filled(ledger: Ledger) -> None:
    """A ledger with rows of every kind of fact."""
    with ledger.begin() as tx:
        put_order(tx, "GOLD", 5, now=NOW, filled=3)
        put_order(tx, "CORN", -2, now=NOW, filled=-2)
        books.book_fill(tx, hand("c", "s GOLD 1", 1, replaces="s GOLD 1"), NOW)
        books.lock_instrument(tx, "GOLD", "person", now=NOW, why="storm")
        books.lock_instrument(tx, "CORN", "person", now=NOW, why="storm")
        books.unlock_instrument(tx, "GOLD", "person", now=NOW, why="calm")
        books.set_override(tx, "", "GOLD", override=Override(OverrideKind.FRACTION, 1 / 3, "half"), now=NOW, who="me")
        books.set_position_limit(tx, "", "GOLD", contracts=7, now=NOW, who="me", why="careful")
        books.set_trade_limit(tx, "", "GOLD", days=3, contracts=np.int64(7), now=NOW, who="me", why="careful")  # type: ignore[arg-type]
        books.stop_trading(tx, NOW, "me", why="ünïcode, quotes ' and \n lines")
        books.append_roll_events(tx, [RollEvent("GOLD", None, 20240300, 20240600, 20240600, "calendar")], NOW, who="a", why="b")
        books.set_roll_state(tx, "GOLD", RollState.PASSIVE, now=NOW, who="a", why="b")
        for price in (1.1 + 2.2, 100.0, 7, None, float("nan")):
            books.record_mark(
                tx, "GOLD", 20240300, time=pd.Timestamp(NOW), price=price, source="manual", now=NOW, who="a", why="b"
            )
        books.record_account_value(
            tx,
            "A",
            NOW.astimezone(timezone(timedelta(hours=5))),
            currency="USD",
            net_liquidation=Decimal("1000000.10"),
            excess_liquidity=Decimal("1E+3"),
            fx_to_base=1.0,
        )
        books.record_capital_event(tx, NOW, "flow", amount=Decimal("-5.50"), now=NOW, who="me", why="rent")


def hand(exec_id: str, reference: str, quantity: int, *, replaces: str | None = None) -> Fill:
    return Fill(exec_id, reference, "A", "GOLD", 20240300, quantity, 101.5, NOW, None, "USD", replaces=replaces)


def test_what_was_written_is_read_back_with_the_same_hash(ledger: Ledger) -> None:
    filled(ledger)
    with ledger.begin() as tx:
        assert books.book_fill(tx, hand("late", "s GOLD 1", 1), NOW)
        told = Fill("late", "s GOLD 1", "A", "GOLD", 20240300, 1, 101.5, NOW, Decimal("2.05"), "USD")
        assert not books.book_fill(tx, told, NOW)
    with ledger.read() as view:
        assert books.chain_problems(view) == []
        assert books.ledger_problems(view) == []
        known = books.heads(view)
        assert set(known) == {table.name for table in books.FACTS}
        assert books.missing_heads(view, known) == []


CHANGES = {
    "a changed price": ("update fills set price = price + 0.25 where id = 1", "fills: row 1 is not as it was written"),
    "a changed allocation": (
        "update allocations set strategy = 'other' where id = 2",
        "allocations: row 2 is not as it was written",
    ),
    "a lost row": ("delete from order_events where id = 4", "order_events: row 5 is not as it was written, or a row before"),
    "a foreign row": (
        "insert into roll_states (instrument, state, who, why, recorded_at, hash) "
        "values ('GOLD', 'Force', 'x', 'x', '2024-01-08 12:00:00', 'h')",
        "roll_states: row 2 is not as it was written",
    ),
    "an end that nobody wrote": (
        "update locks set ended_at = recorded_at, ended_by = 'x', ended_why = 'x' where id = 2",
        "locks: the end of row 2 is not as it was written",
    ),
    "an end that is gone": (
        "update locks set ended_at = null, ended_by = null, ended_why = null where id = 1",
        "locks: the end of row 1 is not as it was written",
    ),
    "a larger order": ("update instrument_orders set quantity = 50 where id = 1", "instrument order 1 is not as it was made"),
    "a larger leg": ("update contract_order_legs set quantity = 50 where contract_order_id = 1", "contract order 1 is not as"),
    "an order opened again": (
        "update broker_orders set status = 'working' where id = 1",
        "broker order 1 is working, by its last event it is filled",
    ),
    "a lost order": ("delete from instrument_orders where id = 2", "instrument order 2 is missing, its events are there"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_row_that_was_tampered_with_is_found(ledger: Ledger, change: str) -> None:
    filled(ledger)
    statement, sentence = CHANGES[change]
    with ledger.engine.begin() as connection:
        if ledger.engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        if change == "a lost order":
            for table in ("allocations", "shares"):
                connection.execute(text(f"delete from {table} where instrument_order_id = 2"))
        connection.execute(text(statement))
        assert any(problem.startswith(sentence) for problem in books.ledger_problems(connection)), statement
        connection.rollback()


def test_a_ledger_that_lacks_its_newest_rows_is_known_by_its_heads(ledger: Ledger) -> None:
    filled(ledger)
    with ledger.read() as view:
        before = books.heads(view)
    with ledger.begin() as tx:
        put_order(tx, "GOLD", 2, now=NOW, strategy="later", filled=2)
    with ledger.read() as view:
        after = books.heads(view)
        assert books.missing_heads(view, before) == [], "an older word is still true"
    other = {**before, **{name: after[name] for name in ("fills", "allocations")}}
    with ledger.engine.begin() as connection:
        connection.execute(text("delete from allocations where id = :id"), {"id": after["allocations"].id})
        connection.execute(text("delete from fills where id = :id"), {"id": after["fills"].id})
        assert sorted(books.missing_heads(connection, other)) == ["allocations", "fills"]
        changed = {"fills": Head(before["fills"].id, "0" * 64)}
        assert books.missing_heads(connection, changed) == ["fills"]
        connection.rollback()


def test_only_the_rows_after_a_known_head_are_looked_at_if_asked(ledger: Ledger) -> None:
    filled(ledger)
    with ledger.read() as view:
        known = books.heads(view)
    with ledger.begin() as tx:
        tx.execute(text("update fills set price = 1 where id = 1"))
        assert books.chain_problems(tx) and books.chain_problems(tx, after=known) == []
        put_order(tx, "GOLD", 2, now=NOW, strategy="later", filled=2)
        assert books.chain_problems(tx, after=known) == []
        tx.execute(text(f"update fills set price = 1 where id = {known['fills'].id + 1}"))
        assert len(books.chain_problems(tx, after=known)) == 1


@settings(max_examples=100, deadline=None)
@given(
    st.floats(allow_nan=True, allow_infinity=False),
    st.integers(-(2**31), 2**31 - 1),
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20),
    st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12),
)
def test_any_value_has_the_same_hash_when_it_is_read_back(price, quantity, time, words, commission):
    ledger = Ledger("sqlite://")
    metadata.create_all(ledger.engine)
    with ledger.begin() as tx:
        books.append(
            tx,
            fills,
            exec_id=words,
            account=words,
            instrument="GOLD",
            contract=quantity,
            quantity=quantity,
            change=quantity,
            price=0.0 if np.isnan(price) else price,
            bid=price,
            time=time.replace(tzinfo=UTC),
            commission=commission,
            currency="USD",
            who=words,
            why=words,
            recorded_at=NOW,
        )
        assert books.chain_problems(tx) == []
    ledger.close()


def test_a_new_column_that_is_empty_does_not_change_the_hashes_of_old_rows() -> None:
    row = {"a": 1, "b": None, "day": date(2024, 1, 8)}
    assert digest("x", row) == digest("x", {**row, "added_later": None, "hash": "h", "id": 3})
    assert digest("x", row) != digest("y", row) != digest("y", {**row, "a": 2})


def test_accounts_are_chained_in_one_order(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        rows = [
            {
                "account": account,
                "time": NOW,
                "currency": "USD",
                "net_liquidation": Decimal(1),
                "excess_liquidity": Decimal(1),
                "fx_to_base": 1.0,
            }
            for account in "ABCDEFG"
        ]
        assert books.append_all(tx, account_values, rows) == list(range(1, 8))
        assert books.append_all(tx, account_values, []) == []
        assert books.chain_problems(tx) == []
