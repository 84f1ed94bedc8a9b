"""Amounts, prices and counts that are none: no command takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.corpus import WHY, refused

NO_AMOUNTS = {
    "infinite": "inf",
    "not a number": "nan",
    "beyond all numbers": "1e400",
    "in powers of ten": "1e6",
    "a word": "much",
    "with a comma for a point": "10,50",
    "with a comma in the wrong place": "1,0000",
    "hexadecimal": "0x10",
    "with an underscore": "1_000",
    "in other digits": "１２",
    "with a currency": "100 USD",
    "with three decimals": "1.005",
    "more than there is": "99999999999999999999",
}
AMOUNTS = {
    "a flow": ("capital", "flow", *WHY, "--yes", "--", "{}"),
    "an account value to accept": ("capital", "accept", "--value={}", *WHY, "--yes"),
    "an account value to refuse": ("capital", "refuse", "--value={}", *WHY, "--yes"),
    "a total of capital": ("capital", "initial", "--total={}", *WHY, "--yes"),
    "a profit so far": ("capital", "initial", "--accumulated={}", *WHY, "--yes"),
    "a commission": ("orders", "balance", "trend_carry", "CORN", "20240300", "1", "450", "--commission={}", "--force", *WHY),
}
NO_PRICES = {
    "infinite": "inf",
    "negative and infinite": "-inf",
    "not a number": "nan",
    "beyond all numbers": "1e400",
    "absurd": "1e30",
    "a word": "dear",
    "with a comma": "1,000",
}
PRICES = {
    "a limit": ("orders", "manual", "trend_carry", "CORN", "1", "--limit={}", *WHY),
    "a balancing fill": ("orders", "balance", "--force", *WHY, "--", "trend_carry", "CORN", "20240300", "1", "{}"),
    "a fill": ("orders", "fill", "--force", *WHY, "--", "REF", "1", "{}"),
    "a corrected fill": ("orders", "correct", "1", "--price={}", *WHY),
    "a position to assign": ("positions", "assign", "CORN", "--to", "trend_carry", "--price={}", *WHY),
    "a position to transfer": ("positions", "transfer", "CORN", "1", "--from", "trend_carry", "--to", "b", "--price={}", *WHY),
    "a price to replace": ("prices", "check", "CORN", "--replace=20240300@2024-01-05T19:20={}", *WHY, "--yes"),
    "the capital of a home": ("init", "--capital={}"),
    "the capital of a backtest": ("backtest", "run", "static_trend_carry", "--capital={}"),
    "the capital of a replay": ("replay", "tape", "--start", "2024-01-02", "--end", "2024-01-03", "--capital={}"),
    "a leverage": ("limits", "populate", "--max-leverage={}", "--yes", *WHY),
}
NO_COUNTS = {"negative": "-1", "half": "0.5", "infinite": "inf", "a word": "few", "huge": "99999999999999999999"}
COUNTS = {
    "alerts": ("alerts", "--newest={}"),
    "days of rolls": ("roll", "--days={}"),
    "days to run": ("day", "--days={}"),
    "rows of capital": ("capital", "--rows={}"),
    "rows of a run": ("backtest", "show", "trend_carry", "--rows={}"),
    "days of a trade limit": ("limits", "trade", "CORN", "5", "--days={}", *WHY),
    "days of all trade limits": ("limits", "populate", "--days={}", "--yes", *WHY),
    "contracts of a limit": ("limits", "position", *WHY, "--", "CORN", "{}"),
    "a port": ("ui", "--port={}"),
    "an order to show": ("orders", "show", "--", "{}"),
    "an order to cancel": ("orders", "cancel", *WHY, "--", "{}"),
    "an event to void": ("capital", "void", *WHY, "--yes", "--", "{}"),
    "a seed": ("init", "--seed={}"),
}
NO_CONTRACTS = {"no number": "few", "half": "0.5", "none": "0", "huge": "99999999999999999999", "infinite": "inf"}
CONTRACTS = {
    "an order": ("orders", "manual", *WHY, "--", "trend_carry", "CORN", "{}"),
    "a transfer": ("positions", "transfer", "--from=trend_carry", "--to=trend_carry", *WHY, "--", "CORN", "{}"),
    "a fill by hand": ("orders", "balance", *WHY, "--", "trend_carry", "CORN", "20240300", "{}", "450"),
}


def filled(words: tuple[str, ...], value: str) -> tuple[str, ...]:
    """The words of a command with `value` in its place."""
    return tuple(word.replace("{}", value) for word in words)


@pytest.mark.parametrize("amount", NO_AMOUNTS.values(), ids=NO_AMOUNTS.keys())
@pytest.mark.parametrize("words", AMOUNTS.values(), ids=AMOUNTS.keys())
def test_an_amount_is_refused(words: tuple[str, ...], amount: str, traded: Path) -> None:
    refused(traded, filled(words, amount), amount)


@pytest.mark.parametrize("price", NO_PRICES.values(), ids=NO_PRICES.keys())
@pytest.mark.parametrize("words", PRICES.values(), ids=PRICES.keys())
def test_a_price_is_refused(words: tuple[str, ...], price: str, traded: Path) -> None:
    refused(traded, filled(words, price), price)


@pytest.mark.parametrize("count", NO_COUNTS.values(), ids=NO_COUNTS.keys())
@pytest.mark.parametrize("words", COUNTS.values(), ids=COUNTS.keys())
def test_a_count_is_refused(words: tuple[str, ...], count: str, traded: Path) -> None:
    refused(traded, filled(words, count), count)


@pytest.mark.parametrize("count", NO_CONTRACTS.values(), ids=NO_CONTRACTS.keys())
@pytest.mark.parametrize("words", CONTRACTS.values(), ids=CONTRACTS.keys())
def test_a_number_of_contracts_is_refused(words: tuple[str, ...], count: str, traded: Path) -> None:
    refused(traded, filled(words, count), "")
