"""`tradeflow prices seed`: a person seeds one file, or a whole folder as it was downloaded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.commands import answer, run, said
from tradeflow_core.desk import Desk
from tradeflow_core.prices import stored_bars

NOTE = '"Downloaded from Vendor.example as of 01-08-2024 05:02pm CST"'


def download(folder: Path, name: str, *, days: int = 40, last: str = "2020-03-10", change: str = "") -> Path:
    """A file as a vendor writes it: the newest first, American dates, fractions, separators of thousands, an empty day, a note at the end."""
    folder.mkdir(exist_ok=True)
    dates = pd.bdate_range(end=last, periods=days)[::-1]
    rows = [f'{day:%m/%d/%Y},110-16,111-00,110-00,110-{n % 3:02d},"1,{n:03d}"' for n, day in enumerate(dates)]
    rows.insert(3, f"{dates[3] + pd.Timedelta(hours=12):%m/%d/%Y},,,,,N/A".replace(f"{dates[3]:%m/%d/%Y}", "01/01/2020"))
    rows.sort(key=lambda row: pd.to_datetime(row[:10], format="%m/%d/%Y"), reverse=True)
    text = "\n".join(["Time,Open,High,Low,Last,Volume", *rows, NOTE])
    path = folder / name
    path.write_text(text.replace("110-02", change) if change else text, encoding="utf-8")
    return path


def barchart(home: Path, folder: Path, *arguments: str) -> Any:
    return answer(home, "prices", "seed", "--csv", str(folder), "--profile", "barchart", *arguments)


def test_a_file_is_seeded_with_a_mapping_of_its_columns(trading_desk: Desk, tmp_path: Path) -> None:
    home, path = trading_desk.home.path, tmp_path / "zn.csv"
    days = pd.bdate_range("2020-12-01", periods=30)
    path.write_text("Day,Settle,Vol\n" + "".join(f"{day:%d.%m.%Y},{100 + n % 3},9\n" for n, day in enumerate(days)))
    arguments = (
        "prices",
        "seed",
        "US10",
        "--csv",
        str(path),
        "--contract",
        "202103",
        "--time",
        "Day",
        "--time-format",
        "%d.%m.%Y",
    )
    arguments += ("--final", "Settle", "--volume", "Vol", "--zone", "America/Chicago")
    tried = answer(home, *arguments, "--dry-run")
    assert {key: tried[key] for key in ("instrument", "read", "added", "stored")} == {
        "instrument": "US10",
        "read": 30,
        "added": 30,
        "stored": False,
    }
    assert answer(home, *arguments)["added"] == 30
    path.write_text(path.read_text() + "01.02.2021,much,9\n")
    refused = run(home, *arguments)
    assert refused.exit_code == 1 and "line 32, column Settle: 'much' is not a number" in said(refused)


def test_a_folder_is_seeded_as_it_was_downloaded(trading_desk: Desk, tmp_path: Path) -> None:
    home, folder = trading_desk.home.path, tmp_path / "downloads"
    download(folder, "znh20_daily_historical-data-01-08-2024.csv")
    download(folder, "znm20_daily_historical-data-01-08-2024.csv", last="2020-06-10")
    (folder / "README.txt").write_text("not prices")
    seeded = barchart(home, folder)
    assert (seeded["read"], seeded["added"], seeded["stored"]) == (84, 80, True)
    assert seeded["skipped"] == {"below the prices": 2, "without prices": 2}
    assert [(each["contract"], each["frequency"], each["refused"]) for each in seeded["files"]] == [
        (20200300, "D", ""),
        (20200600, "D", ""),
    ]
    bars = stored_bars(trading_desk, "US10")
    own = bars[bars["contract"] == 20200300]
    assert (
        set(own["FINAL"]) == {110.0, 110 + 1 / 32, 110 + 2 / 32} and own["OPEN"].eq(110.5).all() and own["VOLUME"].max() == 1039
    )
    assert barchart(home, folder)["skipped"]["stored already"] == 80


def test_one_table_tells_what_became_of_each_file(trading_desk: Desk, tmp_path: Path) -> None:
    home, folder = trading_desk.home.path, tmp_path / "downloads"
    download(folder, "znh20_daily.csv")
    download(folder, "znm20_daily.csv", last="2020-06-10", change="much")
    download(folder, "mine.csv")
    before = stored_bars(trading_desk, "US10")
    arguments = ("prices", "seed", "--csv", str(folder), "--profile", "barchart")
    result = run(home, *arguments)
    text = said(result)
    assert result.exit_code == 1 and "2 of 3 files were refused, nothing was stored" in text
    assert "mine.csv: its name tells no contract" in text and "znm20_daily.csv, line" in text and "'much' is not a number" in text
    assert "1 below the prices, 1 without prices" in text and "US10 2020-03 D" in text
    assert "would add 40 of 42 rows of 3 files" in text
    assert stored_bars(trading_desk, "US10").equals(before)

    result = run(home, *arguments, "--skip-bad")
    assert result.exit_code == 0 and "left out mine.csv" in said(result) and "added 40 of 42 rows of 3 files" in said(result)
    assert "`tradeflow roll parameters US10` rebuilds its roll history" in said(result)
    assert len(stored_bars(trading_desk, "US10")) == len(before) + 40


def test_with_json_a_program_reads_what_was_refused_from_the_answer(trading_desk: Desk, tmp_path: Path) -> None:
    download(tmp_path / "downloads", "mine.csv")
    result = run(trading_desk.home.path, "prices", "seed", "--csv", str(tmp_path / "downloads"), "--json")
    assert result.exit_code == 1 and '"stored": false' in result.stdout and "its name tells no contract" in result.stdout


def test_only_the_files_of_the_instrument_that_is_named_are_read(trading_desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    download(folder, "znh20_daily.csv")
    download(folder, "zch20_daily.csv")
    seeded = answer(trading_desk.home.path, "prices", "seed", "US10", "--csv", str(folder), "--profile", "barchart", "--dry-run")
    assert [each["file"] for each in seeded["files"]] == ["znh20_daily.csv"] and seeded["instrument"] == "US10"


def test_the_name_of_one_file_tells_its_contract_unless_the_command_does(trading_desk: Desk, tmp_path: Path) -> None:
    home = trading_desk.home.path
    path = str(download(tmp_path, "znh20_daily.csv"))
    assert barchart(home, Path(path), "--dry-run")["files"][0]["contract"] == 20200300
    other = run(home, "prices", "seed", "CORN", "--csv", path, "--profile", "barchart", "--dry-run")
    assert other.exit_code == 1 and "its name tells US10, not CORN" in said(other)
    seeded = answer(
        home, "prices", "seed", "CORN", "--csv", path, "--profile", "barchart", "--contract", "K20", "--dry-run", "--yes"
    )
    assert (seeded["instrument"], seeded["files"][0]["contract"]) == ("CORN", 20200500)


def test_what_cannot_be_read_without_an_option_says_which_one(trading_desk: Desk, tmp_path: Path) -> None:
    home, path = trading_desk.home.path, tmp_path / "US10_20200300.csv"
    path.write_text("Time,Last\n2020-01-02,112-16\n2020-01-03,112-17\n")
    arguments = ("prices", "seed", "--csv", str(path), "--dry-run")
    assert "if it is, give --fractions" in said(run(home, *arguments))
    assert answer(home, *arguments, "--fractions")["added"] == 2
    path.write_text('Time,Last\n2020-01-02,"3,330.25"\n2020-01-03,"3,331.25"\n')
    assert "if it is, give --thousands ," in said(run(home, *arguments))
    assert answer(home, *arguments, "--thousands", ",", "--yes")["added"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--profile", "barcart"), "there is no profile barcart (nearest: barchart): profiles are barchart, plain"),
        (("--zone", "Mars"), "the options of the command, zone: 'Mars' is no time zone"),
        (("--thousands", "x"), "the options of the command, numbers.thousands: write"),
        (("--contract", "20200300"), "name its instrument too"),
    ],
)
def test_an_option_that_is_wrong_is_named(trading_desk: Desk, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    path = download(tmp_path, "US10_20200300.csv")
    result = run(trading_desk.home.path, "prices", "seed", "--csv", str(path), *arguments)
    assert result.exit_code == 1 and message in said(result)


@pytest.mark.slow
def test_two_hundred_files_take_a_few_seconds(trading_desk: Desk, tmp_path: Path) -> None:
    rng, folder = np.random.default_rng(1), tmp_path / "downloads"
    folder.mkdir()
    for year in range(1971, 2021):
        for month in ("03", "06", "09", "12"):
            days = pd.bdate_range(end=f"{year}-{month}-10", periods=500)
            closes = 100 + rng.normal(0, 0.3, 500).cumsum() * 0.1
            rows = "".join(f"{day:%Y-%m-%d},{close:.3f},9\n" for day, close in zip(days, closes, strict=True))
            (folder / f"US10_{year}{month}00.csv").write_text(f"Time,Last,Volume\n{rows}")
    started = time.process_time()
    seeded = answer(trading_desk.home.path, "prices", "seed", "--csv", str(folder), "--yes")
    assert seeded["added"] == 100_000 and time.process_time() - started < 30
