"""Who locked, limited or stopped what, why, and who lifted it: answered for ever, and one of a kind in force."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from tradeflow_core import ledger as books
from tradeflow_core.errors import StateError
from tradeflow_core.ledger import Control, Ledger, control_history
from tradeflow_core.ledger.migrate import MIGRATIONS
from tradeflow_core.model import Override, OverrideKind
from tradeflow_core.store import create_sql_engine

NOW = datetime(2024, 1, 8, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
HALF, REDUCE = Override(OverrideKind.FRACTION, 0.5, "careful"), Override(OverrideKind.REDUCE_ONLY, 1.0, "more careful")


def test_who_locked_an_instrument_and_who_lifted_that_is_known_for_ever(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        books.lock_instrument(tx, "GOLD", "person", now=NOW, why="storm", who="ann")
        books.lock_instrument(tx, "CORN", "prices", now=NOW, why="stale")
    with ledger.begin() as tx:
        assert books.unlock_instrument(tx, "GOLD", "person", now=LATER, why="calm", who="bob")
        assert not books.unlock_instrument(tx, "GOLD", "person", now=LATER, why="calm", who="eve")
        books.lock_instrument(tx, "GOLD", "person", now=LATER, why="storm", who="eve")
        first, second = control_history(tx, Control.LOCK, instrument="GOLD")
        assert (first["who"], first["why"], first["recorded_at"]) == ("ann", "storm", NOW)
        assert (first["ended_by"], first["ended_why"], first["ended_at"]) == ("bob", "calm", LATER)
        assert (second["who"], second["ended_at"], second["since"]) == ("eve", None, LATER)
        assert [row["instrument"] for row in control_history(tx, Control.LOCK, in_force=True)] == ["CORN", "GOLD"]
        assert books.instruments_locked_by(tx, "person") == ["GOLD"]
        assert books.ledger_problems(tx) == []


def test_a_lock_with_a_new_reason_is_another_fact_of_the_same_lock(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert books.lock_instrument(tx, "GOLD", "prices", now=NOW, why="spike")
        assert not books.lock_instrument(tx, "GOLD", "prices", now=LATER, why="no bars")
        assert not books.lock_instrument(tx, "GOLD", "prices", now=LATER, why="no bars")
        former, present = control_history(tx, Control.LOCK)
        assert (former["why"], former["ended_why"], former["ended_at"]) == ("spike", "changed: no bars", LATER)
        assert (present["why"], present["recorded_at"], present["since"]) == ("no bars", LATER, NOW)
        assert books.locked_instruments(tx) == {"GOLD": "prices: no bars"}


def test_a_changed_override_ends_and_another_begins(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        books.set_override(tx, "trend", "GOLD", override=HALF, now=NOW, who="ann")
        books.set_override(tx, "trend", "GOLD", override=HALF, now=LATER, who="bob")
        books.set_override(tx, "trend", "GOLD", override=REDUCE, now=LATER, who="bob")
        former, present = control_history(tx, Control.OVERRIDE, instrument="GOLD")
        assert (former["fraction"], former["who"], former["ended_by"]) == (0.5, "ann", "bob")
        assert (present["kind"], present["ended_at"]) == ("reduce_only", None)
        assert books.override_for(tx, "trend", "GOLD") == REDUCE
        assert books.clear_override(tx, "trend", "GOLD", now=LATER, who="cyd", why="over")
        assert not books.clear_override(tx, "trend", "GOLD", now=LATER, who="cyd", why="over")
        assert books.override_for(tx, "trend", "GOLD") == Override()
        assert control_history(tx, Control.OVERRIDE)[-1]["ended_by"] == "cyd"


def test_an_override_of_every_instrument_is_in_the_history_of_each(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        books.set_override(tx, "trend", books.ANY, override=HALF, now=NOW, who="ann")
        books.set_override(tx, books.ANY, "CORN", override=HALF, now=NOW, who="ann")
        assert [row["strategy"] for row in control_history(tx, Control.OVERRIDE, instrument="GOLD")] == ["trend"]


def test_limits_that_are_changed_and_removed_are_kept(ledger: Ledger) -> None:
    position, trade = {"who": "ann", "why": "small"}, {"days": 5, "who": "ann", "why": "small"}
    with ledger.begin() as tx:
        for contracts in (4, 4, 6, None, None):
            books.set_position_limit(tx, books.ANY, "GOLD", contracts=contracts, now=NOW, **position)
            books.set_trade_limit(tx, books.ANY, "GOLD", contracts=contracts, now=NOW, **trade)  # type: ignore[arg-type]
        assert books.position_limit(tx, books.ANY, "GOLD") is None
        assert books.tradeable_now(tx, "A", "trend", instrument="GOLD", now=NOW) is None
        for control in (Control.POSITION_LIMIT, Control.TRADE_LIMIT):
            rows = control_history(tx, control)
            assert [(row["contracts"], row["ended_why"]) for row in rows] == [(4, "changed: small"), (6, "small")]
        with pytest.raises(StateError, match="-1 contracts makes no sense"):
            books.set_position_limit(tx, books.ANY, "GOLD", contracts=-1, now=NOW, **position)
        with pytest.raises(StateError, match="in 0 days makes no sense"):
            books.set_trade_limit(tx, books.ANY, "GOLD", days=0, contracts=None, now=NOW, **position)


def test_who_stopped_trading_and_who_allowed_it_again_is_known(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        books.stop_trading(tx, NOW, "ann", why="storm")
        books.stop_trading(tx, NOW, "eve", why="me too")
        assert books.lift_stop(tx, LATER, "bob", why="calm")
        assert not books.lift_stop(tx, LATER, "bob", why="calm")
        (row,) = control_history(tx, Control.STOP)
        assert (row["who"], row["why"], row["ended_by"], row["ended_why"], row["ended_at"]) == (
            "ann",
            "storm",
            "bob",
            "calm",
            LATER,
        )


IN_FORCE = {
    "trading_stops": "insert into trading_stops (scope, who, why, recorded_at, hash) values ('', 'x', 'x', '2024-01-08 12:00:00', 'h')",
    "locks": "insert into locks (instrument, owner, who, why, recorded_at, hash) values ('GOLD', 'person', 'x', 'x', '2024-01-08 12:00:00', 'h')",
    "overrides": "insert into overrides (strategy, instrument, kind, fraction, who, why, recorded_at, hash) "
    "values ('', 'GOLD', 'fraction', 0.5, 'x', 'x', '2024-01-08 12:00:00', 'h')",
    "position_limits": "insert into position_limits (strategy, instrument, contracts, who, why, recorded_at, hash) "
    "values ('', 'GOLD', 3, 'x', 'x', '2024-01-08 12:00:00', 'h')",
    "trade_limits": "insert into trade_limits (strategy, instrument, days, contracts, who, why, recorded_at, hash) "
    "values ('', 'GOLD', 1, 3, 'x', 'x', '2024-01-08 12:00:00', 'h')",
}
"""A control of each kind."""


@pytest.mark.parametrize("table", IN_FORCE)
def test_the_database_itself_refuses_a_second_one_in_force(ledger: Ledger, table: str) -> None:
    with ledger.begin() as tx:
        tx.execute(text(IN_FORCE[table]))
        tx.execute(text(f"update {table} set ended_at = recorded_at, ended_by = 'x', ended_why = 'x'"))
        tx.execute(text(IN_FORCE[table]))
    with pytest.raises(IntegrityError), ledger.begin() as tx:
        tx.execute(text(IN_FORCE[table]))


@pytest.mark.parametrize("table", IN_FORCE)
def test_the_check_finds_two_in_force_and_an_end_without_a_name(ledger: Ledger, table: str) -> None:
    with ledger.begin() as tx:
        tx.execute(text(f"drop index uq_{table}_in_force"))
        for _ in range(3):
            tx.execute(text(IN_FORCE[table]))
        tx.execute(text(f"update {table} set ended_at = recorded_at where id = 3"))
        words = table.replace("_", " ")
        nameless, twice, *_ = books.ledger_problems(tx)
        assert nameless == f"{words}: row 3 has an end without a name, or a name without an end"
        assert twice.startswith(f"{words}: 2 rows are in force at once for ")


def migrated(connection: Connection) -> Config:
    """How Alembic reaches the database of this connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


LIFTED = (
    "insert into trading_stops (who, why, recorded_at, lifted_at, lifted_by) "
    "values ('ann', 'storm', '2023-03-01 08:00:00', '2023-03-02 09:30:00', 'bob')"
)


def old_ledger(url: str) -> None:
    """A ledger of revision 0002 with a control of each kind in force, and a stop that was lifted."""
    engine = create_sql_engine(url)
    with engine.begin() as connection:
        command.upgrade(migrated(connection), "0002")
        for statement in (LIFTED, *IN_FORCE.values()):
            in_columns_of_then = statement.replace("(scope, ", "(").replace("values ('', 'x', 'x'", "values ('x', 'x'")
            connection.execute(text(in_columns_of_then.replace(", hash)", ")").replace(", 'h')", ")")))
    engine.dispose()


def test_a_ledger_with_controls_is_upgraded_and_they_stay_in_force(new_database: Callable[[], str]) -> None:
    url = new_database()
    old_ledger(url)
    ledger = Ledger.open(url)
    with ledger.begin() as tx:
        stop = books.active_stop(tx)
        assert stop is not None and (stop.since, stop.who, stop.why) == (NOW, "x", "x")
        assert books.locked_instruments(tx) == {"GOLD": "person: x"}
        assert books.override_for(tx, "trend", "GOLD") == Override(OverrideKind.FRACTION, 0.5, "x")
        assert books.position_limit(tx, books.ANY, "GOLD") == 3
        assert books.tradeable_now(tx, "A", "trend", instrument="GOLD", now=NOW) == 3
        for control in Control:
            row: dict[str, Any] = control_history(tx, control)[-1]
            assert (row["recorded_at"], row["who"], row["ended_at"], row["ended_by"]) == (NOW, "x", None, None)
        lifted = control_history(tx, Control.STOP)[0]
        assert (lifted["who"], lifted["ended_by"], lifted["ended_why"]) == ("ann", "bob", None)
        assert lifted["ended_at"] == datetime(2023, 3, 2, 9, 30, tzinfo=UTC)
        assert books.ledger_problems(tx) == []
    with ledger.begin() as tx:
        assert books.unlock_instrument(tx, "GOLD", "person", now=LATER, why="calm", who="bob")
        books.lock_instrument(tx, "GOLD", "person", now=LATER, why="storm", who="bob")
        assert [row["id"] for row in control_history(tx, Control.LOCK)] == [1, 2]
    ledger.close()


def test_an_upgrade_that_is_interrupted_leaves_the_old_ledger(new_database: Callable[[], str]) -> None:
    url = new_database()
    old_ledger(url)
    engine = create_sql_engine(url)
    with pytest.raises(KeyboardInterrupt), engine.begin() as connection:
        command.upgrade(migrated(connection), "0003")
        raise KeyboardInterrupt
    with engine.connect() as connection:
        assert connection.execute(text("select version_num from alembic_version")).scalar_one() == "0002"
        assert connection.execute(text("select lifted_by from trading_stops order by id")).scalars().all() == ["bob", None]
        assert connection.execute(text("select count(*) from locks")).scalar_one() == 1
    engine.dispose()
    Ledger.open(url).close()
