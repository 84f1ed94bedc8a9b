"""Days and times that do not exist, or that no market has seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.corpus import WHY, refused

NO_DAYS = {
    "30 February": "2024-02-30",
    "month 13": "2023-13-01",
    "a word": "yesterday",
    "year 0": "0000-01-01",
    "year 1": "0001-01-01",
}
NO_DAYS |= {"year 9999": "9999-12-31", "empty": ""}
OF_DAYS = [
    ("orders", "list", "--day={}"),
    ("backtest", "show", "trend_carry", "--day={}"),
    ("backtest", "compare", "trend_carry", "{}"),
    ("backtest", "run", "static_trend_carry", "--start={}"),
    ("prices", "update", "CORN", "--full-refresh", "--start={}"),
    ("prices", "update", "CORN", "--full-refresh", "--end={}"),
    ("backfill", "CORN", "--start={}"),
    ("replay", "tape", "--start={}", "--end=2024-01-10"),
    ("prices", "check", "CORN", "--accept=20240300@{}", "--yes", *WHY),
    ("prices", "check", "CORN", "--replace=20240300@{}=450", "--yes", *WHY),
    ("capital", "flow", "100", "--at={}", "--yes", *WHY),
    ("orders", "balance", "trend_carry", "CORN", "20240300", "1", "450", "--time={}", "--force", *WHY),
]


@pytest.mark.parametrize("day", NO_DAYS.values(), ids=NO_DAYS.keys())
@pytest.mark.parametrize("words", OF_DAYS, ids=lambda words: " ".join(words[:2]))
def test_a_day_is_refused(words: tuple[str, ...], day: str, traded: Path) -> None:
    refused(traded, tuple(word.replace("{}", day) for word in words), "" if words[1] == "flow" else day)
