"""A pysystemtrade data folder becomes a tape that holds all that the folder held."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import SHARED, needs_shared
from tests.replay.folders import CODES, ROLL, write_folder
from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.errors import ConfigError
from tradeflow_core.importers import InstrumentImport, import_pysystemtrade
from tradeflow_core.importers.pysystemtrade import bar_prices
from tradeflow_core.series import back_adjust, build_from_events
from tradeflow_core.store import Tape

REPO = Path(__file__).resolve().parents[2]
FOLDER = SHARED / "data" / "pysystemtrade_csv"
LABELS = ["PRICE_CONTRACT", "FORWARD_CONTRACT", "CARRY_CONTRACT"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("folder"))


@pytest.fixture
def own_folder(folder: Path, tmp_path: Path) -> Path:
    """A copy that the test may spoil."""
    return Path(shutil.copytree(folder, tmp_path / "folder"))


def multiple_csv(folder: Path, code: str) -> pd.DataFrame:
    return pd.read_csv(folder / "multiple_prices_csv" / f"{code}.csv", index_col=0, parse_dates=True)


def rebuilt(tape: Tape, code: str) -> pd.DataFrame:
    """Multiple prices out of the tape alone, at London times."""
    frame = build_from_events(bar_prices(tape.bars(code)), tape.roll_events(code))
    return frame.set_axis(pd.DatetimeIndex(frame.index).tz_convert("Europe/London").tz_localize(None), axis=0)


# --- what comes out ------------------------------------------------------------------------------------------------------


def test_bars_and_roll_events_give_the_multiple_prices_back(folder, tmp_path):
    report = import_pysystemtrade(folder, tmp_path / "tape")
    tape = Tape.open(tmp_path / "tape")
    assert tape.codes == list(CODES)
    assert (tape.zone, report.proven, report.exceptions) == ("Europe/London", True, {})
    for code in CODES:
        original = multiple_csv(folder, code)
        pd.testing.assert_frame_equal(
            rebuilt(tape, code),
            original[["PRICE", "FORWARD", "CARRY", *LABELS]],
            check_names=False,
            check_freq=False,
            check_index_type=False,
        )


def test_a_close_is_a_daily_bar_and_another_stamp_the_start_of_an_hour(folder, tmp_path):
    import_pysystemtrade(folder, tmp_path / "tape", instruments=["ALPHA"])
    bars = Tape.open(tmp_path / "tape").bars("ALPHA")
    assert list(bars.columns) == BAR_COLUMNS
    assert bars["end"].is_monotonic_increasing
    daily, hourly = bars[bars["frequency"] == "D"], bars[bars["frequency"] == "H"]
    for stamp, hour in ((daily["end"], 23), (daily["start"], 0)):
        assert (stamp.dt.tz_convert("Europe/London").dt.hour == hour).all()
    assert (hourly["end"] - hourly["start"] == pd.Timedelta(hours=1)).all()
    assert set(hourly["start"].dt.tz_convert("Europe/London").dt.hour) == set(range(9, 17))
    assert bars["VOLUME"].isna().all()
    assert all((bars[name] == bars["FINAL"]).all() for name in ("OPEN", "HIGH", "LOW"))


def test_a_stamp_with_seconds_is_a_mark_without_length(own_folder, tmp_path):
    path = own_folder / "multiple_prices_csv" / "ALPHA.csv"
    lines = path.read_text().splitlines()
    lines.append(lines[-1].replace("23:00:00", "23:00:01"))
    path.write_text("\n".join(lines) + "\n")
    report = import_pysystemtrade(own_folder, tmp_path / "tape", instruments=["ALPHA"])
    last = Tape.open(tmp_path / "tape").bars("ALPHA").iloc[-1]
    assert last["start"] == last["end"] == pd.Timestamp("2023-08-31 23:00:01", tz="Europe/London")
    assert (last["frequency"], report.instruments[0].marks, report.proven) == ("H", 2, True)


def test_a_roll_is_an_event_after_the_last_moment_of_the_old_contract(folder, tmp_path):
    import_pysystemtrade(folder, tmp_path / "tape")
    events = Tape.open(tmp_path / "tape").roll_events("BETA")
    roll = events.iloc[-1]
    assert events["after"].isna().tolist() == [True] + [False] * (len(events) - 1)
    assert roll["after"] == pd.Timestamp(ROLL, tz="Europe/London")
    assert (roll["price_contract"], roll["forward_contract"], roll["reason"]) == (20231100, 20240200, "import")


def test_hours_in_which_the_clocks_change_come_back_too(own_folder, tmp_path):
    path = own_folder / "multiple_prices_csv" / "ALPHA.csv"
    frame = multiple_csv(own_folder, "ALPHA")
    odd = pd.DatetimeIndex(["2022-03-27 00:30", "2022-03-27 01:00", "2022-03-27 01:30", "2022-10-30 01:00", "2022-10-30 02:00"])
    before = frame.index.searchsorted(odd) - 1
    extra = frame.iloc[before].set_axis(odd, axis=0)
    frame = pd.concat([frame, extra]).sort_index()
    frame.to_csv(path, index_label="DATETIME")
    report = import_pysystemtrade(own_folder, tmp_path / "tape", instruments=["ALPHA"])
    assert (report.instruments[0].odd_times, report.proven, report.exceptions) == (3, True, {})
    back = build_from_events(bar_prices((tape := Tape.open(tmp_path / "tape")).bars("ALPHA")), tape.roll_events("ALPHA"))
    assert len(back) == len(frame)
    assert (back["PRICE"].to_numpy() == frame["PRICE"].to_numpy()).all()


def test_a_rate_with_a_date_only_is_that_of_the_days_close(folder, tmp_path):
    import_pysystemtrade(folder, tmp_path / "tape")
    rates = Tape.open(tmp_path / "tape").fx("EUR")
    assert set(pd.DatetimeIndex(rates.index).tz_convert("Europe/London").hour) == {23}
    assert len(rates) == len(pd.read_csv(folder / "fx_prices_csv" / "EURUSD.csv"))


def test_only_tables_of_the_imported_instruments_come_along(folder, tmp_path):
    import_pysystemtrade(folder, tmp_path / "tape")
    tape = Tape.open(tmp_path / "tape")
    for name in ("instrumentconfig.csv", "rollconfig.csv", "spreadcosts.csv"):
        assert pd.read_csv(tape.path / "config" / name)["Instrument"].tolist() == list(CODES)
    assert tape.instruments["ALPHA"].description == "First, of the markets"
    assert tape.instruments["BETA"].currency == "EUR"


def test_a_currency_that_nobody_knows_gets_an_fx_code(own_folder, tmp_path):
    table = own_folder / "csvconfig" / "instrumentconfig.csv"
    table.write_text(table.read_text().replace("EUR", "XTS"))
    (own_folder / "fx_prices_csv" / "EURUSD.csv").rename(own_folder / "fx_prices_csv" / "XTSUSD.csv")
    report = import_pysystemtrade(own_folder, tmp_path / "tape")
    assert "XTS" in (tmp_path / "tape" / "config" / "fx.csv").read_text()
    assert any("XTS" in note for note in report.notes)


def test_the_report_counts_a_folders_calendar_and_adjusted_prices_against_its_prices(own_folder, tmp_path):
    multiple = multiple_csv(own_folder, "ALPHA")
    back_adjust(multiple).rename("price").to_csv(own_folder / "adjusted_prices_csv" / "ALPHA.csv", index_label="DATETIME")
    calendar = pd.DataFrame(
        {"current_contract": [20230800, 20230800], "next_contract": 20231100, "carry_contract": 20231100},
        index=pd.DatetimeIndex([ROLL, "2023-08-15 23:00"], name="DATE_TIME"),
    )
    calendar.to_csv(own_folder / "roll_calendars_csv" / "ALPHA.csv")
    seen: list[InstrumentImport] = []
    report = import_pysystemtrade(own_folder, tmp_path / "tape", instruments=["ALPHA"], on_instrument=seen.append)
    (alpha,) = report.instruments
    assert seen == [alpha]
    assert (alpha.calendar_rows, alpha.calendar_matching) == (2, 1)
    assert alpha.adjusted_rows == alpha.adjusted_equal == len(multiple)
    written = json.loads((tmp_path / "tape" / "import.json").read_text())
    assert written == json.loads(report.to_json())


def test_values_that_contradict_each_other_are_reported_not_hidden(own_folder, tmp_path):
    frame = multiple_csv(own_folder, "ALPHA")
    frame.loc[frame.index[3], "CARRY"] = frame["CARRY"].iloc[3] + 1
    frame.loc[frame.index[5], "CARRY"] = np.nan
    frame.loc[frame.index[7], ["PRICE", "FORWARD", "CARRY"]] = np.nan
    frame.to_csv(own_folder / "multiple_prices_csv" / "ALPHA.csv", index_label="DATETIME")
    report = import_pysystemtrade(own_folder, tmp_path / "tape", instruments=["ALPHA"])
    assert report.exceptions == {"carry from forward": 1, "contradiction": 1, "row without prices": 1}
    assert report.proven


# --- what is refused -----------------------------------------------------------------------------------------------------

SPOILED = [
    (lambda line: line.replace(",2021", ",20x1", 1), r"line 4, column \w+_CONTRACT: '20x1\d+' is not a contract"),
    (lambda line: line.replace("2021-", "2O21-", 1), "line 4, column DATETIME: '2O21-.*not a local time"),
    (lambda line: line.rsplit(",", 1)[0], "line 4: has 6 cells, the header has 7"),
    (lambda line: line + ",1", "line 4: has 8 cells, the header has 7"),
    (lambda line: line.split(",")[0] + ",abc," + line.split(",", 2)[2], "line 4, column CARRY: 'abc' is not a number"),
    (lambda line: line.split(",")[0] + ",inf," + line.split(",", 2)[2], "line 4, column CARRY: 'inf' is not finite"),
    (lambda line: line.rsplit(",", 1)[0] + ",", "line 4, column FORWARD_CONTRACT: '' is not a contract"),
    (lambda line: "2021-06-02" + line[10:], "line 4, column DATETIME: 2021-06-02 23:00:00 has other values than on line 3"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILED)
def test_a_malformed_line_is_named_and_nothing_is_left_behind(own_folder, tmp_path, spoil, *, message):
    path = own_folder / "multiple_prices_csv" / "BETA.csv"
    lines = path.read_text().splitlines()
    lines[3] = spoil(lines[3])
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigError, match=f"BETA.csv, {message}"):
        import_pysystemtrade(own_folder, tmp_path / "tape")
    assert [child.name for child in tmp_path.iterdir()] == ["folder"]


def test_a_table_line_that_is_wrong_is_named(own_folder, tmp_path):
    table = own_folder / "csvconfig" / "rollconfig.csv"
    table.write_text(table.read_text().replace("BETA,GKQX,-5", "BETA,GKQX,five"))
    with pytest.raises(ConfigError, match=r"rollconfig\.csv, line 3, column RollOffsetDays"):
        import_pysystemtrade(own_folder, tmp_path / "tape")


@pytest.mark.parametrize(
    "missing",
    [
        "csvconfig/rollconfig.csv",
        "multiple_prices_csv",
        "fx_prices_csv",
        "multiple_prices_csv/ALPHA.csv",
        "fx_prices_csv/EURUSD.csv",
    ],
)
def test_what_is_missing_is_named(own_folder, tmp_path, missing):
    path = own_folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ConfigError, match=str(path)):
        import_pysystemtrade(own_folder, tmp_path / "tape", instruments=["ALPHA", "BETA"])
    assert not (tmp_path / "tape").exists()


def test_an_empty_price_file_is_refused(own_folder, tmp_path):
    (own_folder / "multiple_prices_csv" / "BETA.csv").write_text("")
    with pytest.raises(ConfigError, match=r"BETA.csv, line 1: no column DATETIME"):
        import_pysystemtrade(own_folder, tmp_path / "tape")


def test_a_tape_is_replaced_only_when_asked_and_another_folder_never(folder, tmp_path):
    tape = tmp_path / "tape"
    import_pysystemtrade(folder, tape, instruments=["ALPHA"])
    with pytest.raises(ConfigError, match="exists already"):
        import_pysystemtrade(folder, tape)
    import_pysystemtrade(folder, tape, instruments=["BETA"], replace=True)
    assert Tape.open(tape).codes == ["BETA"]
    (tmp_path / "letters").mkdir()
    with pytest.raises(ConfigError, match="is not a tape"):
        import_pysystemtrade(folder, tmp_path / "letters", replace=True)


KILLED = """
import os, signal, sys
from pathlib import Path
from tradeflow_core.importers import InstrumentImport, import_pysystemtrade
import_pysystemtrade(Path(sys.argv[1]), Path(sys.argv[2]), on_instrument=lambda done: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_an_import_that_is_killed_leaves_no_tape_and_the_next_one_clears_up(folder, tmp_path):
    child = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(tmp_path / "tape")], cwd=REPO, check=False)
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "tape").exists()
    assert len(os.listdir(tmp_path)) == 1
    import_pysystemtrade(folder, tmp_path / "tape")
    assert os.listdir(tmp_path) == ["tape"]
    assert Tape.open(tmp_path / "tape").codes == list(CODES)


# --- real folders --------------------------------------------------------------------------------------------------------


@needs_shared("data", "pysystemtrade_csv")
def test_instruments_of_a_real_folder_come_back_but_for_the_known_exceptions(tmp_path):
    codes = ["BTP3", "ETHEREUM", "KOSPI", "SP500_micro"]
    report = import_pysystemtrade(FOLDER, tmp_path / "tape", instruments=codes)
    tape = Tape.open(tmp_path / "tape")
    assert report.proven
    for code, done in zip(codes, report.instruments, strict=True):
        original, again = multiple_csv(FOLDER, code), rebuilt(tape, code)
        blank = original[["PRICE", "FORWARD", "CARRY"]].isna().all(axis=1)
        assert done.exceptions.get("row without prices", 0) == blank.sum()
        assert (again.index == original.index[~blank]).all()
        pd.testing.assert_frame_equal(
            again[["PRICE", *LABELS]], original.loc[~blank, ["PRICE", *LABELS]], check_names=False, check_index_type=False
        )
        differs = (again["CARRY"] != original.loc[~blank, "CARRY"]) & again["CARRY"].notna()
        assert done.exceptions.get("carry from forward", 0) == differs.sum()
        assert done.adjusted_rows == done.adjusted_equal > 0


@pytest.mark.slow
@needs_shared("data", "pysystemtrade_csv")
def test_a_whole_folder_is_imported_and_proven_within_half_a_minute(tmp_path):
    started = time.process_time()
    report = import_pysystemtrade(FOLDER, tmp_path / "tape")
    assert time.process_time() - started < 30
    assert len(report.instruments) == len(list((FOLDER / "multiple_prices_csv").glob("*.csv")))
    assert report.proven
    assert set(report.exceptions) <= {"row without prices", "carry from forward", "contradiction"}
    # The calendars that were shipped with the prices match them in part only; the data's own description counts these.
    assert 0 < sum(done.calendar_matching for done in report.instruments) < sum(done.calendar_rows for done in report.instruments)
