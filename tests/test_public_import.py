"""`import tradeflow_core as tf`: what may be relied on from outside, at no cost until it is used."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import tomllib

import pytest

import tradeflow_core as tf
from tests.conftest import REPO

ELSEWHERE = [
    ("instruments", "RollRule"),
    ("prices", "back_adjust"),
    ("prices", "build_multiple_prices"),
    ("prices", "build_roll_calendar"),
    ("strategy", "load_strategy"),
    ("strategy", "BacktestData"),
    ("strategy", "run_backtest"),
]
"""Names that were used from outside before there was one public import; they stay where they were."""


@pytest.mark.parametrize("name", tf.__all__)
def test_every_public_name_is_found_and_described(name: str) -> None:
    thing = getattr(tf, name)
    assert isinstance(thing, tuple) or thing.__doc__


def test_the_names_of_the_first_lines_of_a_notebook_are_there() -> None:
    wanted = (
        "load_strategy run_backtest BacktestData StrategyConfig Backtest back_adjust build_multiple_prices build_roll_calendar"
    )
    assert set(f"{wanted} RollRule Instrument Home Desk TradeflowError".split()) <= set(tf.__all__)


@pytest.mark.parametrize(("room", "name"), ELSEWHERE)
def test_a_name_that_was_used_before_is_the_same_thing(room: str, name: str) -> None:
    assert getattr(importlib.import_module(f"tradeflow_core.{room}"), name) is getattr(tf, name)


def test_the_import_alone_loads_no_library_but_the_lazy_loader() -> None:
    program = "import sys; before = set(sys.modules); import tradeflow_core; import json; print(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert loaded - set(sys.stdlib_module_names) == {"tradeflow_core", "lazy_loader"}


def test_the_version_is_that_of_the_package_and_of_the_changes() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", tf.__version__)
    assert f"## {tf.__version__} " in (REPO / "CHANGELOG.md").read_text(encoding="utf-8")
    dynamic = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["dynamic"]
    assert dynamic["version"] == {"attr": "tradeflow_core.__version__"}


def test_every_public_name_stands_on_the_page_about_it() -> None:
    page = (REPO / "docs" / "public.md").read_text(encoding="utf-8")
    assert [name for name in tf.__all__ if f"`{name}`" not in page] == []
