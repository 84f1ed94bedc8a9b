"""Names that nobody bears, or that no file and no table could bear."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.corpus import WHY, refused

NO_INSTRUMENTS = {"unknown": "NOPE", "empty": "", "above": "../x", "in small letters": "corn", "long": "x" * 300, "bell": "a\x07"}
OF_INSTRUMENTS = [
    ("status", "{}"),
    ("locks", "lock", "{}", *WHY),
    ("locks", "unlock", "{}", *WHY),
    ("locks", "--instrument", "{}"),
    ("overrides", "set", "0.5", "--instrument", "{}", *WHY),
    ("overrides", "clear", "--instrument", "{}", *WHY),
    ("limits", "position", "{}", "5", *WHY),
    ("limits", "trade", "{}", "5", "--days", "1", *WHY),
    ("limits", "--instrument", "{}"),
    ("orders", "manual", "trend_carry", "{}", "1", *WHY),
    ("orders", "balance", "trend_carry", "{}", "20240300", "1", "450", *WHY),
    ("positions", "--instrument", "{}"),
    ("positions", "transfer", "{}", "1", "--from", "trend_carry", "--to", "trend_carry", *WHY),
    ("positions", "assign", "{}", "--to", "trend_carry", *WHY),
    ("positions", "adopt", "{}", "--yes", *WHY),
    ("roll", "set", "{}", "Force", "--yes"),
    ("roll", "preview", "{}"),
    ("roll", "parameters", "{}", "--roll-offset", "1", "--yes"),
    ("roll", "auto", "{}", "--yes"),
    ("prices", "check", "{}"),
    ("prices", "update", "{}"),
    ("prices", "delete", "{}", "--yes"),
    ("prices", "repair", "{}", *WHY),
    ("prices", "spreads", "{}"),
    ("backfill", "{}", "--dry-run"),
    ("backtest", "run", "static_trend_carry", "--instruments", "{}"),
]
NO_STRATEGIES = {"unknown": "nobody", "above": "..", "with a slash": "a/b", "long": "x" * 300, "bell": "a\x07"}
OF_STRATEGIES = [
    ("orders", "manual", "{}", "CORN", "1", *WHY),
    ("positions", "transfer", "CORN", "1", "--from", "trend_carry", "--to", "{}", *WHY),
    ("overrides", "set", "0.5", "--strategy", "{}", *WHY),
    ("limits", "position", "CORN", "5", "--strategy", "{}", *WHY),
    ("backtest", "show", "{}"),
    ("backtest", "compare", "{}"),
    ("backtest", "run", "{}"),
    ("backtest", "sweep", "{}", "--set", "buffer_size=0.1"),
]
OTHERS = [
    ("a command", ("stats",), "No such command 'stats' (nearest: status)"),
    ("a command of orders", ("orders", "cancels", "1"), "No such command 'cancels'"),
    ("an option", ("status", "--jsn"), "No such option"),
    ("a stage", ("backtest", "show", "trend_carry", "--stage", "nope"), "nope"),
    ("a state of rolls", ("roll", "set", "CORN", "Sideways", "--yes"), "Sideways"),
    ("a state to explain", ("roll", "explain", "Sideways"), "Sideways"),
    ("a region", ("prices", "update", "--region", "MOON"), "unknown region 'MOON'"),
    ("a region of spreads", ("prices", "spreads", "--region", "MOON"), "unknown region 'MOON'"),
    ("a currency", ("prices", "check", "--fx", "QQQ"), "QQQ"),
    ("a month letter", ("roll", "parameters", "CORN", "--hold", "?", "--yes"), "month letters"),
    ("a contract", ("orders", "manual", "trend_carry", "CORN", "1", "--contract", "soon", *WHY), "soon"),
    ("a spread", ("orders", "manual", "trend_carry", "CORN", "1", "--spread", "soon", *WHY), "soon"),
    ("an order at the broker", ("orders", "settle", "NOPE", "--as", "cancelled", *WHY), "NOPE is not an unknown order"),
    ("an end of an order", ("orders", "settle", "NOPE", "--as", "lost", *WHY), "'lost' is not one of"),
    ("an execution", ("orders", "void", "NOPE", *WHY), "NOPE"),
    ("an override", ("overrides", "set", "half", "--instrument", "CORN", *WHY), "override 'half': write a fraction"),
    ("an override above one", ("overrides", "set", "2", "--instrument", "CORN", *WHY), "override '2': write a fraction"),
    ("a frequency", ("prices", "seed", "CORN", "--csv", ".", "--contract", "20240300", "--frequency", "2H"), "'2H' is not"),
    ("a market", ("init", "--market", "moon"), "'moon' is not one of"),
    ("a setting of a strategy", ("backtest", "run", "static_trend_carry", "--set", "buffers=1"), "unknown key buffers"),
    ("a setting without a value", ("backtest", "run", "static_trend_carry", "--set", "buffer_size"), "write key=value"),
    ("a rule", ("backtest", "run", "static_trend_carry", "--set", "trading_rules=abc"), "trading_rules"),
    ("an empty amount", ("capital", "flow", *WHY, "--yes", "--", ""), "an argument is empty"),
    ("an empty reason", ("locks", "lock", "CORN", "--why", ""), "the value of --why is empty"),
    ("a reason of spaces", ("locks", "lock", "CORN", "--why", "  "), "give the reason"),
]


@pytest.mark.parametrize("name", NO_INSTRUMENTS.values(), ids=NO_INSTRUMENTS.keys())
@pytest.mark.parametrize("words", OF_INSTRUMENTS, ids=lambda words: " ".join(words[:2]))
def test_an_instrument_is_refused(words: tuple[str, ...], name: str, traded: Path) -> None:
    message = name if name.isprintable() and name else "is empty" if not name else "has control characters"
    refused(traded, tuple(word.replace("{}", name) for word in words), message)


@pytest.mark.parametrize("name", NO_STRATEGIES.values(), ids=NO_STRATEGIES.keys())
@pytest.mark.parametrize("words", OF_STRATEGIES, ids=lambda words: " ".join(words[:2]))
def test_a_strategy_is_refused(words: tuple[str, ...], name: str, traded: Path) -> None:
    message = name if name.isprintable() else "has control characters"
    refused(traded, tuple(word.replace("{}", name) for word in words), message)


@pytest.mark.parametrize(("words", "message"), [row[1:] for row in OTHERS], ids=[row[0] for row in OTHERS])
def test_a_word_is_refused(words: tuple[str, ...], message: str, traded: Path) -> None:
    refused(traded, words, message)
