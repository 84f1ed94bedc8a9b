"""Profiles: what a vendor's files are like, in a small file whose errors name file and field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tradeflow_core.errors import ConfigError
from tradeflow_core.instruments import load_instruments
from tradeflow_core.vendor_files import CsvFolder, load_profile, packaged_profiles

CODES = ("CORN", "US10", "GOLD_micro", "BRENT-LAST", "EUR", "GILT")


def own(folder: Path, text: str) -> str:
    path = folder / "vendor.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def offered(folder: Path, *names: str, profile: str = "barchart") -> list[tuple[str, int, str]]:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("Time,Close\n", encoding="utf-8")
    source = CsvFolder(folder, load_profile(profile), "UTC", CODES)
    return [(offer.instrument, offer.contract, offer.frequency) for offer in source.offers() if not offer.problem]


@pytest.mark.parametrize("name", sorted(packaged_profiles()))
def test_each_packaged_profile_is_sound_and_its_symbols_mean_packaged_instruments(name: str) -> None:
    assert set(load_profile(name).symbols.values()) <= set(load_instruments())


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ZCH24_daily.csv", ("CORN", 20240300, "D")),
        ("zch24_daily_historical-data-01-08-2024.csv", ("CORN", 20240300, "D")),
        ("znz99_price-history-08-12-2020.csv", ("US10", 19991200, "D")),
        ("E6H2024_hourly.csv", ("EUR", 20240300, "H")),
        ("gcg24_intraday-30min_historical-data-01-08-2024.csv", ("GOLD_micro", 20240200, "30M")),
        ("gm24_daily.csv", ("GILT", 20240600, "D")),
        ("ZCH24.csv", ("CORN", 20240300, "D")),
        ("CORN_20240300.csv", ("CORN", 20240300, "D")),
        ("BRENT-LAST_202403.csv", ("BRENT-LAST", 20240300, "D")),
        ("Hour_GOLD_micro_20240200.csv", ("GOLD_micro", 20240200, "H")),
        ("Day_CORN_20240314.CSV", ("CORN", 20240314, "D")),
        ("corn/CORN_H24.csv", ("CORN", 20240300, "D")),
    ],
)
def test_the_name_of_a_file_tells_instrument_contract_and_frequency(
    tmp_path: Path, name: str, meant: tuple[str, int, str]
) -> None:
    assert offered(tmp_path, name) == [meant]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("prices.csv", "its name tells no contract; rename it, or say in `files` of a profile"),
        ("QQH24_daily.csv", "QQ of its name is no instrument that is known"),
        ("CORN_20241300.csv", "month 13"),
        ("KORN_20240300.csv", r"KORN of its name is no instrument that is known \(nearest: CORN\)"),
    ],
)
def test_a_name_that_tells_nothing_is_a_problem_of_its_file(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / name).write_text("Time,Close\n", encoding="utf-8")
    (offer,) = CsvFolder(tmp_path, load_profile("barchart"), "UTC", CODES).offers()
    assert re.search(problem, offer.problem) and str(tmp_path / name) in offer.problem


def test_a_folder_without_files_or_of_other_instruments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no file whose name ends in \.csv"):
        CsvFolder(tmp_path, load_profile("plain"), "UTC", CODES).offers()
    (tmp_path / "CORN_20240300.csv").write_text("Time,Close\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no file of US10"):
        CsvFolder(tmp_path, load_profile("plain"), "UTC", CODES, instrument="US10").offers()
    with pytest.raises(ConfigError, match="leave --contract out"):
        CsvFolder(tmp_path, load_profile("plain"), "UTC", CODES, instrument="US10", contract=20240300).offers()


def test_a_profile_of_ones_own_says_only_what_is_different(tmp_path: Path) -> None:
    text = "base: barchart\nzone: Europe/London\nsymbols: {QQ: CORN}\nfiles: [{name: '{instrument}-{contract}-*.csv', frequency: H}]\n"
    path = own(tmp_path, text)
    profile = load_profile(path)
    assert (
        profile.zone == "Europe/London" and profile.numbers.fractions and profile.symbols["ZC"] == profile.symbols["QQ"] == "CORN"
    )
    assert offered(tmp_path, "qq-h24-hours.csv", "ZCH24_daily.csv", profile=path) == [("CORN", 20240300, "H")]


def test_a_profile_may_be_based_on_another_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "house.yaml").write_text("zone: Asia/Tokyo\n", encoding="utf-8")
    assert load_profile(own(tmp_path, "base: house.yaml\n")).zone == "Asia/Tokyo"
    with pytest.raises(ConfigError, match=r"vendor\.yaml, base: vendor\.yaml leads back to itself"):
        load_profile(own(tmp_path, "base: vendor.yaml\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zones: UTC", r"vendor\.yaml: unknown field zones \(nearest: zone\)"),
        ("zone: Mars", r"vendor\.yaml, zone: 'Mars' is no time zone"),
        ("skip: {footers: true}", r"unknown field skip\.footers \(nearest: footer\)"),
        ("skip: {footer: perhaps}", r"vendor\.yaml, skip\.footer: .*found 'perhaps'"),
        ("numbers: {thousands: '.'}", r"vendor\.yaml, numbers: decimal and thousands are both '\.'"),
        ("numbers: {thousands: x}", r"vendor\.yaml, numbers\.thousands: write"),
        ("times: ['%m/%d/%Y', '%d/%m/%Y']", r"vendor\.yaml, times: %m/%d/%Y and %d/%m/%Y can be mistaken for each other"),
        ("times: [tomorrow]", r"vendor\.yaml, times: 'tomorrow' is no form of a time"),
        ("files: [{name: '{instrument}.csv'}]", r"vendor\.yaml, files\.0\.name: write \{contract\} once"),
        ("files: [{name: '{contract}{month}.csv'}]", r"files\.0\.name: \{month\} is unknown"),
        ("files: [{name: '{contract}.csv', frequency: W}]", r"files\.0\.frequency: W is unknown; use one of"),
        ("encoding: klingon", r"vendor\.yaml, encoding: 'klingon' is no encoding"),
        ("- zone", r"vendor\.yaml: a profile is a mapping of fields to values"),
        ("zone: [", r"vendor\.yaml: not valid YAML"),
        ("base: barcart", r"there is no profile barcart \(nearest: barchart\)"),
    ],
)
def test_what_is_wrong_in_a_profile_is_named_by_file_and_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_profile(own(tmp_path, text))
