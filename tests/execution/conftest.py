"""What is executed is executed alike over a ledger in SQLite and in PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradeflow_core.desk import Desk
from tradeflow_core.home import SETTINGS_FILE, Home
from tradeflow_core.ledger.copies import fill_database
from tradeflow_core.store import create_sql_engine


@pytest.fixture(params=["sqlite", "postgresql"])
def trading_desk(request: pytest.FixtureRequest, seeded_home: Path, tmp_path: Path) -> Iterator[Desk]:
    """A desk with prices, positions and fresh orders on its stack, just before the stack handler begins, with its ledger in either database."""
    home = tmp_path / "home"
    shutil.copytree(seeded_home, home)
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgres_database")()
        engine = create_sql_engine(url)
        fill_database(home / "ledger.sqlite", engine)
        engine.dispose()
        (home / "ledger.sqlite").unlink()
        settings = home / SETTINGS_FILE
        settings.write_text(f'database = "{url}"\n{settings.read_text(encoding="utf-8")}', encoding="utf-8")
    desk = Desk(Home.open(home))
    yield desk
    desk.close()
