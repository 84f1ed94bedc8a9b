"""The long-only portfolio with the highest Sharpe ratio."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize, nnls

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.config.compat import Solver
from tradeflow_core.strategy.estimation.two_asset_search import STEP, TOLERANCE

SMALLEST_EIGENVALUE = 1e-8
"""Relative to the largest one: below it a matrix is too near to singular for its Cholesky factor."""


def max_sharpe_weights(mean: Floats, covariance: Floats, solver: Solver = "exact") -> Floats:
    """Weights from 0 to 1 that sum to 1 and have the highest ratio of mean to standard deviation.

    `exact`: the optimum. `slsqp`: where a sequential quadratic programme with a tolerance of 1e-5 stops, which is what the
    reference reports; it is some 0.003 away and depends on the version of SciPy. Assets whose covariances are not all known
    cannot be told apart: equal weights. Raises ConfigError for another solver.
    """
    size = len(mean)
    if solver not in ("exact", "slsqp"):
        raise ConfigError(f"solver: {solver!r} is not known: give exact or slsqp")
    if size == 1 or np.isnan(mean).any() or np.isnan(covariance).any():
        return np.full(size, 1.0 / size)
    return _exact(mean, covariance) if solver == "exact" else _searched(mean, covariance)


def _exact(mean: Floats, covariance: Floats) -> Floats:
    """With any mean above 0: the ray of min y'Sy/2 - m'y over y >= 0, by non-negative least squares on the Cholesky factor.

    Otherwise the ratio is highest at a corner, since a convex deviation over a linear loss is largest there.
    """
    if mean.max() <= 0:
        deviation = np.sqrt(np.diagonal(covariance))
        best = np.zeros(len(mean))
        best[int(np.argmax(mean / deviation))] = 1.0
        return best
    lower = _cholesky(covariance)
    ray, _ = nnls(lower.T, solve_triangular(lower, mean, lower=True))
    return np.asarray(ray / ray.sum(), dtype=float)


def _cholesky(covariance: Floats) -> Floats:
    """Lower factor; pairwise estimates need not form a covariance, then the nearest one in its eigenvectors is taken."""
    values, vectors = np.linalg.eigh(covariance)
    smallest = SMALLEST_EIGENVALUE * values[-1]
    if values[0] < smallest:
        covariance = (vectors * np.maximum(values, smallest)) @ vectors.T
    return np.asarray(cholesky(covariance, lower=True), dtype=float)


def _searched(mean: Floats, covariance: Floats) -> Floats:
    """The reference's search, gradient by differences included: with the true gradient it would stop elsewhere."""
    size = len(mean)
    minus_ones = -np.ones(size)

    def against(weights: Floats) -> Floats:
        variance = ((weights @ covariance) * weights).sum(axis=-1)
        return np.asarray(-(weights @ mean) / np.sqrt(variance))

    def gradient(weights: Floats) -> Floats:
        moved = weights + np.where(weights + STEP > 1.0, -STEP, STEP)
        points = np.tile(weights, (size, 1))
        np.fill_diagonal(points, moved)
        return np.asarray((against(points) - against(weights)) / (moved - weights))

    result = minimize(
        lambda weights: float(against(weights)),
        np.full(size, 1.0 / size),
        jac=gradient,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * size,
        constraints=[{"type": "eq", "fun": lambda weights: 1.0 - weights.sum(), "jac": lambda weights: minus_ones}],
        tol=TOLERANCE,
    )
    return np.asarray(result.x, dtype=float)
