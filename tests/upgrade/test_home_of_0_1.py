"""A home that version 0.1 made and traded in is upgraded by the first command, keeps its history, and goes on as if nothing had happened.

`home_of_0_1.tar.xz` is such a home after four business days, with its paths written for `/home/desk/var`; `fills_of_the_next_two_days.json`
is what version 0.1 itself traded after that.
"""

from __future__ import annotations

import json
import tarfile
import tomllib
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import yaml

from tests.commands import answer, run
from tradeflow_assets.instance import write_dagster_home
from tradeflow_assets.runner import execute_job
from tradeflow_core import instruments
from tradeflow_core.business_day import days_to_run, run_day, run_job
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError
from tradeflow_core.home import SETTINGS_FILE, Home
from tradeflow_core.home.upgrades import FORMER_DATA, HOME_VERSION
from tradeflow_core.parquet import ParquetFiles
from tradeflow_core.reports import check_desk
from tradeflow_core.store import Store

HERE = Path(__file__).parent
BEFORE = 59
"""Fills of the first four days."""
FILLS = (
    "select a.account, strategy, a.instrument, a.contract, a.quantity, a.price, a.time, commission, currency, exec_id "
    "from allocations a join fills f on f.id = a.fill_id order by a.id"
)


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    """The home of version 0.1, unpacked where its files say it is."""
    path = tmp_path / "var"
    with tarfile.open(HERE / "home_of_0_1.tar.xz") as archive:
        archive.extractall(path, filter="data")
    dagster = path / "dagster" / "dagster.yaml"
    dagster.write_text(dagster.read_text().replace("/home/desk/var", str(path)))
    return path


def test_the_first_command_upgrades_it_and_its_history_is_there(old_home: Path) -> None:
    settings = (old_home / SETTINGS_FILE).read_text()
    assert "home_version" not in settings and (old_home / "data" / "instrument_orders").exists()
    status = answer(old_home, "status")
    assert status["last_done_day"] == "2024-01-11"
    assert {row["instrument"]: row["position"] for row in status["positions"]} == {
        "CORN": -301,
        "EUROSTX": -98,
        "GOLD_micro": -267,
        "US10": -9,
    }
    assert {row["instrument"]: row["last_decision"] for row in status["positions"]}["US10"] == "trade to the buffer edge"
    assert tomllib.loads((old_home / SETTINGS_FILE).read_text()) == {"home_version": HOME_VERSION, **tomllib.loads(settings)}
    assert (old_home / "data" / "order_decisions").exists() and not (old_home / "data" / "instrument_orders").exists()
    assert len(answer(old_home, "sql", FILLS)) == BEFORE
    assert len(answer(old_home, "sql", "select * from instrument_orders")) == 10, "the ledger's table is no longer hidden"
    assert answer(old_home, "check") == {"problems": []}


def without_half_days(home: Path) -> None:
    """Version 0.1 knew none: on 15 January 2024 Chicago closes at noon."""
    header, *lines = (Path(instruments.__file__).parent / "tables" / "sessions.csv").read_text().splitlines()
    rows = [header, *(f"{line.rpartition(',')[0]},none" for line in lines)]
    (home / "config" / "sessions.csv").write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize("execute", [run_job, execute_job], ids=["directly", "through Dagster"])
def test_it_goes_on_trading_exactly_as_the_old_version_would_have(old_home: Path, execute: object) -> None:
    without_half_days(old_home)
    desk = Desk(Home.open(old_home))
    for day in days_to_run(desk, 2):
        run_day(desk, day, execute)  # type: ignore[arg-type]
    assert check_desk(desk) == []
    desk.close()
    expected = json.loads((HERE / "fills_of_the_next_two_days.json").read_text())
    traded = answer(old_home, "sql", FILLS)[BEFORE:]
    pd.testing.assert_frame_equal(pd.DataFrame(traded), pd.DataFrame(expected))


def test_comments_of_its_settings_stay(old_home: Path) -> None:
    file = old_home / SETTINGS_FILE
    file.write_text("# my desk\n" + file.read_text() + "# not too much\n")
    Home.open(old_home)
    assert "# my desk" in file.read_text() and file.read_text().endswith("# not too much\n")
    assert Home.open(old_home).settings.home_version == HOME_VERSION


@pytest.mark.parametrize("moved", [0.0, 0.5, 1.0], ids=["nothing", "half", "everything"])
def test_an_interrupted_upgrade_is_done_again(old_home: Path, moved: float) -> None:
    before, after = old_home / "data" / "instrument_orders", old_home / "data" / "order_decisions"
    files = sorted(file.relative_to(before) for file in before.rglob("*.parquet"))
    for file in files[: round(moved * len(files))]:
        (after / file).parent.mkdir(parents=True, exist_ok=True)
        (before / file).rename(after / file)
    assert Home.open(old_home).settings.universe == ("CORN", "EUROSTX", "GOLD_micro", "US10")
    assert sorted(file.relative_to(after) for file in after.rglob("*.parquet")) == files and not before.exists()
    assert f"home_version = {HOME_VERSION}" in (old_home / SETTINGS_FILE).read_text()


@pytest.mark.parametrize("interrupted", [False, True])
def test_bars_and_rates_get_checksums_and_files_of_months_and_their_former_files_are_kept(
    old_home: Path, interrupted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradeflow_core.parquet.months.FILE_ROWS", 500)
    data = old_home / "data"
    files = [file.relative_to(data) for dataset in ("contract_prices", "spot_fx") for file in (data / dataset).rglob("*.parquet")]
    former = {file: (data / file).read_bytes() for file in files}
    store = Store(str(data))
    bars = {name: store.read("contract_prices", name) for name in store.names("contract_prices")}
    if interrupted:
        written: list[str] = []
        write = ParquetFiles.write

        def killed(self: ParquetFiles, dataset: str, name: str, table: pa.Table, *, sync: bool) -> None:
            if len(written) == 3:
                raise OSError("the machine is switched off")
            written.append(name)
            write(self, dataset, name, table, sync=sync)

        with monkeypatch.context() as patch:
            patch.setattr(ParquetFiles, "write", killed)
            with pytest.raises(ConfigError, match="cannot be upgraded"):
                Home.open(old_home)
    Home.open(old_home)
    store = Store(str(data))
    for name, frame in bars.items():
        pd.testing.assert_frame_equal(store.read("contract_prices", name), frame)
        assert len(store.places("contract_prices", name)) > 2
        assert store.damage("contract_prices", name) == {}
    assert {file: (old_home / "backups" / FORMER_DATA / file).read_bytes() for file in files} == former
    assert answer(old_home, "check") == {"problems": []}


def test_a_damaged_file_does_not_stop_the_upgrade(old_home: Path) -> None:
    file = old_home / "data" / "contract_prices" / "CORN.parquet"
    file.write_bytes(b"garbage")
    Home.open(old_home)
    assert file.read_bytes() == b"garbage"
    assert "CORN.parquet is not a readable" in run(old_home, "check").output


def test_its_dagster_settings_stay_as_they_are(old_home: Path) -> None:
    file = old_home / "dagster" / "dagster.yaml"
    before = yaml.safe_load(file.read_text())
    write_dagster_home(Home.open(old_home))
    assert yaml.safe_load(file.read_text()) == before
