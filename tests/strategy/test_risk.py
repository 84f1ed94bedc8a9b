"""Risk of a portfolio is what its definition says, and scaled positions keep to the limits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from hypothesis import given, settings, strategies as st

from tradeflow_core.strategy.positions.risk import (
    PortfolioRisk,
    RiskLimits,
    daily_covariances,
    in_force,
    portfolio_risk,
    portfolio_weights,
    risk_scalar,
    shocked_volatilities,
)

DAYS = pd.bdate_range("2024-01-01", periods=40)
MARKETS = 4
seeds = st.integers(0, 2**32 - 1)


def market(seed: int) -> tuple[np.ndarray, np.ndarray, list[tuple[pd.Timestamp, np.ndarray]]]:
    """Weights and volatilities with gaps, and a correlation matrix a week from the third week on, some without a market."""
    random = np.random.default_rng(seed)
    weights = np.where(random.random((len(DAYS), MARKETS)) < 0.1, np.nan, random.normal(0, 1, (len(DAYS), MARKETS)))
    volatilities = np.where(random.random(weights.shape) < 0.1, np.nan, random.uniform(0.05, 0.5, weights.shape))
    matrices = []
    for since in DAYS[10::5]:
        factors = random.normal(0, 1, (MARKETS, 2))
        matrix = factors @ factors.T + np.eye(MARKETS)
        matrix /= np.sqrt(np.outer(matrix.diagonal(), matrix.diagonal()))
        if random.random() < 0.3:
            matrix[1] = matrix[:, 1] = np.nan
        matrices.append((since, matrix))
    return weights, volatilities, matrices


def matrix_of(day: pd.Timestamp, matrices: list[tuple[pd.Timestamp, np.ndarray]]) -> np.ndarray:
    earlier = [matrix for since, matrix in matrices if since <= day]
    return earlier[-1] if earlier else np.eye(MARKETS)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_risk_is_that_of_the_instruments_known_each_day(seed: int) -> None:
    weights, volatilities, matrices = market(seed)
    risk = portfolio_risk(DAYS, weights, volatilities, shocked=2 * volatilities, correlations=iter(matrices), lone_asset=False)
    for row, day in enumerate(DAYS):
        matrix = matrix_of(day, matrices)
        known = ~np.isnan(weights[row] * volatilities[row] * matrix.diagonal())
        exposure = (weights[row] * volatilities[row])[known]
        expected = np.sqrt(exposure @ matrix[np.ix_(known, known)] @ exposure)
        np.testing.assert_allclose([risk.normal[row], risk.shocked[row]], [expected, 2 * expected], rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_positions_times_the_scalar_are_within_every_limit(seed: int) -> None:
    weights, volatilities, matrices = market(seed)
    limits = RiskLimits(normal=0.3, shocked=0.8, sum_abs=0.6, leverage=2.5)
    scalar = risk_scalar(portfolio_risk(DAYS, weights, volatilities, shocked=3 * volatilities, correlations=matrices, lone_asset=True), limits)
    scaled = portfolio_risk(DAYS, weights * scalar[:, None], volatilities, shocked=3 * volatilities, correlations=matrices, lone_asset=True)
    assert ((scalar > 0) & (scalar <= 1)).all() and (scalar < 1).any()
    for measure in ("normal", "shocked", "sum_abs", "leverage"):
        assert (getattr(scaled, measure) <= getattr(limits, measure) * (1 + 1e-12)).all()


def test_a_measure_that_is_unknown_scales_nothing() -> None:
    unknown = np.array([np.nan])
    assert risk_scalar(PortfolioRisk(unknown, unknown, np.ones(1), np.ones(1)), RiskLimits(0.1, 0.1, 2.0, 2.0)).tolist() == [1.0]


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_daily_covariance_gives_the_same_risk(seed: int) -> None:
    weights, volatilities, matrices = market(seed)
    risk = portfolio_risk(DAYS, weights, volatilities, shocked=volatilities, correlations=matrices, lone_asset=True)
    for row, covariance in enumerate(daily_covariances(DAYS, volatilities, matrices, shrinkage=0.0, lone_asset=True)):
        both = np.nan_to_num(weights[row])
        np.testing.assert_allclose(np.sqrt(both @ np.nan_to_num(covariance) @ both), risk.normal[row], rtol=1e-12)


def test_shrinking_all_the_way_leaves_no_correlation() -> None:
    _, volatilities, matrices = market(1)
    for row, covariance in enumerate(daily_covariances(DAYS, volatilities, matrices, shrinkage=1.0, lone_asset=True)):
        known = ~np.isnan(covariance.diagonal())
        wanted = np.diag(volatilities[row][known] ** 2)
        np.testing.assert_allclose(covariance[np.ix_(known, known)], wanted, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-10, 60), max_size=8, unique=True).map(sorted))
def test_every_day_has_one_matrix_and_no_other_is_asked_for_early(offsets: list[int]) -> None:
    starts = [DAYS[0] + pd.Timedelta(days=offset) for offset in offsets]
    given_out: list[pd.Timestamp] = []

    def stream() -> Iterator[tuple[pd.Timestamp, np.ndarray]]:
        for number, since in enumerate(starts):
            given_out.append(since)
            yield since, np.full((1, 1), number + 2.0)

    rows: list[int] = []
    for part, matrix in in_force(DAYS, stream(), 1):
        assert len(given_out) <= sum(since <= DAYS[part.stop - 1] for since in starts) + 1
        for row in range(part.start, part.stop):
            rows.append(row)
            assert matrix[0, 0] == max([number + 2.0 for number, since in enumerate(starts) if since <= DAYS[row]], default=1.0)
    assert rows == list(range(len(DAYS)))


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(5, 39))
def test_shocked_volatility_does_not_know_the_future(seed: int, today: int) -> None:
    _, volatilities, _ = market(seed)
    whole, known_then = (shocked_volatilities(table, backfilled=False) for table in (volatilities, volatilities[:today]))
    np.testing.assert_array_equal(whole[:today], known_then)


def test_backfilled_shocked_volatility_uses_the_first_figure_before_it() -> None:
    volatilities = np.array([[np.nan], [0.1], [0.3], [0.2], [0.4]])
    backfilled, plain = (shocked_volatilities(volatilities, backfilled=mode)[:, 0] for mode in (True, False))
    assert np.isnan(plain[:3]).all()
    assert (backfilled[:3] == backfilled[3]).all()
    np.testing.assert_array_equal(backfilled[3:], plain[3:])


def test_a_portfolio_of_one_instrument_has_risk() -> None:
    one = np.full((len(DAYS), 1), 0.5)
    matrices = [(DAYS[0], np.ones((1, 1)))]
    reference, lone = (portfolio_risk(DAYS, one, one, shocked=one, correlations=matrices, lone_asset=mode).normal for mode in (False, True))
    assert (reference == 0).all()
    np.testing.assert_allclose(lone, 0.25)


def test_a_day_without_contract_value_keeps_the_weight_of_the_day_before() -> None:
    positions, values = np.array([[np.nan], [2.0], [3.0], [3.0]]), np.array([[0.1], [0.1], [np.nan], [0.2]])
    np.testing.assert_allclose(portfolio_weights(positions, values)[:, 0], [np.nan, 0.2, 0.2, 0.6])
