"""Homes that cannot be made or opened, clocks that stand at no time, and places of data that are none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.bad_input.corpus import instead, refused
from tests.bad_input.test_settings import with_value
from tests.commands import answer, run, said
from tradeflow_core.home import SETTINGS_FILE

CLOCKS = [
    ("missing", None, "clock.json cannot be read"),
    ("empty", "", "clock.json cannot be read"),
    ("nothing", "null", "clock.json cannot be read"),
    ("a list", "[]", "clock.json cannot be read"),
    ("without a time", "{}", "clock.json cannot be read"),
    ("a word", '{"now": "noon"}', "clock.json cannot be read"),
    ("a number", '{"now": 1e400}', "clock.json cannot be read"),
    ("without a zone", '{"now": "2024-01-09T10:00:00"}', "has no time zone"),
    ("30 February", '{"now": "2024-02-30T00:00:00+00:00"}', "clock.json cannot be read"),
    ("the year 1", '{"now": "0001-01-01T00:00:00+14:00"}', "clock.json cannot be read"),
    ("the year 9999", '{"now": "9999-12-31T23:59:59+00:00"}', "is not a time between 1900 and 2200"),
    ("bytes", b"\xff\xfe\x00", "clock.json cannot be read"),
    ("brackets in brackets", "[" * 50_000, "clock.json cannot be read"),
    ("seventy years ahead", '{"now": "2094-01-08T05:00:00+00:00"}', "the last day on which this home did anything is 2024-01-08"),
]
PLACES = [
    ("a word for a database", "database", "junk", "database: what is set there is not a URL"),
    ("a port that is no number", "database", "postgresql://h:port/x", "database: what is set there is not a URL"),
    ("an open bracket in an address", "database", "postgresql://[", ""),
    (
        "a database that we do not know",
        "database",
        "mysql://a/b",
        "mysql is not supported; use a sqlite:/// or postgresql:// URL",
    ),
    ("a server that is not there", "database", "postgresql://u:48151623@127.0.0.1:1/x", "cannot be used"),
    ("a database in no folder", "database", "sqlite:////nonexistent/a/b.sqlite", "the file is missing"),
    ("a database that is a folder", "database", "sqlite:////tmp", ""),
    ("an empty address of data", "data", "", "data"),
    ("a protocol that nobody knows", "data", "junk://x", "data: junk://x cannot be used"),
    ("data below a file", "data", "/etc/passwd", "/etc/passwd"),
]
CHANGES = [
    ("another account", "account", '"OTHER"', "belongs to the account SIM-1 in USD, not to OTHER"),
    ("another currency", "base_currency", '"EUR"', "belongs to the account SIM-1 in USD, not to SIM-1 in EUR"),
    ("a currency without rates", "base_currency", '"BRL"', "no FX code for currency ['BRL']"),
    ("another capital", "capital", '"5000000"', "the account of this home began with 4000000, which cannot be changed later"),
    ("another seed", "simulated.seed", "8", "simulated.seed is 8 and was 7"),
    ("a longer history", "simulated.history_years", "3", "first day of the price history is 2021-01-08 and was 2022-01-08"),
    ("another first day", "simulated.first_day", "2024-01-15", "first day of the price history is 2022-01-15 and was 2022-01-08"),
    (
        "no instrument that is not stale",
        "stale_instruments",
        '"CORN,EUROSTX,GOLD_micro,US10"',
        "no instrument of the universe is left",
    ),
    ("an unknown stale instrument", "stale_instruments", '["NOPE"]', "stale_instruments: no such instrument ['NOPE']"),
    ("an unknown instrument", "universe", '["corn"]', "universe: no such instrument ['corn']"),
]
INITS = [
    ("a base currency without rates", ("--base", "BRL"), "no FX code for currency ['BRL']"),
    ("a base currency in small letters", ("--base", "usd"), "base_currency"),
    ("a broker that is not there yet", ("--market", "ib_paper"), "Interactive Brokers is not there yet"),
    ("real money without a broker", ("--market", "ib_live"), "Interactive Brokers is not there yet"),
    ("an unknown instrument", ("--universe", "NOPE"), "universe: no such instrument ['NOPE']"),
    ("no instrument", ("--universe", ","), "names no instrument"),
    ("a zone on Mars", ("--time-zone", "Mars"), "--time-zone: 'Mars' is not a time zone"),
    ("a zone that is a folder", ("--time-zone", "Europe"), "--time-zone: 'Europe' is not a time zone"),
    ("a zone that is a path", ("--time-zone", "/etc/localtime"), "--time-zone: '/etc/localtime' is not a time zone"),
]
ODD_NAMES = ["a?b", "a#b", "a[b]", "a%20b", "a b", "a&b=c", "a;b'c\"d", "ä"]


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in CLOCKS], ids=[row[0] for row in CLOCKS])
def test_no_day_begins_by_a_clock_that_is(text: str | bytes | None, message: str, traded: Path) -> None:
    with instead(traded / "clock.json", text):
        refused(traded, ("day",), message)


@pytest.mark.parametrize(("key", "value", "message"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_no_day_begins_with(key: str, value: str, message: str, traded: Path) -> None:
    file = traded / SETTINGS_FILE
    with instead(file, with_value(file.read_text(), key, f'"{value}"')):
        refused(traded, ("day", "--days", "1"), message)
        assert "48151623" not in run(traded, "day").output


@pytest.mark.parametrize(("key", "value", "message"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_a_home_with_history_does_not_change_to(key: str, value: str, message: str, traded: Path) -> None:
    file = traded / SETTINGS_FILE
    with instead(file, with_value(file.read_text(), key, value)):
        refused(traded, ("day", "--days", "1"), message)


@pytest.mark.parametrize(("words", "message"), [row[1:] for row in INITS], ids=[row[0] for row in INITS])
def test_no_home_is_made_with(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    refused(home, ("init", *words), message)
    assert not home.exists()


@pytest.mark.parametrize("command", ["status", "check", "day", "stop", "orders", "capital", "backup", "alerts"])
def test_a_folder_that_is_no_home_is_said_to_be_none(command: str, tmp_path: Path) -> None:
    refused(tmp_path, (command,), "is not a tradeflow home")


def test_data_in_an_object_store_name_the_extra_they_need(traded: Path) -> None:
    pytest.importorskip("fsspec")
    try:
        import s3fs  # noqa: F401

        pytest.skip("s3fs is installed here")
    except ImportError:
        pass
    file = traded / SETTINGS_FILE
    with instead(file, with_value(file.read_text(), "data", '"s3://bucket/x"')):
        refused(traded, ("day", "--days", "1"), "install tradeflow with its extra `s3`")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_home_may_have_any_name(name: str, traded: Path, tmp_path: Path) -> None:
    home = tmp_path / name
    assert answer(home, "init", "--universe", "CORN")["universe"] == ["CORN"]
    assert answer(home, "stop")["stopped"] and answer(home, "check") == {"problems": []}
    assert answer(home, "sql", "select count(*) as n from fills") == [{"n": 0}]
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing was written beside it"
    assert (home / "ledger.sqlite").stat().st_size


def test_a_settings_file_that_was_written_by_hand_becomes_a_home(tmp_path: Path) -> None:
    written = '# mine\nuniverse = ["CORN"]\ncapital = "250000"\ntime_zone = "Europe/London"\n'
    (tmp_path / SETTINGS_FILE).write_text(written)
    result = run(tmp_path, "init", "--capital", "5")
    assert result.exit_code == 1 and "write --capital into it" in said(result)
    assert answer(tmp_path, "init")["universe"] == ["CORN"]
    assert answer(tmp_path, "status")["time"] == "2024-01-08T00:00:00+00:00"
    assert "# mine" in (tmp_path / SETTINGS_FILE).read_text()
    assert run(tmp_path, "init").exit_code == 1, "it is a home now"


@pytest.mark.parametrize("line", ['base_currency = "BRL"', 'market = "ib_paper"', 'universe = ["NOPE"]', 'market = "replay"'])
def test_a_settings_file_that_is_wrong_becomes_no_home(line: str, tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(f"{line}\n")
    refused(tmp_path, ("init",), line.split('"')[1])


def test_the_seed_may_change_before_anything_was_done(traded: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(home, "init", "--universe", "CORN")
    file = home / SETTINGS_FILE
    file.write_text(with_value(file.read_text(), "simulated.seed", "8"))
    assert run(home, "status").exit_code == 0
    shutil.rmtree(home)
