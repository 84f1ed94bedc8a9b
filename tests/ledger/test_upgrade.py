"""A ledger of the version before shares and allocations is upgraded with everything in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, select, text

from tradeflow_core import ledger as books
from tradeflow_core.home import BACKUPS, SETTINGS_FILE
from tradeflow_core.ledger import Ledger
from tradeflow_core.ledger.migrate import MIGRATIONS
from tradeflow_core.ledger.schema import allocations, identity, order_events
from tradeflow_core.model import ROLLS, Fill
from tradeflow_core.store import create_sql_engine

AT = "2024-01-08 12:00:00.250000"
NOW = datetime(2024, 1, 9, tzinfo=UTC)

ROWS = f"""
insert into instrument_orders (id, strategy, instrument, quantity, filled, order_type, status, day, reference_price, created_at, closed_at)
    values (1, 'trend', 'GOLD', 5, 3, 'best', 'cancelled', '2024-01-08', 100.25, '{AT}', '{AT}'),
           (2, '_rolls', 'CORN', 0, 0, 'roll', 'completed', '2024-01-08', null, '{AT}', '{AT}'),
           (3, 'carry', 'GOLD', -1, 0, 'best', 'open', '2024-01-08', 100, '{AT}', null);
insert into contract_orders (id, instrument_order_id, instrument, order_type, status, reference_price, created_at, closed_at)
    values (1, 1, 'GOLD', 'best', 'cancelled', 100.25, '{AT}', '{AT}'), (2, 2, 'CORN', 'market', 'completed', null, '{AT}', '{AT}');
insert into contract_order_legs (contract_order_id, leg, contract, quantity, filled)
    values (1, 0, 20240300, 5, 3), (2, 0, 20240300, -2, -2), (2, 1, 20240500, 2, 2);
insert into broker_orders (id, contract_order_id, client_ref, account, instrument, order_type, status, broker_id, bid, ask, reason,
                           created_at, sent_at, closed_at)
    values (1, 1, 'tf-1', 'A', 'GOLD', 'market', 'cancelled', 'b1', 100.1, 100.2, 'end of day', '{AT}', '{AT}', '{AT}'),
           (2, 2, 'tf-2', 'A', 'CORN', 'market', 'filled', 'b2', 4.5, 4.75, '', '{AT}', '{AT}', '{AT}');
insert into broker_order_legs (broker_order_id, leg, contract, quantity, filled)
    values (1, 0, 20240300, 5, 3), (2, 0, 20240300, -2, -2), (2, 1, 20240500, 2, 2);
insert into fills (id, exec_id, broker_order_id, leg, account, strategy, instrument, contract, quantity, price, time, commission, currency,
                   recorded_at)
    values (1, 'e1', 1, 0, 'A', 'trend', 'GOLD', 20240300, 1, 100.3, '{AT}', '1.25', 'USD', '{AT}'),
           (2, 'e2', 1, 0, 'A', 'trend', 'GOLD', 20240300, 2, 101, '{AT}', null, 'USD', '{AT}'),
           (3, 'e3', 2, 0, 'A', '_rolls', 'CORN', 20240300, -2, 4.5, '{AT}', '2', 'USD', '{AT}'),
           (4, 'e4', 2, 1, 'A', '_rolls', 'CORN', 20240500, 2, 4.75, '{AT}', '2', 'USD', '{AT}');
insert into contract_positions (account, instrument, contract, quantity)
    values ('A', 'GOLD', 20240300, 3), ('A', 'CORN', 20240300, -2), ('A', 'CORN', 20240500, 2);
insert into strategy_positions (strategy, instrument, quantity) values ('trend', 'GOLD', 3), ('_rolls', 'CORN', 0);
insert into locks (instrument, owner, who, why, recorded_at, ended_at, ended_by, ended_why)
    values ('GOLD', 'person', 'me', 'storm', '{AT}', '{AT}', 'me', 'calm'), ('CORN', 'person', 'me', 'storm', '{AT}', null, null, null);
insert into account_values (account, time, currency, net_liquidation, excess_liquidity, fx_to_base)
    values ('A', '{AT}', 'USD', '1000000.10', '900000', 1);
insert into price_marks (instrument, contract, time, price, source, who, why, recorded_at)
    values ('GOLD', 20240300, '{AT}', 100, 'manual', 'me', 'typo', '{AT}'), ('GOLD', 20240300, '{AT}', null, 'manual', 'me', 'no', '{AT}')
"""


def make_old(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "0004")
    for statement in ROWS.split(";\n"):
        connection.execute(text(statement))
    if connection.dialect.name == "postgresql":
        for table in ("instrument_orders", "contract_orders", "broker_orders", "fills"):
            connection.execute(text(f"select setval(pg_get_serial_sequence('{table}', 'id'), (select max(id) from {table}))"))


@pytest.fixture
def upgraded(new_database: Callable[[], str]) -> Ledger:
    url = new_database()
    engine = create_sql_engine(url)
    with engine.begin() as connection:
        make_old(connection)
    engine.dispose()
    return Ledger.open(url)


def test_everything_is_there_and_holds(upgraded: Ledger) -> None:
    with upgraded.read() as view:
        assert books.ledger_problems(view) == []
        assert books.positions_by_strategy(view, "A") == {("trend", "GOLD"): 3}
        assert books.positions_by_contract(view, "A") == {("GOLD", 20240300): 3, ("CORN", 20240300): -2, ("CORN", 20240500): 2}
        (waiting,) = books.open_instrument_orders(view, "A")
        assert (waiting.strategy, waiting.quantity, waiting.account) == ("carry", -1, "A")
        whose = view.execute(select(allocations.c.strategy, allocations.c.instrument_order_id).order_by(allocations.c.id)).all()
        assert [tuple(row) for row in whose] == [("trend", 1), ("trend", 1), (ROLLS, 2), (ROLLS, 2)]
        assert books.locked_instruments(view) == {"CORN": "person: storm"}
        events = view.execute(select(order_events.c.level, order_events.c.order_id, order_events.c.after)).all()
        assert ("broker", 1, "cancelled") in [tuple(row) for row in events] and len(events) == 7
        assert len(view.execute(select(identity.c.id)).scalar_one()) == 32
    upgraded.close()


def test_what_it_was_before_is_kept_in_the_home_and_a_person_is_told(new_database: Callable[[], str], tmp_path: Path) -> None:
    url, told = new_database(), list[str]()
    engine = create_sql_engine(url)
    with engine.begin() as connection:
        make_old(connection)
    engine.dispose()
    (tmp_path / SETTINGS_FILE).write_text("account = 'A'")
    Ledger.open(url, home=tmp_path, tell=lambda subject, message: told.append(message)).close()
    (copy,) = (tmp_path / BACKUPS).glob("before-upgrade-0004-*.sqlite")
    assert copy.with_suffix(".toml").read_text() == "account = 'A'"
    assert any(str(copy) in message for message in told)
    old = create_sql_engine(f"sqlite:///{copy}")
    with old.connect() as view:
        assert view.execute(text("select version_num from alembic_version")).scalar_one() == "0004"
        assert view.execute(text("select exec_id from fills order by id")).scalars().all() == ["e1", "e2", "e3", "e4"]
    old.dispose()


def test_it_goes_on(upgraded: Ledger) -> None:
    with upgraded.begin() as tx:
        late = Fill("e5", "tf-1", "A", "GOLD", 20240300, 1, 100.5, NOW, Decimal(1), "USD")
        told = Fill("e2", "tf-1", "A", "GOLD", 20240300, 2, 101, NOW, Decimal("2.5"), "USD")
        voided = Fill("e6", "tf-1", "A", "GOLD", 20240300, 0, 0, NOW, None, "USD", replaces="e1")
        assert books.book_fill(tx, late, NOW) and not books.book_fill(tx, told, NOW) and books.book_fill(tx, voided, NOW)
        assert books.positions_by_strategy(tx, "A") == {("trend", "GOLD"): 3}
        assert books.unlock_instrument(tx, "CORN", "person", now=NOW, why="calm")
        assert books.ledger_problems(tx) == []
    upgraded.close()


def test_each_ledger_gets_an_identity_of_its_own(new_database: Callable[[], str]) -> None:
    names = set()
    for _ in range(2):
        ledger = Ledger.open(new_database())
        with ledger.read() as view:
            names.add(view.execute(select(identity.c.id)).scalar_one())
        ledger.close()
    assert len(names) == 2
