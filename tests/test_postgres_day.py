"""A desk whose ledger is in PostgreSQL trades as one whose ledger is in SQLite."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import make_home
from tests.frames import table_of
from tradeflow_core import business_day as day
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.ledger import fills, instrument_orders, positions_by_contract, positions_by_strategy
from tradeflow_core.reports import check_desk


def traded(desk: Desk) -> dict[str, Any]:
    """What a desk did on its first day, without what is drawn at random (references, the ids of fills)."""
    today = desk.business_day()
    day.run_day(desk, today)
    assert check_desk(desk) == []
    with desk.ledger.read() as view:
        orders, booked = table_of(view, instrument_orders), table_of(view, fills)
        found: dict[str, Any] = {
            "orders": orders.drop(columns=["id"]).to_dict("records"),
            "fills": booked[["instrument", "contract", "quantity", "price", "time", "commission"]].to_dict("records"),
            "contracts": positions_by_contract(view, desk.account),
            "strategies": positions_by_strategy(view, desk.account),
        }
    desk.close()
    assert found["fills"] and found["strategies"]
    return found


@pytest.mark.slow
def test_a_whole_day_is_the_same(
    seeded_home: Path, tmp_path: Path, new_postgres_database: Callable[[], str], *, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(seeded_home, tmp_path / "sqlite")
    in_sqlite = traded(Desk(Home.open(tmp_path / "sqlite")))
    monkeypatch.setenv("TRADEFLOW_DATABASE", new_postgres_database())
    desk = Desk(make_home(tmp_path / "postgresql"))
    assert desk.ledger.engine.dialect.name == "postgresql"
    in_postgres = traded(desk)
    assert not (tmp_path / "postgresql" / "ledger.sqlite").exists()
    for name, theirs in in_sqlite.items():
        ours = in_postgres[name]
        if isinstance(theirs, list):
            pd.testing.assert_frame_equal(pd.DataFrame(ours), pd.DataFrame(theirs), obj=name)
        else:
            assert ours == theirs
