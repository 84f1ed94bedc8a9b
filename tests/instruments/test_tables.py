"""The packaged tables hang together, folders overlay them, and a wrong line is refused by file, line and column."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import needs_shared
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.instruments import (
    default_universe,
    find_instrument,
    load_fx_table,
    load_instruments,
    load_sessions,
    load_simulated_fx,
    load_simulated_market,
    read_instruments,
)

INSTRUMENTS = "Instrument,Description,Pointsize,Currency,AssetClass,PerBlock,Percentage,PerTrade,Region,Session,Tick"
FOREIGN = "Instrument,Description,Pointsize,Currency,AssetClass,PerBlock,Percentage,PerTrade,Region"
ROLLS = "Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset"
TEA = "TEA,Tea,100,USD,Ags,1,0,0,ASIA,SGX,0.5"


def write(folder: Path, name: str, *lines: str) -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_instruments(folder)
    return str(caught.value)


def test_the_packaged_universe_is_broad() -> None:
    instruments = load_instruments().values()
    assert len(instruments) >= 40
    assert {i.asset_class for i in instruments} >= {"Equity", "Bond", "STIR", "FX", "Metals", "OilGas", "Ags", "Vol"}
    assert {i.region for i in instruments} == {"US", "EMEA", "ASIA"}
    assert {i.currency for i in instruments} >= {"USD", "EUR", "GBP", "JPY", "CHF", "AUD", "HKD"}
    assert default_universe() == sorted(load_instruments())


@pytest.mark.parametrize("code", default_universe())
def test_a_packaged_instrument_has_all_that_trading_it_needs(code: str) -> None:
    instrument = load_instruments()[code]
    rule = instrument.roll_rule
    assert rule is not None and set(rule.hold) <= set(rule.priced)
    assert load_sessions({code: instrument}).session_of(code).windows
    assert instrument.currency == "USD" or {p.currency for p in load_fx_table().values()} >= {instrument.currency}
    market = load_simulated_market()[code]
    assert 0 < instrument.tick <= market.price and instrument.costs.spread_cost > 0
    # A spread of more than a fiftieth of a year's risk is a slip of the decimal point, not a liquid market.
    assert instrument.costs.spread_cost < market.price * market.annual_vol / 50
    assert instrument.costs.commission(1, market.price, instrument.point_size) > 0


def test_every_currency_of_the_fx_table_is_simulated_and_is_a_rate_in_us_dollars() -> None:
    pairs, rates = load_fx_table(), load_simulated_fx()
    assert {pair.currency for pair in pairs.values()} == set(rates)
    assert all(pair.invert == pair.broker_pair.startswith("USD.") for pair in pairs.values())
    assert rates["JPY"].rate < rates["HKD"].rate < rates["EUR"].rate < rates["GBP"].rate


def test_a_pair_that_the_broker_quotes_the_other_way_round_is_inverted() -> None:
    pairs, days = load_fx_table(), pd.date_range("2024-01-01", periods=2, tz="UTC")
    yen = pairs["JPYUSD"].from_quotes(pd.Series([125.0, 160.0], index=days))
    euro = pairs["EURUSD"].from_quotes(pd.Series([1.1, 1.2], index=days))
    assert (yen.name, yen.tolist()) == ("JPYUSD", [0.008, 0.00625])
    assert euro.tolist() == [1.1, 1.2]


@pytest.mark.parametrize("quote", [0.0, -1.0, float("nan"), float("inf")])
def test_a_quote_without_an_inverse_is_refused(quote: float) -> None:
    with pytest.raises(DataError, match=r"USD\.JPY: the quote of 2024-01-01"):
        load_fx_table()["JPYUSD"].from_quotes(pd.Series([quote], index=pd.date_range("2024-01-01", periods=1)))


def test_the_simulated_market_knows_no_other_instruments() -> None:
    assert list(load_simulated_market()) == default_universe()


def test_volatility_futures_are_simulated_in_strong_contango_and_short_rates_hardly_move() -> None:
    market = load_simulated_market()
    assert market["VIX"].carry <= -0.3
    assert market["SOFR"].annual_vol < market["US5"].annual_vol < market["US10"].annual_vol < market["SP500_micro"].annual_vol


def test_a_home_adds_an_instrument_and_changes_one_roll_rule(tmp_path: Path) -> None:
    write(tmp_path, "instruments.csv", INSTRUMENTS, TEA)
    write(tmp_path, "rolls.csv", ROLLS, "TEA,HZ,-10,-1,HMUZ,15", "US10,HMUZ,-9,1,HMUZ,19")
    write(tmp_path, "spreadcosts.csv", "Instrument,SpreadCost", "TEA,0.25")
    before, after = load_instruments(), load_instruments(tmp_path)
    tea = after.pop("TEA")
    assert (tea.point_size, tea.session, tea.tick, tea.costs.spread_cost, tea.costs.per_block) == (100.0, "SGX", 0.5, 0.25, 1.0)
    assert tea.roll_rule is not None and tea.roll_rule.hold == "HZ" and tea.roll_rule.carry_offset == -1
    old = before["US10"].roll_rule
    assert old is not None and after["US10"].roll_rule == replace(old, roll_offset=-9)
    assert {c: i for c, i in after.items() if c != "US10"} == {c: i for c, i in before.items() if c != "US10"}


def test_an_instrument_may_have_been_in_other_currencies(tmp_path: Path) -> None:
    header, line = f"{INSTRUMENTS},EarlierCurrencies", f"{TEA.replace('USD', 'EUR')},"
    tea = load_instruments(write(tmp_path, "instruments.csv", header, f"{line}DEM until 1998-12-31; XEU until 2000-06-30"))["TEA"]
    assert tea.earlier_currencies == ((date(1998, 12, 31), "DEM"), (date(2000, 6, 30), "XEU"))
    assert tea.currencies == ("DEM", "XEU", "EUR")
    assert load_instruments(write(tmp_path, "instruments.csv", header, line))["TEA"].currencies == ("EUR",)
    for wrong, words in (
        ("DEM", "write it as DEM until 1998-12-31"),
        ("DEM until 1998-02-31", "write it as"),
        ("DEM until 1998-12-31; XEU until 1998-12-31", "write the oldest currency first"),
    ):
        said = refusal(write(tmp_path, "instruments.csv", header, line + wrong))
        assert "line 2, column EarlierCurrencies: " in said and words in said


def test_a_later_folder_overlays_an_earlier_one(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, size in ((first, "100"), (second, "200")):
        folder.mkdir()
        write(folder, "instruments.csv", INSTRUMENTS, TEA.replace(",100,", f",{size},"))
    assert load_instruments(first, second)["TEA"].point_size == 200.0
    assert load_instruments(second, first)["TEA"].point_size == 100.0


def test_an_imported_table_without_hours_keeps_those_that_we_know(tmp_path: Path) -> None:
    write(tmp_path, "instrumentconfig.csv", FOREIGN, "US10,ten years,1000,USD,Bond,nan,,0,US", "NEW,new,1,USD,FX,0,0,0,US")
    write(tmp_path, "rollconfig.csv", ROLLS, "NOT_DESCRIBED,Z,-5,1,Z,10")
    loaded, packaged = load_instruments(tmp_path), load_instruments()
    assert loaded["US10"].description == "ten years"
    assert (loaded["US10"].session, loaded["US10"].tick) == (packaged["US10"].session, packaged["US10"].tick)
    assert (loaded["US10"].costs.per_block, loaded["US10"].costs.percentage) == (0.0, 0.0)
    assert (loaded["NEW"].session, loaded["NEW"].roll_rule, loaded["NEW"].costs.spread_cost) == (None, None, 0.0)
    assert "NOT_DESCRIBED" not in loaded
    assert list(read_instruments(tmp_path)[0]) == ["NEW", "US10"]


@needs_shared("data", "pysystemtrade_csv", "csvconfig")
def test_a_whole_imported_folder_is_read_and_wins_over_the_packaged_figures(shared: Path) -> None:
    folder = shared / "data" / "pysystemtrade_csv" / "csvconfig"
    loaded, alone = load_instruments(folder), read_instruments(folder)[0]
    lines = (folder / "instrumentconfig.csv").read_text(encoding="utf-8").splitlines()
    assert len(alone) == len(lines) - 1
    assert set(default_universe()) <= set(alone) and loaded.keys() == alone.keys()
    assert all(loaded[c].costs == alone[c].costs and loaded[c].roll_rule == alone[c].roll_rule for c in alone)


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        (TEA.replace(",100,", ",1o0,"), "Pointsize", "'1o0' is not a number"),
        (TEA.replace(",100,", ",nan,"), "Pointsize", "not a number"),
        (TEA.replace(",100,", ",0,"), "Pointsize", "above zero"),
        (TEA.replace(",100,", ",,"), "Pointsize", "is empty"),
        (TEA.replace("ASIA", "APAC"), "Region", "US, EMEA, ASIA"),
        (TEA.replace("USD", "dollar"), "Currency", "three capital letters"),
        (TEA.replace("Ags,1,", "Ags,-1,"), "PerBlock", "out of range"),
        ('"TE,A"' + TEA[3:], "Instrument", "no comma"),
        ("T/A" + TEA[3:], "Instrument", "is not a code"),
        (TEA, "Instrument", "already on line 2"),
    ],
)
def test_a_wrong_cell_is_named_by_file_line_and_column(tmp_path: Path, line: str, column: str, *, words: str) -> None:
    first = TEA if line == TEA else TEA.replace("TEA", "TEA2")
    text = refusal(write(tmp_path, "instruments.csv", INSTRUMENTS, first, line))
    assert f"instruments.csv, line 3, column {column}: " in text and words in text


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("TEA,HMUA,-5,1,HMUZ,15", "HoldRollCycle"),
        ("TEA,HMUZ,-5,1,,15", "PricedRollCycle"),
        ("TEA,HMUZ,-5.5,1,HMUZ,15", "RollOffsetDays"),
        ("TEA,HMUZ,-5,2,HMUZ,15", "CarryOffset"),
        ("TEA,HMUZ,-5,1,HMUZ,soon", "ExpiryOffset"),
        ("THEE,HMUZ,-5,1,HMUZ,15", "Instrument"),
    ],
)
def test_a_wrong_roll_rule_is_refused(tmp_path: Path, line: str, column: str) -> None:
    write(tmp_path, "instruments.csv", INSTRUMENTS, TEA)
    assert f"rolls.csv, line 3, column {column}: " in refusal(write(tmp_path, "rolls.csv", ROLLS, "", line))


def test_a_line_with_a_stray_comma_is_refused(tmp_path: Path) -> None:
    text = refusal(write(tmp_path, "instruments.csv", INSTRUMENTS, "", TEA.replace("Tea", "Tea, black")))
    assert "instruments.csv, line 3: has 12 cells" in text and "double quotes" in text


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    assert "line 1: column Region is missing" in refusal(write(tmp_path, "instruments.csv", INSTRUMENTS.replace("Region,", "")))
    assert "column Instrument is missing" in refusal(write(tmp_path, "instruments.csv"))


def test_two_tables_of_one_kind_and_a_folder_that_does_not_exist_are_refused(tmp_path: Path) -> None:
    assert "nowhere is not a folder" in refusal(tmp_path / "nowhere")
    write(tmp_path, "instruments.csv", INSTRUMENTS)
    assert "two tables of the same kind" in refusal(write(tmp_path, "instrumentconfig.csv", FOREIGN))


def test_all_lines_of_a_table_that_are_wrong_are_named_at_once(tmp_path: Path) -> None:
    write(tmp_path, "fx.csv", "Code,Currency,BrokerPair,Invert", "QQQUSD,QQ,QQQ.USD,no", "YYYUSD,YYY,YYY.USD,perhaps", "ZZZ,ZZZ")
    with pytest.raises(ConfigError, match="line 4: has 2 cells"):
        load_fx_table(tmp_path)
    write(tmp_path, "fx.csv", "Code,Currency,BrokerPair,Invert", "QQQUSD,QQ,QQQ.USD,no", "YYYUSD,YYY,YYY.USD,perhaps")
    with pytest.raises(ConfigError, match=r"line 2, column Currency: .*\n.*line 3, column Invert"):
        load_fx_table(tmp_path)
    write(tmp_path, "rolls.csv", ROLLS, "NOPE,HMUZ,-5,1,HMUZ,0", "NEITHER,HMUZ,-5,1,HMUZ,0")
    with pytest.raises(ConfigError, match=r"line 2, column Instrument: unknown instrument 'NOPE'.*\n.*line 3.*'NEITHER'"):
        load_instruments(tmp_path)


def test_a_wrong_currency_table_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "fx.csv", "Code,Currency,BrokerPair,Invert", "USDJPY,JPY,USD.JPY,yes")
    with pytest.raises(ConfigError, match=r"fx\.csv, line 2, column Code: .*JPYUSD"):
        load_fx_table(tmp_path)


@pytest.mark.parametrize(("code", "nearest"), [("SP500_mico", "SP500_micro"), ("GOLD", "GOLD_micro"), ("corn", "CORN")])
def test_an_unknown_instrument_is_answered_with_the_nearest_known_one(code: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=rf"unknown instrument '{code}' \(nearest: {nearest}\)"):
        find_instrument(load_instruments(), code)
