"""The site builds without a warning, and its pages about commands and settings say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tradeflow_core as tf
from tests.conftest import REPO
from tradeflow_core.home import Home

sys.path.insert(0, str(REPO / "docs" / "_ext"))

from pages_from_code import commands, root_file, settings


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", str(REPO / "docs"), str(tmp_path)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reference" / "api.html").read_text(encoding="utf-8")
    assert "tradeflow_core.run_backtest" in page and "tradeflow_core.Desk" in page


def test_the_page_of_commands_has_every_command_with_its_options() -> None:
    page = commands()
    for title in ("## tradeflow", "### tradeflow status", "#### tradeflow roll set", "#### tradeflow import pysystemtrade"):
        assert f"\n{title}\n" in f"\n{page}"
    stop = page.partition("### tradeflow stop\n")[2].partition("\n### ")[0]
    assert "tradeflow stop [OPTIONS]" in stop and "Stop trading at once" in stop and "| `--why TEXT` |" in stop


def test_the_variables_on_the_page_of_settings_set_what_they_say(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = re.findall(r"; default `([^`\[]+)`; `(TRADEFLOW_\w+)`$", settings(), re.MULTILINE)
    assert len(plain) > 30
    for default, variable in plain:
        if not variable.startswith("TRADEFLOW_REPLAY__"):  # a simulated home has no such section, which needs a tape
            monkeypatch.setenv(variable, default)
    read = Home.open(home.path).settings
    assert (read.market, read.day.tick_minutes, read.rolls.passive_days) == ("simulated", 30, 10)
    assert str(read.capital) == "10000000", "the variable of `capital` overlays the home's own"


def test_the_page_of_settings_shows_kinds_defaults_and_choices() -> None:
    page = settings()
    assert "\n  whole number, at least `1`, at most `240`; default `30`; `TRADEFLOW_DAY__TICK_MINUTES`" in page
    assert "## `[strategies.NAME]`" in page and "`TRADEFLOW_STRATEGIES__NAME__WEIGHT`" in page
    assert "one of `full`, `half`, `fixed`" in page


def test_links_of_a_file_of_the_root_fit_the_site() -> None:
    page = root_file("SECURITY.md")
    assert "](changelog.md)" in page and "](docs/" not in page


def test_the_page_of_the_python_interface_shows_every_public_name() -> None:
    page = (REPO / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\.\. (?:auto|py:)\w+:: tradeflow_core\.(\w+)", page, re.MULTILINE)
    assert sorted(shown) == sorted(tf.__all__)
