"""A desk that moves over takes a tape as its own history."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from tests.frames import contracts_of
from tests.replay.folders import CODES, write_folder
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import Home
from tradeflow_core.importers import import_pysystemtrade
from tradeflow_core.ledger import ledger_problems, roll_events_of
from tradeflow_core.prices import contract_prices, stored_fx
from tradeflow_core.replay import adopt
from tradeflow_core.replay.adopt import MARKER_FILE
from tradeflow_core.series import back_adjust, build_from_events
from tradeflow_core.store import Tape

NOW = datetime(2023, 9, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("folder"))


@pytest.fixture(scope="module")
def tape(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Tape:
    path = tmp_path_factory.mktemp("tapes") / "moved"
    import_pysystemtrade(folder, path)
    return Tape.open(path)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.create(tmp_path / "home", {"market": "simulated", "time_zone": "Europe/London"}, NOW)


def test_a_home_that_adopts_a_tape_has_its_adjusted_prices_rates_contracts_and_instruments(home, tape, folder):
    moved = adopt(home, tape)
    desk = Desk(moved)
    assert set(CODES) <= set(moved.instruments)
    assert stored_fx(desk)["EURUSD"].equals(tape.fx("EUR"))
    with desk.ledger.read() as view:
        events = {code: roll_events_of(view, code) for code in CODES}
        assert ledger_problems(view) == []
        assert sorted(contracts_of(view, "BETA").index) == tape.contracts("BETA")
    for code in CODES:
        original = pd.read_csv(folder / "multiple_prices_csv" / f"{code}.csv", index_col=0, parse_dates=True)
        adjusted = back_adjust(build_from_events(contract_prices(desk, code), events[code]))
        assert (adjusted.to_numpy() == back_adjust(original).to_numpy()).all()
    desk.close()


def test_a_home_with_history_is_refused(home, tape):
    moved = adopt(home, tape)
    with pytest.raises(StateError, match="has price history already"):
        adopt(moved, tape)


def test_a_home_with_tables_of_its_own_is_refused(home, tape):
    (home.path / "config" / "spreadcosts.csv").write_text("Instrument,SpreadCost\nCORN,1\n")
    with pytest.raises(ConfigError, match=r"spreadcosts.csv"):
        adopt(home, tape)
    assert not (home.path / MARKER_FILE).exists()


def test_an_interrupted_adoption_goes_on_with_the_same_tape_only(home, tape, tmp_path, *, folder):
    desk = Desk(home)
    desk.store.write("contract_prices", "ALPHA", tape.bars("ALPHA"))
    (home.path / MARKER_FILE).write_text(str(tape.path))
    import_pysystemtrade(folder, tmp_path / "other", instruments=["ALPHA"])
    with pytest.raises(StateError, match="has begun to adopt"):
        adopt(home, Tape.open(tmp_path / "other"))
    adopt(home, tape)
    assert sorted(desk.store.names("contract_prices")) == list(CODES)
    assert not (home.path / MARKER_FILE).exists()
    desk.close()
