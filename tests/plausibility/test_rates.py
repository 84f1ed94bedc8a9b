"""Rates that stand out are noticed: the wrong way round, a hundred times off, for some days or from a day on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tradeflow_core.plausibility import doubtful_rates, rates_beside_futures


def rates(level: float, days: int = 1000, seed: int = 1) -> pd.Series:
    moves = np.random.default_rng(seed).normal(0, 0.006, days)
    return pd.Series(level * np.exp(np.cumsum(moves)), index=pd.bdate_range("2015-01-05", periods=days, tz="UTC"))


LEVELS = {"EUR": 1.15, "JPY": 0.0069, "GBP": 1.27, "KRW": 0.00075, "XYZ": 12.0}


@pytest.mark.parametrize("currency", LEVELS)
@pytest.mark.parametrize("seed", range(5))
def test_usual_rates_are_not_doubted(currency: str, seed: int) -> None:
    assert doubtful_rates(currency, rates(LEVELS[currency], seed=seed)) == []


@pytest.mark.parametrize("days", [1, 3, 20])
@pytest.mark.parametrize("currency", ["JPY", "KRW", "XYZ"])
def test_rates_that_are_turned_round_for_some_days_are_named(currency: str, days: int) -> None:
    wrong = rates(LEVELS[currency])
    wrong.iloc[400 : 400 + days] = 1 / wrong.iloc[400 : 400 + days]
    found, *more = doubtful_rates(currency, wrong)
    assert "the other way round" in found.detail and not more
    assert (found.first, found.rows) == (wrong.index[400], days)


@pytest.mark.parametrize("factor", [0.01, 0.1, 10, 100])
@pytest.mark.parametrize("days", [1, 5, 600])
def test_rates_that_are_times_off_are_named_with_their_factor(factor: float, days: int) -> None:
    wrong = rates(1.15)
    wrong.iloc[400 : 400 + days] *= factor
    found = doubtful_rates("XYZ", wrong)[0]
    size = f"{1 / factor if factor < 1 else factor:g}"
    assert f"about {size} times too {'high' if factor > 1 else 'low'}" in found.detail


def test_a_whole_series_of_a_size_that_a_currency_never_had_is_named() -> None:
    (found,) = doubtful_rates("JPY", 1 / rates(0.0069))
    assert "units of the currency for one dollar" in found.detail


def test_what_a_person_has_accepted_and_what_follows_it_is_right() -> None:
    devalued = rates(1.15)
    devalued.iloc[700:] /= 3
    accepted = np.arange(len(devalued)) == 700
    assert doubtful_rates("XYZ", devalued) and doubtful_rates("XYZ", devalued, accepted) == []
    small = rates(0.01)
    assert doubtful_rates("EUR", small) and doubtful_rates("EUR", small, np.arange(len(small)) == 0) == []


def test_a_whole_series_the_other_way_round_is_found_by_the_future_on_the_currency() -> None:
    """A euro costs about a dollar either way, so that nothing else can tell."""
    euro = rates(1.15)
    future = 1.01 * euro.shift(freq="23h")
    assert not list(rates_beside_futures("EUR", euro, future))
    (turned,) = rates_beside_futures("EUR", 1 / (euro + 0.35), future + 0.35)
    assert "while futures on it trade at" in turned.detail and "the other way round" in turned.detail
    (hundred,) = rates_beside_futures("EUR", 100 * euro, future)
    assert "about 100 times too high" in hundred.detail
