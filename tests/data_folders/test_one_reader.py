"""A data folder is read by one code: an import and a backtest take and refuse the same, and say what they did with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from tests.commands import run, said
from tests.strategy.markets import market, write_csv_folder
from tradeflow_core.data_folders import CONTRACT, PRICE, STAMP, read_series
from tradeflow_core.errors import ConfigError
from tradeflow_core.importers import ImportReport, import_pysystemtrade
from tradeflow_core.store import Tape
from tradeflow_core.strategy import BacktestData, load_strategy, packaged_strategies, run_backtest
from tradeflow_core.strategy.results import summarise

COLUMNS = {"DATETIME": STAMP, "PRICE": PRICE, "PRICE_CONTRACT": CONTRACT}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three markets, A, B and C in euros, which a test may spoil."""
    return write_csv_folder(tmp_path / "data", market(currency="EUR"))


def change(path: Path, by: Callable[[list[str]], list[str]]) -> None:
    """Write the lines of a file anew, the header apart."""
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *by(lines)]) + "\n")


def multiple(folder: Path, code: str = "B") -> Path:
    return folder / "multiple_prices_csv" / f"{code}.csv"


def imported(folder: Path, tape: str = "tape", *, skip_bad: bool = False) -> ImportReport:
    return import_pysystemtrade(folder, folder.parent / tape, skip_bad=skip_bad)


def caveats(folder: Path, *codes: str) -> list[tuple[str, str]]:
    """Instrument and kind of every caveat of a backtest."""
    config = load_strategy(packaged_strategies()["static_trend_carry"])
    config = config.model_copy(update={"instrument_weights": dict.fromkeys(codes or ("A", "B", "C"), 1 / (len(codes) or 3))})
    notes = summarise(run_backtest(config, BacktestData.from_pysystemtrade(folder))).shortcomings
    return [(note.instrument, note.kind) for note in notes]


# --- what is taken -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", ["", "   ", ",,,,,,"])
def test_a_line_without_any_value_is_no_line(folder: Path, blank: str) -> None:
    before = BacktestData.from_pysystemtrade(folder).multiple_prices["B"]
    change(multiple(folder), lambda lines: [*lines[:100], blank, *lines[100:], blank])
    pd.testing.assert_frame_equal(BacktestData.from_pysystemtrade(folder).multiple_prices["B"], before)
    assert imported(folder).proven


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1, max_size=200))
@example([2.6310000000000002, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, 123456789.12345679, 9007199254740993.0])
def test_a_price_is_read_to_its_last_digit(tmp_path: Path, prices: list[float]) -> None:
    """A price and the carry price beside it that differ in the last digit are one price as written: carry would be seen where none is."""
    days = pd.bdate_range("2000-01-03", periods=len(prices))
    for digits in (repr, lambda price: f"{price:.25e}"):
        lines = [f"{day:%Y-%m-%d},{digits(price)},20240300" for day, price in zip(days, prices, strict=True)]
        (tmp_path / "B.csv").write_text("\n".join(["DATETIME,PRICE,PRICE_CONTRACT", *lines]) + "\n")
        assert read_series(tmp_path / "B.csv", COLUMNS).frame["PRICE"].tolist() == prices


def test_dates_without_times_are_daily_closes(folder: Path) -> None:
    for name in ("multiple_prices_csv", "adjusted_prices_csv"):
        change(folder / name / "B.csv", lambda lines: [line.replace(" 23:00:00", "") for line in lines])
    report = imported(folder)
    assert report.proven and not any("B" in note for note in report.notes)
    bars = Tape.open(folder.parent / "tape").bars("B")
    assert set(bars["frequency"]) == {"D"} and set(bars["end"].dt.tz_convert("Europe/London").dt.hour) == {23}


def test_midnights_alone_are_dates_too(folder: Path) -> None:
    change(multiple(folder), lambda lines: [line.replace(" 23:00:00", " 00:00:00") for line in lines])
    (folder / "adjusted_prices_csv" / "B.csv").unlink()
    imported(folder)
    assert set(Tape.open(folder.parent / "tape").bars("B")["frequency"]) == {"D"}


def test_a_change_from_dates_to_times_is_told_with_its_line(folder: Path) -> None:
    change(multiple(folder), lambda lines: [line.replace(" 23:00:00", "") for line in lines[:99]] + lines[99:])
    report = imported(folder)
    assert report.proven
    (note,) = [note for note in report.notes if note.startswith("B: ")]
    assert "99 of 700 lines have a date alone" in note and "changes at line 101" in note
    assert ("B", "dates and times mixed") in caveats(folder)


def test_newest_lines_first_are_turned_round_and_repeated_lines_count_once(folder: Path) -> None:
    before = BacktestData.from_pysystemtrade(folder).multiple_prices["B"]
    change(multiple(folder), lambda lines: [*lines[::-1][:5], *lines[::-1][4:]])
    data = BacktestData.from_pysystemtrade(folder)
    pd.testing.assert_frame_equal(data.multiple_prices["B"], before)
    assert [note.kind for note in data.notes if note.about == "B"] == ["lines turned round", "repeated lines"]
    assert imported(folder).proven


@pytest.mark.parametrize("form", ["{year}{month:02d}", "{letter}{year}", "{letter}{short:02d}", "{year}{letter}"])
def test_a_contract_may_be_written_in_every_form_that_occurs(tmp_path: Path, form: str) -> None:
    path = tmp_path / "A.csv"
    contract = form.format(year=2024, short=24, month=3, letter="H")
    path.write_text(f"DATETIME,PRICE,PRICE_CONTRACT\n2024-01-08 23:00:00,1.5,{contract}\n2024-01-09 23:00:00,,20240600\n")
    assert read_series(path, COLUMNS).frame["PRICE_CONTRACT"].tolist() == [20240300, 20240600]


def test_rates_the_other_way_round_are_turned_round_with_a_note(folder: Path) -> None:
    rates = BacktestData.from_pysystemtrade(folder).fx["EURUSD"]
    (1 / rates).rename("PRICE").rename_axis("DATETIME").to_csv(folder / "fx_prices_csv" / "USDEUR.csv")
    assert any("USDEUR.csv was left out, since there is EURUSD.csv" in note for note in imported(folder).notes)
    (folder / "fx_prices_csv" / "EURUSD.csv").unlink()
    data = BacktestData.from_pysystemtrade(folder)
    assert data.fx["EURUSD"].to_numpy() == pytest.approx(rates.to_numpy())
    assert ("A", "rate turned round") in caveats(folder)
    assert any("USDEUR.csv is quoted the other way round" in note for note in imported(folder, "second").notes)


def test_what_only_describes_may_be_empty_and_costs_that_are_not_known_are_told(folder: Path) -> None:
    facts = folder / "csvconfig" / "instrumentconfig.csv"
    table = pd.read_csv(facts)
    table["Region"] = ["LATAM", "EMEA", "US"]
    table["Description"] = ["", "Second", ""]
    table["AssetClass"] = ["", "", "Index"]
    table.to_csv(facts, index=False)
    spreads = folder / "csvconfig" / "spreadcosts.csv"
    change(spreads, lambda lines: ["B,", *[line for line in lines if line.startswith("C")]])
    report = imported(folder)
    assert report.proven and sum("has no spread" in note for note in report.notes) == 2
    assert any("region 'LATAM' is unknown here" in note for note in report.notes)
    assert {("A", "no spread"), ("B", "no spread"), ("A", "other region")} <= set(caveats(folder))
    assert Tape.open(folder.parent / "tape").instruments["A"].description == ""


# --- what is refused, by both --------------------------------------------------------------------------------------------

REFUSED: list[tuple[Callable[[list[str]], list[str]], str]] = [
    (
        lambda lines: [*lines[:50], lines[49].replace(",", ",1", 1), *lines[50:]],
        "line 52, column DATETIME: .* has other values than on line 51",
    ),
    (lambda lines: [*lines[:50], *lines[60:70], *lines[50:60], *lines[70:]], "line 62, column DATETIME: .* is not later than"),
    (lambda lines: [], "has no line below the header"),
    (lambda lines: [",".join([line.split(",")[0], "", *line.split(",")[2:]]) for line in lines], "has no PRICE on any line"),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSED)
def test_what_an_import_refuses_a_backtest_refuses_with_the_same_words(
    folder: Path, spoil: Callable[[list[str]], list[str]], message: str
) -> None:
    change(multiple(folder), spoil)
    with pytest.raises(ConfigError, match=f"B.csv.*{message}") as of_import:
        imported(folder)
    with pytest.raises(ConfigError, match=message) as of_backtest:
        _ = BacktestData.from_pysystemtrade(folder).multiple_prices["B"]
    assert str(of_backtest.value) in str(of_import.value)
    assert not (folder.parent / "tape").exists()


def test_every_problem_is_told_at_once_and_the_sound_instruments_can_be_imported(folder: Path) -> None:
    def spoil(lines: list[str]) -> list[str]:
        lines[10] = lines[10].replace(",", ",x", 1)
        lines[20] += ",1"
        return lines

    change(multiple(folder), spoil)
    facts = folder / "csvconfig" / "instrumentconfig.csv"
    change(facts, lambda lines: [line for line in lines if not line.startswith("C,")])
    with pytest.raises(ConfigError) as refused:
        imported(folder)
    text = str(refused.value)
    assert "line 12, column PRICE: 'x" in text and "line 22: has 8 cells" in text
    assert f"{facts}: unknown instrument 'C'" in text and "--skip-bad" in text
    report = imported(folder, skip_bad=True)
    assert [one.instrument for one in report.instruments] == ["A"] and set(report.left_out) == {"B", "C"}
    assert Tape.open(folder.parent / "tape").codes == ["A"]
    shown = said(
        run(folder.parent / "home", "import", "pysystemtrade", str(folder), "--tape", str(folder.parent / "second"), "--skip-bad")
    )
    assert "left out B" in shown and "left out C" in shown


def test_a_rate_that_cannot_be_is_refused_for_the_instruments_that_need_it(folder: Path) -> None:
    change(folder / "fx_prices_csv" / "EURUSD.csv", lambda lines: [*lines[:5], f"{lines[5].split(',')[0]},-1.1", *lines[6:]])
    with pytest.raises(ConfigError, match=r"-1\.1 is no rate"):
        imported(folder)
    with pytest.raises(ConfigError, match=r"-1\.1 is no rate"):
        _ = BacktestData.from_pysystemtrade(folder).fx["EURUSD"]


def test_a_date_before_hours_of_its_day_is_refused_by_an_import(tmp_path: Path) -> None:
    path = tmp_path / "A.csv"
    path.write_text("DATETIME,PRICE,PRICE_CONTRACT\n2024-01-08,1.5,20240300\n2024-01-08 10:00:00,1.6,20240300\n")
    with pytest.raises(ConfigError, match="2024-01-08 stands as a date alone before 2024-01-08 10:00:00"):
        read_series(path, COLUMNS).at_closes()
