"""The page about corrections names all of them, and its figures are put between its markers."""

from __future__ import annotations

import re

import pytest

from benchmarks.corrections import ALL, BEGIN, END, REFERENCE, Effect, Outcome, table, written
from tests.conftest import REPO
from tradeflow_core.strategy.config.compat import Correction

PAGE = (REPO / "docs" / "corrections.md").read_text(encoding="utf-8")


def test_every_correction_has_a_line_in_the_list() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(Correction)


def test_measured_rows_are_of_corrections_that_exist_and_each_strategy_accounts_for_all() -> None:
    sections = PAGE.partition(BEGIN)[2].partition(END)[0].split("### ")[1:]
    assert len(sections) >= 3
    for section in sections:
        rows = re.findall(r"^\| ([a-z_]+) \|", section, re.MULTILINE)
        still = re.findall(r"[a-z_]+", section.partition("No effect here: ")[2].partition(".")[0])
        assert sorted([*(row for row in rows if row != "correction"), *still]) == sorted(Correction)


def test_figures_replace_what_is_between_the_markers() -> None:
    once = written(PAGE, "figures")
    assert f"{BEGIN}\n\nfigures\n{END}" in once
    assert written(once, "figures") == once
    with pytest.raises(SystemExit, match="needs the markers"):
        written("no markers", "figures")


def test_a_correction_without_effect_is_named_below_the_table() -> None:
    import pandas as pd

    nothing = pd.DataFrame()
    before, after = Outcome(nothing, nothing, 1.0, 0.9, 10.0), Outcome(nothing, nothing, 1.1, 1.0, 11.0)
    rows = [
        Effect(REFERENCE, 0.0, 0.0, before),
        Effect("lone_asset", 0.0, 0.0, before),
        Effect("point_risk", 0.0, 0.01, before),
        Effect(ALL, 0.1, 0.2, after),
    ]
    text = table(rows)
    assert "| point_risk | 0.00% | 1.00% | 1.000 | 0.900 | 10.0 |" in text
    assert "| all corrections | 10.00% | 20.00% | 1.100 | 1.000 | 11.0 |" in text
    assert text.endswith("No effect here: lone_asset.")
