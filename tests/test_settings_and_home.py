"""A home is validated as a whole, and every mistake is named with its file, key and remedy."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import make_home
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import SETTINGS_FILE, Home, replace_text
from tradeflow_core.home.settings import load_settings


def settings_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / SETTINGS_FILE
    path.write_text(text)
    return path


def test_a_new_home_opens_with_the_settings_it_was_made_with(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", base_currency="EUR", time_zone="Europe/London")
    again = Home.open(home.path)
    assert again.settings.base_currency == "EUR"
    assert again.settings.time_zone == "Europe/London"
    assert again.universe == ["CORN", "EUROSTX", "GOLD_micro", "US10"]
    assert again.currencies == ["EUR"]


def test_an_unknown_key_is_refused_and_the_nearest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tradeflow\.toml: unknown key day\.tik_minutes \(nearest: tick_minutes\)"):
        load_settings(settings_file(tmp_path, "[day]\ntik_minutes = 5\n"))


def test_a_wrong_value_is_refused_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="capital"):
        load_settings(settings_file(tmp_path, "capital = -5\n"))
    with pytest.raises(ConfigError, match="time_zone: 'Mars/Olympus' is not a time zone"):
        load_settings(settings_file(tmp_path, 'time_zone = "Mars/Olympus"\n'))


def test_a_value_in_place_of_a_section_is_refused_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"day is a section \(it is 5\).*for example start = \.\.\. below \[day\]"):
        load_settings(settings_file(tmp_path, "day = 5\n"))
    with pytest.raises(ConfigError, match=r"config = \.\.\. below \[strategies\.NAME\]"):
        load_settings(settings_file(tmp_path, "strategies = 5\n"))


@pytest.mark.parametrize(
    "line", ["smtp_password = 48151623", "alerts = [48151623]", 'alerts = "48151623"', "database = [48151623]"]
)
def test_no_error_shows_what_may_be_a_password(line: str, tmp_path: Path) -> None:
    (tmp_path / "tradeflow.toml").write_text(f"[alerts]\n{line}\n" if line.startswith("smtp") else f"{line}\n")
    with pytest.raises(ConfigError, match=line.split(maxsplit=1)[0]) as refused:
        Home.open(tmp_path)
    assert "48151623" not in str(refused.value)


def test_malformed_toml_names_the_file_and_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not valid TOML.*line 2"):
        load_settings(settings_file(tmp_path, 'market = "simulated"\ncapital = = 5\n'))


def test_a_home_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"newer tradeflow.*upgrade"):
        load_settings(settings_file(tmp_path, "home_version = 99\n"))


@pytest.mark.parametrize("version", ["0", "-1", '"two"', "1.5"])
def test_a_version_that_no_home_ever_had_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(ConfigError, match=r"tradeflow\.toml: home_version: "):
        Home.open(settings_file(tmp_path, f"home_version = {version}\n").parent)


def test_the_environment_lies_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'capital = "5"\n[day]\nstart = 01:00:00\n[strategies.slow]\nweight = 1.0\n'
    monkeypatch.setenv("TRADEFLOW_CAPITAL", "7")
    monkeypatch.setenv("TRADEFLOW_DAY__TICK_MINUTES", "15")
    monkeypatch.setenv("TRADEFLOW_UNIVERSE", "US10,CORN")
    monkeypatch.setenv("TRADEFLOW_STRATEGIES__SLOW__WEIGHT", "0.5")
    settings = load_settings(settings_file(tmp_path, text))
    assert (settings.capital, settings.day.tick_minutes, settings.day.start.hour) == (7, 15, 1)
    assert settings.universe == ("CORN", "US10") and settings.strategies["slow"].weight == 0.5


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("TRADEFLOW_CAPITEL", "7", r"TRADEFLOW_CAPITEL: no such setting \(nearest: capital\); unset it"),
        ("TRADEFLOW_CAPITAL", "much", r"environment variable TRADEFLOW_CAPITAL: capital: .*\(it is 'much'\)"),
        (
            "TRADEFLOW_DAY__TIK_MINUTES",
            "7",
            r"environment variable TRADEFLOW_DAY__TIK_MINUTES: unknown key day.tik_minutes \(nearest",
        ),
        ("TRADEFLOW_DAY", "20:00", r"TRADEFLOW_DAY: day is a section .*for example TRADEFLOW_DAY__START$"),
        ("TRADEFLOW_STRATEGIES", "slow", r"strategies is a section .*for example TRADEFLOW_STRATEGIES__NAME__CONFIG$"),
        ("TRADEFLOW_STRATEGIES__SLOW__WEGHT", "1", r"unknown key strategies\.slow\.weght \(nearest: weight\)"),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, *, text: str, words: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError, match=words):
        load_settings(settings_file(tmp_path, ""))


def test_an_unknown_instrument_in_the_universe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such instrument \\['GOLDEN'\\]"):
        make_home(tmp_path / "home", universe=("GOLDEN",))
    assert not (tmp_path / "home" / SETTINGS_FILE).exists()


@contextmanager
def as_a_common_user() -> Iterator[None]:
    """Work without the rights of root, who may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    make_home(tmp_path / "before")  # what is read or imported for it may lie where only root can look
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        with as_a_common_user(), pytest.raises(ConfigError, match="cannot be written"):
            make_home(Path(folder) / "home")
        assert not any(Path(folder).iterdir())


def test_a_home_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        make_home(tmp_path / "file" / "home")


def test_a_second_home_in_the_same_folder_is_refused(home: Home) -> None:
    with pytest.raises(ConfigError, match="is a home already"):
        make_home(home.path)


def test_no_home_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tradeflow init"):
        Home.open(tmp_path)


def test_a_simulated_clock_never_moves_back(home: Home) -> None:
    later = datetime(2024, 1, 9, tzinfo=UTC)
    home.clock.advance_to(later)
    home.clock.advance_to(datetime(2024, 1, 8, tzinfo=UTC))
    assert Home.open(home.path).clock.now() == later


@pytest.mark.parametrize(
    "text", [None, "", "[]", '"2024-01-09"', "{}", '{"now": 5}', '{"now": "noon"}', '{"now": "2024-01-09T10:00:00"}', "\0\0"]
)
def test_a_damaged_clock_says_how_to_mend_it(home: Home, text: str | None) -> None:
    file = home.path / "clock.json"
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises(
        StateError, match=r"clock\.json cannot be read .*write the last time of the desk into it.*, as in (.*)$"
    ) as caught:
        Home.open(home.path).clock.now()
    file.write_text(str(caught.value).rpartition(", as in ")[2])
    assert Home.open(home.path).clock.now() == datetime(2024, 1, 2, 21, tzinfo=UTC)


def test_a_replaced_file_keeps_its_permissions_and_its_link(tmp_path: Path) -> None:
    target, link = tmp_path / "private.toml", tmp_path / "link.toml"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    replace_text(link, "new\r\n")
    assert link.is_symlink() and target.read_bytes() == b"new\r\n" and target.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.toml", "private.toml"]


def test_an_instant_without_a_zone_is_refused(home: Home) -> None:
    with pytest.raises(StateError, match="no time zone"):
        home.clock.advance_to(datetime(2024, 1, 9))
