"""`tradeflow prices repair`: the remedy that the errors name works; what the broker has no more comes from a backup, or is named as lost."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.commands import answer, run, said
from tests.damage import WAYS
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.ledger import locked_instruments
from tradeflow_core.prices import KEY, update_instrument, update_rates
from tradeflow_core.store import Store

CODE = "GOLD_micro"
PLACES = {
    "contract_prices/GOLD_micro": CODE,
    "contract_prices/recent/GOLD_micro": CODE,
    "multiple_prices/GOLD_micro": CODE,
    "adjusted_prices/GOLD_micro": CODE,
    "spot_fx/EURUSD": "EURUSD",
}
"""Files that a repair brings back, and the word by which they are named."""


@pytest.fixture
def desk(trading_desk: Desk) -> Iterator[Desk]:
    """A desk that has prices of two days, so that there are new bars apart from old ones."""
    desk = trading_desk
    desk.clock.advance_to(desk.home.at(desk.today().replace(day=desk.today().day + 1), desk.settings.day.start))
    update_instrument(desk, CODE)
    update_rates(desk)
    yield desk


def stored(desk: Desk) -> dict[str, pd.DataFrame]:
    """All prices of the instrument, and the rates."""
    frames = {name: desk.store.read(name, CODE) for name in ("contract_prices", "multiple_prices", "adjusted_prices")}
    return frames | {"spot_fx": desk.store.read("spot_fx", "EURUSD")}


def remedy(home: Path) -> list[str]:
    """The command that `tradeflow check` names for the only problem, as its words."""
    (problem,) = json.loads(run(home, "check", "--json").stdout)["problems"]
    (command,) = re.findall(r"`tradeflow ([^`]*)`", problem)
    return shlex.split(command)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", PLACES)
def test_the_remedy_that_an_error_names_brings_everything_back(desk: Desk, place: str, way: str) -> None:
    home, before = desk.home.path, stored(desk)
    file = home / "data" / f"{place}.parquet"
    WAYS[way](file)
    update_rates(desk)
    command = remedy(home)
    assert command == ["prices", "repair", PLACES[place], "--why", "..."]
    result = run(home, *command)
    assert result.exit_code == 0, result.output
    assert json.loads(run(home, "check", "--json").stdout)["problems"] == []
    after = stored(Desk(Home.open(home)))
    for name, former in before.items():
        got, frame = after[name], former
        if name == "contract_prices":  # the broker may have more bars of contracts that are sampled no more
            got, frame = (bars.astype({"frequency": "str"}) for bars in (got, frame))
            got = frame[KEY].merge(got)
        pd.testing.assert_frame_equal(got, frame, check_freq=False, obj=name)
    with desk.ledger.read() as view:
        assert locked_instruments(view) == {}
    assert list(file.parent.glob("*.damaged-*"))
    assert any(alert["subject"] == f"repaired {PLACES[place]}" for alert in answer(home, "alerts"))


@pytest.mark.parametrize("number", [0, 1, -1])
def test_a_damaged_file_of_months_is_repaired_among_the_others(desk: Desk, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradeflow_core.parquet.months.FILE_ROWS", 500)
    home, before = desk.home.path, desk.store.read("contract_prices", CODE)
    desk.store.write("contract_prices", CODE, before)
    files = [desk.store.path(*place) for place in desk.store.places("contract_prices", CODE)]
    assert len(files) > 4
    WAYS["noise"](Path(str(files[number])))
    assert "is not a readable" in said(run(home, "check"))
    assert run(home, "day", "--dry-run").exit_code == 0
    assert run(home, *remedy(home)).exit_code == 0
    after = Store(desk.home.data_url)
    got = before[KEY].merge(after.read("contract_prices", CODE))
    pd.testing.assert_frame_equal(got, before)
    assert after.damage("contract_prices", CODE) == {}


def test_a_dry_run_says_what_would_come_back_and_changes_nothing(desk: Desk) -> None:
    home = desk.home.path
    WAYS["truncated"](home / "data" / "contract_prices" / f"{CODE}.parquet")
    before = {file: file.read_bytes() for file in (home / "data").rglob("*.parquet")}
    report = answer(home, "prices", "repair", "--dry-run")
    (repair,) = report["repaired"]
    assert not report["done"] and repair["name"] == CODE and repair["from_broker"] > 100 and repair["aside"] == []
    assert {file: file.read_bytes() for file in (home / "data").rglob("*.parquet")} == before


def test_a_repair_needs_a_reason_and_a_name_of_something_that_is_stored(desk: Desk) -> None:
    home = desk.home.path
    assert "needs --why" in said(run(home, "prices", "repair"))
    assert "no prices of 'GOLD' are stored" in said(run(home, "prices", "repair", "GOLD", "--why", "x"))
    assert "nothing to repair" in said(run(home, "prices", "repair", CODE, "--why", "x"))


OLD = pd.Timestamp("2019-03-01 15:00", tz="UTC")
"""When there was a contract of which the broker knows nothing any more."""


@pytest.fixture
def with_old_bars(desk: Desk) -> Desk:
    """The same desk, with bars that the broker has no more."""
    bars = desk.store.read("contract_prices", CODE)
    start = pd.date_range(OLD, periods=50, freq="D").as_unit("us")
    old = bars.head(50).assign(contract=20190600, start=start, end=start + pd.Timedelta(hours=8), FINAL=1300.0)
    desk.store.write("contract_prices", CODE, pd.concat([old, bars], ignore_index=True))
    return desk


def test_bars_that_the_broker_has_no_more_come_from_a_backup(with_old_bars: Desk, tmp_path: Path) -> None:
    desk, home = with_old_bars, with_old_bars.home.path
    before = stored(desk)["contract_prices"]
    assert run(home, "backup", "--to", str(tmp_path / "saved.zip")).exit_code == 0
    WAYS["empty"](home / "data" / "contract_prices" / f"{CODE}.parquet")
    result = run(home, "prices", "repair", CODE, "--from", str(tmp_path / "saved.zip"), "--why", "the disk", "--json")
    assert result.exit_code == 0, result.output
    (repair,) = json.loads(result.stdout)["repaired"]
    assert repair["from_backup"] == len(before) and not repair["not_done"]
    after = stored(Desk(Home.open(home)))["contract_prices"]
    pd.testing.assert_frame_equal(after.head(50), before.head(50))


def test_bars_that_nobody_has_are_named_as_lost(with_old_bars: Desk) -> None:
    home = with_old_bars.home.path
    file = home / "data" / "contract_prices" / f"{CODE}.parquet"
    content = bytearray(file.read_bytes())
    column = pq.read_metadata(file).row_group(0).column(list(pq.read_schema(file).names).index("HIGH"))
    content[column.data_page_offset + 100] ^= 1
    file.write_bytes(content)
    result = run(home, "prices", "repair", CODE, "--why", "the disk")
    assert result.exit_code == 1
    assert re.search(r"not done: 50 of [\d,]+ bars could not be got again; a backup may have them", said(result))
    assert json.loads(run(home, "check", "--json").stdout)["problems"] == []


def test_a_backup_without_these_prices_or_a_damaged_one_is_refused_and_nothing_changes(desk: Desk, tmp_path: Path) -> None:
    home, saved = desk.home.path, tmp_path / "saved.zip"
    assert run(home, "backup", "--without-prices", "--to", str(saved)).exit_code == 0
    file = home / "data" / "contract_prices" / f"{CODE}.parquet"
    WAYS["empty"](file)
    assert "holds no prices of GOLD_micro" in said(run(home, "prices", "repair", CODE, "--from", str(saved), "--why", "x"))
    assert "is no backup of tradeflow" in said(run(home, "prices", "repair", CODE, "--from", str(file), "--why", "x"))
    assert file.stat().st_size == 0
