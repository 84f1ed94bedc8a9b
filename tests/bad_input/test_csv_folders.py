"""Data folders of other systems that are wrong: an import, a backtest and a seed name the file, and leave no tape."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.corpus import instead, refused
from tests.strategy.markets import market, write_csv_folder

HEADER = "DATETIME,CARRY,CARRY_CONTRACT,PRICE,PRICE_CONTRACT,FORWARD,FORWARD_CONTRACT\n"
ROW = "2012-01-02 23:00:00,101,20120600,100,20120300,101,20120600\n"
MULTIPLE = "multiple_prices_csv/B.csv"

FOLDERS = [
    ("nothing in a file", MULTIPLE, "", "B.csv"),
    ("no column", MULTIPLE, "hello\n", "B.csv"),
    ("a header alone", MULTIPLE, HEADER, "B"),
    ("bytes that are no text", MULTIPLE, b"\xff\xfe\x00\x01", "B.csv"),
    ("a day that does not exist", MULTIPLE, HEADER + ROW.replace("01-02", "02-30"), "B.csv"),
    ("a word for a time", MULTIPLE, HEADER + ROW.replace("2012-01-02 23:00:00", "soon"), "B.csv"),
    ("a word for a price", MULTIPLE, HEADER + ROW.replace(",100,", ",dear,"), "B.csv"),
    ("an endless price", MULTIPLE, HEADER + ROW.replace(",100,", ",inf,"), "B.csv"),
    ("a price beyond all numbers", MULTIPLE, HEADER + ROW.replace(",100,", ",1e400,"), "B.csv"),
    ("a contract that is none", MULTIPLE, HEADER + ROW.replace("20120300", "20121300"), "B.csv"),
    ("a word for a contract", MULTIPLE, HEADER + ROW.replace("20120300", "next"), "B.csv"),
    ("no point size", "csvconfig/instrumentconfig.csv", "Instrument\nB\n", "instrumentconfig.csv"),
    ("an empty table", "csvconfig/instrumentconfig.csv", "", "instrumentconfig.csv"),
    ("no table of rolls", "csvconfig/rollconfig.csv", None, "rollconfig.csv"),
    ("a rate that is a word", "fx_prices_csv/EURUSD.csv", "DATETIME,PRICE\n2012-01-02,dear\n", "EURUSD.csv"),
    ("a rate of zero", "fx_prices_csv/EURUSD.csv", "DATETIME,PRICE\n2012-01-02,0\n", "EURUSD"),
    ("no rate at all", "fx_prices_csv/EURUSD.csv", None, "EUR"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three markets in euros."""
    return write_csv_folder(tmp_path_factory.mktemp("csv") / "data", market(currency="EUR", days=300))


@pytest.mark.parametrize(("name", "text", "message"), [row[1:] for row in FOLDERS], ids=[row[0] for row in FOLDERS])
def test_no_tape_is_made_of(
    name: str, text: str | bytes | None, message: str, folder: Path, traded: Path, tmp_path: Path
) -> None:
    with instead(folder / name, text):
        refused(traded, ("import", "pysystemtrade", str(folder), "--tape", str(tmp_path / "tape")), message)
    assert not (tmp_path / "tape").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("import", "pysystemtrade", "nowhere"), "does not exist"),
        (("import", "pysystemtrade", "{folder}", "--zone", "Mars"), "Mars"),
        (("import", "pysystemtrade", "{folder}", "--zone", "Europe"), "Europe"),
        (("import", "pysystemtrade", "{folder}", "--instruments", "NOPE"), "NOPE"),
        (("import", "pysystemtrade", "{folder}/csvconfig"), "csvconfig"),
        (("replay", "nowhere", "--start", "2024-01-02", "--end", "2024-01-03"), "nowhere"),
        (("replay", "{folder}", "--start", "2024-01-02", "--end", "2024-01-03"), "data"),
        (("backtest", "run", "static_trend_carry", "--data", "nowhere"), "nowhere"),
        (("backtest", "run", "static_trend_carry", "--data", "{folder}", "--currency", "BRL"), "BRL"),
        (("backtest", "run", "static_trend_carry", "--data", "{folder}", "--instruments", "NOPE"), "NOPE"),
        (("prices", "seed", "CORN", "--csv", "nowhere.csv", "--contract", "20240300", "--yes"), "nowhere.csv"),
        (
            ("prices", "seed", "CORN", "--csv", "{folder}/csvconfig/rollconfig.csv", "--contract", "20240300", "--yes"),
            "rollconfig",
        ),
        (("prices", "seed", "CORN", "--csv", "{folder}/" + MULTIPLE, "--contract", "soon", "--yes"), "soon"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else None,
)
def test_a_folder_or_file_is_refused(words: tuple[str, ...], message: str, folder: Path, traded: Path, tmp_path: Path) -> None:
    given = tuple(word.replace("{folder}", str(folder)) for word in words)
    if words[0] == "import":
        given = (*given, "--tape", str(tmp_path / "tape"))
    refused(traded, given, message)
    assert not (tmp_path / "tape").exists()
