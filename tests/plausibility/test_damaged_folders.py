"""A damaged data folder is refused, or a caveat names the instrument: no figure of a backtest changes without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plausibility.damage import FIGURES, KINDS, backtest, figures, make_folder, outcome
from tradeflow_core.strategy.results import Summary

DOUBTS = {"suspected spike", "odd carry price", "odd forward price", "no carry price", "adjusted prices differ", "odd rate"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """The sound folder, and its backtest."""
    folder = make_folder(tmp_path_factory.mktemp("sound") / "data")
    return folder, backtest(folder)


def test_of_a_sound_folder_nothing_is_doubted(sound: tuple[Path, Summary]) -> None:
    _, summary = sound
    assert not [each for each in summary.shortcomings if each.kind in DOUBTS]
    assert figures(summary)[[*FIGURES, "turnover"]].notna().all(axis=None)


@pytest.mark.parametrize("seed", range(2 * len(KINDS)))
def test_a_damage_that_changes_a_figure_is_said(sound: tuple[Path, Summary], seed: int) -> None:
    found = outcome(sound[0], seed, sound[1])
    assert found.passed, found


@pytest.mark.soak
@pytest.mark.slow
def test_no_damage_of_hundreds_changes_a_figure_without_a_word(sound: tuple[Path, Summary]) -> None:
    seeds = range(2 * len(KINDS), 2 * len(KINDS) + 30 * len(KINDS))
    assert [found for seed in seeds if not (found := outcome(sound[0], seed, sound[1])).passed] == []
