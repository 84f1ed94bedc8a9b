"""Settings that cannot be: every command refuses them, and names the key or the variable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bad_input.corpus import instead, refused

FINITE, ABOVE, BELOW = "should be a finite number", "should be greater than", "should be less than"
NUMBER, WHOLE, TEXT = "should be a valid number", "should be a valid integer", "should be a valid string"

NO_NUMBERS = {
    "infinite": "inf",
    "not a number": "nan",
    "beyond all numbers": "1e400",
    "a word": '"many"',
    "with a comma": '"1,000"',
    "empty": '""',
    "true": "true",
    "a list": "[1]",
    "huge": "99999999999999999999999",
    "negative": "-5",
}
NUMBERS = (
    "capital",
    "keep_runs_days",
    "day.tick_minutes",
    "prices.max_price_spike",
    "prices.stale_after_business_days",
    "prices.intraday_history_days",
    "capital_rules.max_change",
    "rolls.passive_days",
    "rolls.min_relative_volume",
    "execution.max_quote_age_seconds",
    "execution.max_price_change",
    "simulated.seed",
    "simulated.history_years",
    "simulated.faults.delay_minutes",
    "simulated.faults.late_executions",
    "strategies.trend_carry.weight",
    "alerts.smtp_port",
)

VALUES = [
    ("a market that nobody has", "market", '"moon"', "market: Input should be 'simulated'"),
    ("a broker that is not there yet", "market", '"ib_paper"', "days are run by hand only in a simulated or replayed home"),
    ("real money without a broker", "market", '"ib_live"', "days are run by hand only in a simulated or replayed home"),
    ("a replay without a tape", "market", '"replay"', "market is replay, so [replay] with tape, start and end is needed"),
    ("an account without a name", "account", '""', "account: String should have at least 1 character"),
    ("an account of spaces", "account", '"  "', "account: String should match pattern"),
    ("an account that is a number", "account", "5", f"account: Input {TEXT}"),
    ("an account with a control character", "account", r'"a\u0000b"', "account: the text has control characters"),
    ("an account of 100 letters", "account", f'"{"x" * 100}"', "account: String should have at most 64 characters"),
    ("a currency in small letters", "base_currency", '"usd"', "base_currency: String should match pattern"),
    ("a currency of four letters", "base_currency", '"USDX"', "base_currency: String should match pattern"),
    ("a time zone on Mars", "time_zone", '"Mars/Olympus"', "time_zone: 'Mars/Olympus' is not a time zone"),
    ("a time zone that is a folder", "time_zone", '"Europe"', "time_zone: 'Europe' is not a time zone"),
    ("a time zone that is a path", "time_zone", '"../etc/passwd"', "time_zone: '../etc/passwd' is not a time zone"),
    ("an empty time zone", "time_zone", '""', "time_zone: '' is not a time zone"),
    ("a time zone that is a number", "time_zone", "5", f"time_zone: Input {TEXT}"),
    ("an instrument twice", "universe", '["CORN", "CORN"]', "universe: an instrument is named twice"),
    ("an instrument with a slash", "universe", '["CO/RN"]', "universe: instrument codes must have no comma, slash or blank"),
    ("an instrument that is a number", "universe", "[5]", f"universe.0: Input {TEXT}"),
    ("a universe that is a table", "universe", "{ a = 1 }", "universe: Input should be a valid tuple"),
    ("a database that is a number", "database", "5", f"database: Input {TEXT}"),
    ("no word for yes", "live_trading", '"maybe"', "live_trading: Input should be a valid boolean"),
    ("no kept days", "keep_runs_days", "0", f"keep_runs_days: Input {ABOVE}"),
    ("no capital", "capital", "0", f"capital: Input {ABOVE}"),
    ("a capital of a billionth", "capital", "1e-9", f"capital: Input {ABOVE}"),
    ("a module with a space", "rule_modules", '["a b"]', "rule_modules: a module is named as in an import"),
    ("a version that is a word", "home_version", '"two"', f"home_version: Input {WHOLE}"),
    ("a version of tomorrow", "home_version", "99", "was made by a newer tradeflow"),
    ("a section that is a number", "day", "5", "day is a section (it is 5)"),
    ("a day that begins at 25:00", "day.start", '"25:00"', "day.start: Input should be in a valid time format"),
    ("a day that ends before it begins", "day.session_end", "00:01:00", "day.session_end must be later than day.start"),
    ("steps of time of zero", "day.tick_minutes", "0", f"day.tick_minutes: Input {ABOVE}"),
    ("a frequency that nobody has", "prices.intraday_frequency", '"2H"', "prices.intraday_frequency: Input should be 'H'"),
    ("a stitching that nobody knows", "prices.stitching", '"glue"', "prices.stitching: Input should be 'panama'"),
    ("a share of the account of one", "capital_rules.max_change", "1", f"capital_rules.max_change: Input {BELOW}"),
    ("a method that nobody knows", "capital_rules.method", '"all"', "capital_rules.method: Input should be 'full'"),
    ("somebody who does not decide", "rolls.decide", '"cat"', "rolls.decide: Input should be 'auto'"),
    (
        "a first day that is a Tuesday",
        "simulated.first_day",
        "2024-01-09",
        "first_day must be a Monday (it is Tuesday 2024-01-09)",
    ),
    ("a first day in the year 1", "simulated.first_day", "0001-01-01", "simulated.first_day: Input should be greater"),
    ("a first day in the year 9999", "simulated.first_day", "9999-12-27", "simulated.first_day: Input should be less"),
    ("a first day that is a word", "simulated.first_day", '"soon"', "simulated.first_day: Input should be a valid date"),
    ("a probability of two", "simulated.faults.late_executions", "2", f"late_executions: Input {BELOW}"),
    ("a fault that nobody knows", "simulated.faults.explicit", '["rain@2024-01-08T15:00+00:00"]', "names no fault"),
    (
        "a fault on a day that is none",
        "simulated.faults.explicit",
        '["session_drops@2024-02-30T15:00+00:00"]',
        "needs a time with its zone",
    ),
    ("a port that no server has", "alerts.smtp_port", "99999", f"alerts.smtp_port: Input {BELOW}"),
    ("an address in two lines", "alerts.email_to", r'"a@b.c\r\nBcc: d@e.f"', "alerts.email_to: the text has control characters"),
    (
        "a password that is a number",
        "alerts.smtp_password",
        "48151623",
        "smtp_password: Input should be a valid string (it is of",
    ),
    ("a key that is misspelt", "capitol", "5", "unknown key capitol (nearest: capital)"),
    ("a key of a section that is misspelt", "day.tik_minutes", "5", "unknown key day.tik_minutes (nearest: tick_minutes)"),
]

NO_STRATEGIES = {
    "without a name": "",
    "named by a space": " ",
    "named as the folder above": "..",
    "named as this folder": ".",
    "with a slash": "a/b",
    "with a backslash": r"a\\b",
    "with a control character": r"a\u0001b",
    "with a line end": r"a\nb",
    "with an underscore in front": "_roll",
    "with a dash in front": "-x",
    "with a colon": "a:b",
    "with a star": "a*",
    "that ends in a space": "a ",
    "of 300 letters": "x" * 300,
}

DOCUMENTS = [
    ("a word", "hello", "is not valid TOML"),
    ("an open bracket", "[", "is not valid TOML"),
    ("no value", "market =\n", "is not valid TOML"),
    ("two equal signs", 'market = "simulated"\ncapital = = 5\n', "line 2"),
    ("a key twice", 'account = "A"\naccount = "B"\n', "is not valid TOML"),
    ("bytes that are no text", b"\xff\xfe\x00", "is not valid TOML"),
    ("a date that does not exist", "[replay]\ntape = 'x'\nstart = 2024-02-30\nend = 2024-03-01\n", "is not valid TOML"),
    ("brackets in brackets", "a = " + "[" * 5000, "is not valid TOML"),
    ("a replay that ends before it begins", "[replay]\ntape='x'\nstart=2024-01-03\nend=2024-01-02\n", "is before replay.start"),
    ("no strategy", "[strategies]\n", "at least one strategy is needed"),
    ("strategies without any weight", "[strategies.a]\nweight = 0\n", "the weights of all strategies are 0"),
    ("a strategy that is a number", "strategies = 5\n", "strategies is a section (it is 5)"),
    ("a key of a strategy that is misspelt", "[strategies.a]\nwegiht = 1\n", "unknown key strategies.a.wegiht (nearest: weight)"),
    ("alerts that are a secret", 'alerts = "48151623"\n', "alerts is a section (it is of type str)"),
]

VARIABLES = [
    ("a setting that is misspelt", "TRADEFLOW_CAPITEL", "7", "TRADEFLOW_CAPITEL: no such setting (nearest: capital); unset it"),
    ("a word for money", "TRADEFLOW_CAPITAL", "much", "environment variable TRADEFLOW_CAPITAL: capital: "),
    ("money with a comma", "TRADEFLOW_CAPITAL", "1,000", "environment variable TRADEFLOW_CAPITAL: capital: "),
    ("endless money", "TRADEFLOW_CAPITAL", "inf", f"TRADEFLOW_CAPITAL: capital: Input {FINITE}"),
    ("beyond all money", "TRADEFLOW_CAPITAL", "1e400", "environment variable TRADEFLOW_CAPITAL: capital: "),
    ("no money", "TRADEFLOW_CAPITAL", "0", f"TRADEFLOW_CAPITAL: capital: Input {ABOVE}"),
    ("an empty currency", "TRADEFLOW_BASE_CURRENCY", "", "TRADEFLOW_BASE_CURRENCY: base_currency: "),
    ("a key of a section that is misspelt", "TRADEFLOW_DAY__TIK_MINUTES", "7", "unknown key day.tik_minutes (nearest: tick"),
    ("a section as a value", "TRADEFLOW_DAY", "20:00", "TRADEFLOW_DAY: day is a section"),
    ("strategies as a value", "TRADEFLOW_STRATEGIES", "slow", "TRADEFLOW_STRATEGIES__NAME__CONFIG"),
    ("a negative weight", "TRADEFLOW_STRATEGIES__TREND_CARRY__WEIGHT", "-1", f"weight: Input {ABOVE}"),
    ("a weight that is no number", "TRADEFLOW_STRATEGIES__TREND_CARRY__WEIGHT", "nan", f"weight: Input {FINITE}"),
    ("half a minute", "TRADEFLOW_DAY__TICK_MINUTES", "0.5", f"day.tick_minutes: Input {WHOLE}"),
    ("a zone that is a folder", "TRADEFLOW_TIME_ZONE", "Europe", "time_zone: 'Europe' is not a time zone"),
    ("an unknown market", "TRADEFLOW_MARKET", "moon", "TRADEFLOW_MARKET: market: Input should be 'simulated'"),
    ("an instrument twice", "TRADEFLOW_UNIVERSE", "CORN,CORN", "universe: an instrument is named twice"),
    ("a fault that nobody knows", "TRADEFLOW_SIMULATED__FAULTS__EXPLICIT", "rain@2024-01-08T15:00+00:00", "names no fault"),
    ("no word for yes", "TRADEFLOW_LIVE_TRADING", "perhaps", "live_trading: Input should be a valid boolean"),
]


def with_value(settings: str, key: str, value: str) -> str:
    """A settings file in which `key`, a dotted path, has `value`, a text of TOML."""
    *sections, name = key.split(".")
    plain = [line for line in settings.splitlines() if not re.match(rf"{name}\s*=", line)]
    section = f"[{'.'.join(sections)}]"
    if not sections:
        return "\n".join([f"{name} = {value}", *plain])
    at = plain.index(section) if section in plain else len(plain)
    return "\n".join([*plain[:at], section, f"{name} = {value}", *plain[at + 1 :]])


@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS.keys())
@pytest.mark.parametrize("key", NUMBERS)
def test_what_is_no_number_is_refused_for(key: str, value: str, traded: Path) -> None:
    file = traded / "tradeflow.toml"
    with instead(file, with_value(file.read_text(), key, value)):
        refused(traded, ("status",), f"tradeflow.toml: {key}: ")


@pytest.mark.parametrize(("key", "value", "message"), [row[1:] for row in VALUES], ids=[row[0] for row in VALUES])
def test_a_setting_is_refused_for(key: str, value: str, message: str, traded: Path) -> None:
    file = traded / "tradeflow.toml"
    with instead(file, with_value(file.read_text(), key, value)):
        refused(traded, ("day", "--days", "1"), message)


@pytest.mark.parametrize("name", NO_STRATEGIES.values(), ids=NO_STRATEGIES.keys())
def test_a_strategy_is_refused(name: str, traded: Path) -> None:
    file = traded / "tradeflow.toml"
    with instead(file, f'{file.read_text()}\n[strategies."{name}"]\nweight = 1\n'):
        refused(traded, ("status",), "strategies" if "\\u" not in name and "\\n" not in name else "a strategy is named by")


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in DOCUMENTS], ids=[row[0] for row in DOCUMENTS])
def test_a_settings_file_is_refused_for(text: str | bytes, message: str, traded: Path) -> None:
    with instead(traded / "tradeflow.toml", text):
        refused(traded, ("status",), message)


@pytest.mark.parametrize(("variable", "value", "message"), [row[1:] for row in VARIABLES], ids=[row[0] for row in VARIABLES])
def test_a_variable_is_refused_for(variable: str, value: str, message: str, traded: Path) -> None:
    refused(traded, ("status",), message, {variable: value})


@pytest.mark.parametrize("line", ["smtp_password = 48151623", "smtp_password = [48151623]", "smtp_password = true"])
def test_no_message_shows_a_password(line: str, traded: Path) -> None:
    with instead(traded / "tradeflow.toml", f"[alerts]\n{line}\n"):
        result_of = refused
        result_of(traded, ("status",), "alerts.smtp_password")
