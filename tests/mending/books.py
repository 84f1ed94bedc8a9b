"""What the tests of mending look up in a ledger, and how they put something wrong into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.frames import table_of
from tradeflow_core import ledger as books
from tradeflow_core.desk import Desk
from tradeflow_core.execution import StackHandler, trading_session
from tradeflow_core.home import SETTINGS_FILE, Home
from tradeflow_core.ledger import positions_by_contract, positions_by_strategy
from tradeflow_core.ledger.schema import broker_orders

WHY = ("--why", "put right")
STRATEGY = "trend_carry"
over_both = pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
"""Over a ledger in SQLite and in PostgreSQL."""


def owners(desk: Desk, instrument: str = "CORN") -> dict[str, int]:
    """Contracts by owner."""
    with desk.ledger.read() as view:
        return {owner: size for (owner, code), size in positions_by_strategy(view, desk.account).items() if code == instrument}


def held(desk: Desk, instrument: str = "CORN") -> int:
    """What the strategy holds."""
    return owners(desk, instrument).get(STRATEGY, 0)


def contract_of(desk: Desk, instrument: str = "CORN") -> int:
    """The contract that is held."""
    with desk.ledger.read() as view:
        return next(contract for code, contract in positions_by_contract(view, desk.account) if code == instrument)


def rows(desk: Desk, table: Any) -> list[dict[str, Any]]:
    """A table of the ledger, row by row."""
    with desk.ledger.read() as view:
        return table_of(view, table).to_dict("records")


def references(desk: Desk, instrument: str = "CORN") -> list[str]:
    """Our references of the broker orders that were sent in an instrument."""
    return [row["client_ref"] for row in rows(desk, broker_orders) if row["instrument"] == instrument]


def work(desk: Desk, passes: int = 1, *, seconds: float = 60) -> None:
    """A stack handler takes the session and works so many passes, with time between them."""
    with trading_session(desk):
        for _ in range(passes):
            StackHandler(desk).step()
            desk.clock.wait(seconds)


def with_settings(path: Path, text: str) -> Path:
    """The home with more settings."""
    file = path / SETTINGS_FILE
    file.write_text(f"{file.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")
    Home.open(path)  # they are right
    return path


def give_to(desk: Desk, taker: str, quantity: int, *, giver: str = STRATEGY) -> None:
    """Contracts of CORN belong to somebody else."""
    with desk.ledger.begin() as tx:
        books.transfer(
            tx,
            account=desk.account,
            instrument="CORN",
            giver=giver,
            taker=taker,
            quantity=quantity,
            price=400.0,
            time=desk.now(),
            now=desk.now(),
            who="x",
            why="x",
        )


def trade_unseen(desk: Desk, quantity: int) -> str:
    """Book contracts of CORN that the broker does not have, so that the two differ; returns the number of the execution."""
    with desk.ledger.begin() as tx:
        return books.book_by_hand(
            tx,
            account=desk.account,
            strategy=STRATEGY,
            instrument="CORN",
            contract=contract_of(desk),
            quantity=quantity,
            price=400.0,
            currency="USD",
            time=desk.now(),
            now=desk.now(),
            who="x",
            why="x",
        )
