"""What is executed is executed alike over a ledger in SQLite and in PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import move_ledger
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home


@pytest.fixture(params=["sqlite", "postgresql"])
def trading_desk(request: pytest.FixtureRequest, seeded_home: Path, tmp_path: Path) -> Iterator[Desk]:
    """A desk with prices, positions and fresh orders on its stack, just before the stack handler begins, with its ledger in either database."""
    home = tmp_path / "home"
    shutil.copytree(seeded_home, home)
    if request.param == "postgresql":
        move_ledger(home, request.getfixturevalue("new_postgres_database")())
    desk = Desk(Home.open(home))
    yield desk
    desk.close()
