"""Strategy files that are wrong: a day is refused before the clock moves, and the file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.corpus import instead, refused

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

FILES = [
    ("nothing", "", "line 1: a strategy file is a mapping"),
    ("a list", "- 1\n- 2\n", "line 1: a strategy file is a mapping"),
    ("a word", "hello\n", "line 1: a strategy file is a mapping"),
    ("a tab", "a:\n\t- 1\n", "line 2: not valid YAML"),
    ("an open bracket", "trading_rules: [1\n", "not valid YAML"),
    ("bytes that are no text", b"\xff\xfe\x00\x01", "cannot be read"),
    ("two documents", "buffer_size: 0.1\n---\nbuffer_size: 0.2\n", "not valid YAML"),
    ("an anchor within itself", "trading_rules: &a [*a]\n", "an anchor (&) that is named"),
    ("anchors that fill the memory", LAUGHS, "an anchor (&) that is named too often"),
    ("brackets in brackets", "trading_rules: " + "[" * 3000 + "]" * 3000, "strategy.yaml"),
    ("two megabytes", "# " + "x" * 2**21, "more than 1,048,576 bytes"),
    ("an object of Python", "trading_rules: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
    ("a key twice", "buffer_size: 0.1\nbuffer_size: 0.2\n", "line 2: key buffer_size is given twice; first on line 1"),
    ("a key that is a list", "? [a, b]\n: 1\n", "strategy.yaml"),
    ("an unknown key", "bufer_size: 0.1\n", "line 1: unknown key bufer_size (nearest: buffer_size)"),
    ("a day that does not exist", "start_date: 2024-02-30\n", "not valid YAML"),
    ("a buffer that is a word", "buffer_size: wide\n", "line 1"),
    ("an endless buffer", "buffer_size: .inf\n", "buffer_size"),
    ("a buffer that is no number", "buffer_size: .nan\n", "buffer_size"),
    ("a negative buffer", "buffer_size: -1\n", "buffer_size"),
    ("a volatility of zero", "percentage_vol_target: 0\n", "percentage_vol_target"),
    ("an endless volatility", "percentage_vol_target: .inf\n", "percentage_vol_target"),
    ("a volatility with a comma", 'percentage_vol_target: "1,000"\n', "percentage_vol_target"),
    ("a cap of zero", "forecast_cap: 0\n", "forecast_cap"),
    ("a negative cap", "forecast_cap: -20\n", "forecast_cap"),
    ("rules that are a number", "trading_rules: 5\n", "trading_rules"),
    ("a rule that is not allowed", "trading_rules:\n  x:\n    function: os.system\n", "os"),
    ("a base that is this file", "base_config: strategy.yaml\n", "leads back to this file"),
    ("a base that is not there", "base_config: nowhere.yaml\n", "nowhere.yaml cannot be read"),
    ("a base that is a folder", "base_config: config\n", "cannot be read"),
]
NAMES = [
    ("no file", "nowhere.yaml", "cannot be read"),
    ("a folder", "config", "cannot be read"),
    ("an empty path", "", "cannot be read"),
    ("a path of 300 letters", "x" * 300, "name too long"),
    ("a file that is no YAML", "ledger.sqlite", "cannot be read"),
]


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in FILES], ids=[row[0] for row in FILES])
def test_a_strategy_file_is_refused_for(text: str | bytes, message: str, traded: Path) -> None:
    settings = traded / "tradeflow.toml"
    strategy = '\n[strategies.mine]\nconfig = "strategy.yaml"\n'
    with instead(traded / "strategy.yaml", text), instead(settings, settings.read_text() + strategy):
        refused(traded, ("day", "--days", "1"), message)


@pytest.mark.parametrize(("path", "message"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
def test_the_path_of_a_strategy_is_refused_for(path: str, message: str, traded: Path) -> None:
    settings = traded / "tradeflow.toml"
    with instead(settings, f'{settings.read_text()}\n[strategies.mine]\nconfig = "{path}"\n'):
        refused(traded, ("day", "--days", "1"), message)
