"""From estimates to weights, and how much a portfolio of unlike assets is scaled up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from tests.strategy.returns import same
from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.config.estimates import WeightEstimate
from tradeflow_core.strategy.estimation import (
    Correlation,
    Estimates,
    FitPeriod,
    adjusted_for_sharpe,
    diversification_multiplier,
    handcrafted,
    max_sharpe_weights,
    multiplier_over_time,
    optimal_weights,
    sharpe_multipliers,
    two_clusters,
)
from tradeflow_core.strategy.estimation.two_asset_search import searched_first_weights

seeds = st.integers(0, 10_000)


# Optimisers


def estimates(seed: int, size: int, years: float = 20.0) -> Estimates:
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((size, 3)) @ rng.standard_normal((3, 60)) + rng.standard_normal((size, 60))
    correlation = Correlation(tuple(f"c{n:02d}" for n in range(size)), np.atleast_2d(np.corrcoef(factors)))
    return Estimates(correlation, rng.normal(0.05, 0.06, size), rng.uniform(0.05, 0.4, size), years)


@given(
    seed=seeds,
    size=st.integers(2, 9),
    method=st.sampled_from(["handcraft", "shrinkage", "one_period", "equal_weights"]),
    equal=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_weights_are_never_negative_and_sum_to_one_unless_handcrafted_by_likeness(
    seed: int, size: int, method: Any, equal: bool
) -> None:
    weights = optimal_weights(estimates(seed, size), WeightEstimate(method=method, equalise_SR=equal))
    assert (weights >= 0).all()
    if method == "handcraft" and equal:
        assert weights.sum() >= 1 - 1e-12
    else:
        assert weights.sum() == pytest.approx(1.0)


@given(seed=seeds, size=st.integers(2, 7))
@settings(max_examples=30, deadline=None)
def test_no_search_finds_a_better_portfolio_than_the_exact_one(seed: int, size: int) -> None:
    case = estimates(seed, size)
    covariance = case.deviation[:, None] * case.correlation.values * case.deviation

    def sharpe(weights: NDArray[np.float64]) -> float:
        return float(weights @ case.mean / np.sqrt(weights @ covariance @ weights))

    best = sharpe(max_sharpe_weights(case.mean, covariance))
    others = np.random.default_rng(seed).dirichlet(np.ones(size), 50)
    assert (
        best
        >= max(sharpe(max_sharpe_weights(case.mean, covariance, "slsqp")), *map(sharpe, others), *map(sharpe, np.eye(size)))
        - 1e-9
    )


def test_the_best_portfolio_of_losing_assets_is_the_one_that_loses_least_for_its_risk() -> None:
    covariance = np.array([[0.01, 0.005], [0.005, 0.04]])
    assert list(max_sharpe_weights(np.array([-0.05, -0.02]), covariance)) == [0.0, 1.0]


def test_correlations_that_no_returns_could_have_still_give_weights() -> None:
    impossible = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    weights = max_sharpe_weights(np.full(3, 0.1), impossible)
    assert (weights >= 0).all() and weights.sum() == pytest.approx(1.0)


def test_two_likes_and_an_unlike_are_split_in_that_way_and_weighted_half_and_half() -> None:
    correlation = Correlation(("a", "b", "c"), np.array([[1.0, 0.1, 0.8], [0.1, 1.0, 0.1], [0.8, 0.1, 1.0]]))
    one, other = two_clusters(correlation)
    assert (list(one), list(other)) == ([0, 2], [1])
    weights = handcrafted(correlation)
    assert weights[1] == 0.5 and weights[0] == weights[2] == pytest.approx(0.25 / np.sqrt(0.9))


def test_assets_that_cannot_be_told_apart_take_turns() -> None:
    same_everywhere = Correlation.constant(("a", "b", "c", "d", "e"), 0.5)
    assert [list(group) for group in two_clusters(replace(same_everywhere, boring=False))] == [[0, 2, 4], [1, 3]]


def test_assets_without_estimates_are_set_aside() -> None:
    case = estimates(4, 5)
    mean = case.mean.copy()
    mean[1] = np.nan
    values = case.correlation.values.copy()
    values[3, :] = values[:, 3] = np.nan
    part = replace(case, mean=mean, correlation=replace(case.correlation, values=values))
    assert list(np.isnan(optimal_weights(part, WeightEstimate()))) == [False, True, False, True, False]


def test_a_lone_asset_counts_only_when_corrected() -> None:
    lone = Estimates(Correlation(("a",), np.array([[1.0]])), np.array([0.1]), np.array([0.2]), 5.0)
    assert np.isnan(optimal_weights(lone, WeightEstimate())).all()
    assert list(optimal_weights(lone, WeightEstimate(), lone_asset=True)) == [1.0]


def test_methods_that_do_not_exist_or_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="equalise_vols"):
        optimal_weights(estimates(1, 3), WeightEstimate(equalise_vols=False))
    with pytest.raises(ValidationError, match="method"):
        WeightEstimate(method="guess")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="solver"):
        max_sharpe_weights(np.ones(2), np.eye(2), "luck")  # type: ignore[arg-type]


@given(correlation=st.floats(-0.5, 0.95), years=st.floats(1, 60))
@settings(deadline=None)
def test_a_better_sharpe_ratio_never_lowers_a_weight(correlation: float, years: float) -> None:
    multipliers = sharpe_multipliers(np.linspace(-2, 2, 41), correlation, years)
    assert (np.diff(multipliers) >= -1e-12).all()
    assert multipliers[20] == 1.0 and multipliers.min() >= 0.0 and multipliers.max() <= 2.0


def test_a_sharpe_ratio_counts_the_more_the_longer_it_was_observed() -> None:
    shorter, longer = (sharpe_multipliers(np.array([0.5]), 0.3, years)[0] for years in (2.0, 50.0))
    assert 1.0 < shorter < longer


def test_weights_adjusted_for_sharpe_sum_to_one_and_favour_the_better() -> None:
    weights = adjusted_for_sharpe(np.array([0.5, np.nan, 0.5]), np.array([0.2, 9.0, 0.8]), 0.2, years=30.0)
    assert np.isnan(weights[1]) and np.nansum(weights) == pytest.approx(1.0) and weights[2] > weights[0]


# Diversification


@given(size=st.integers(1, 8), correlation=st.floats(0, 1))
@settings(deadline=None)
def test_equal_assets_diversify_by_the_textbook(size: int, correlation: float) -> None:
    matrix = np.full((size, size), correlation)
    np.fill_diagonal(matrix, 1.0)
    variance = (1 + (size - 1) * correlation) / size
    assert diversification_multiplier(matrix, np.full(size, 1 / size), 2.0) == pytest.approx(min(1 / np.sqrt(variance), 2.0))


def test_nothing_known_or_nothing_held_is_not_multiplied() -> None:
    unknown = np.array([[1.0, np.nan], [np.nan, 1.0]])
    assert diversification_multiplier(unknown, np.array([0.5, 0.5]), 2.5) == 1.0
    assert diversification_multiplier(np.eye(2), np.zeros(2), 2.5) == 1.0


def test_a_multiplier_uses_the_weights_at_the_start_of_a_period_or_those_of_each_day() -> None:
    days = pd.bdate_range("2020-01-01", periods=6)
    weights = pd.DataFrame({"a": [1.0, 1.0, 1.0, 0.5, 0.5, 0.5], "b": [0.0, 0.0, 0.0, 0.5, 0.5, 0.5]}, index=days)
    period = FitPeriod(days[0], days[1], days[1], days[-1])
    known = [(period, Correlation(("a", "b", "not held"), np.eye(3)))]
    almost_unsmoothed = {"dm_max": 2.5, "ewma_span": 1.0}
    assert list(multiplier_over_time(known, weights, **almost_unsmoothed)) == [1.0] * 6
    current = multiplier_over_time(known, weights, **almost_unsmoothed, current_weights=True)
    same(current, [1.0, 1.0, 1.0, np.sqrt(2), np.sqrt(2), np.sqrt(2)])


def test_a_period_that_starts_microseconds_after_midnight_holds_from_the_next_day() -> None:
    days = pd.bdate_range("2020-01-01", periods=3)
    start = days[1] + pd.Timedelta(microseconds=5)
    weights = pd.DataFrame(0.5, index=days, columns=["a", "b"])
    raw = multiplier_over_time(
        [(FitPeriod(days[0], start, start, days[2]), Correlation(("a", "b"), np.eye(2)))], weights, 2.5, ewma_span=1.0
    )
    same(raw, [1.0, 1.0, np.sqrt(2)])


@given(seed=seeds, correlation=st.floats(-0.3, 0.9), years=st.floats(1.0, 100.0))
@settings(max_examples=25, deadline=None)
def test_many_pairs_are_searched_at_once_as_each_would_be_alone(seed: int, correlation: float, years: float) -> None:
    spread = 0.15 * np.sqrt(2.0 * (1.0 - correlation) / years)
    means = 0.075 + 0.15 * np.random.default_rng(seed).normal(0.0, 0.6, 8) + spread
    covariance = 0.15**2 * np.array([[1.0, correlation], [correlation, 1.0]])
    alone = [max_sharpe_weights(np.array([mean, 0.075]), covariance, "slsqp")[0] for mean in means]
    np.testing.assert_allclose(searched_first_weights(means, 0.075, 0.15, correlation=correlation), alone, atol=2e-5)
