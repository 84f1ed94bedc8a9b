"""How far a weight should move for a better or worse Sharpe ratio, given how uncertain that is (Carver, Systematic Trading).

An asset is compared with an average one (both with a standard deviation of 15 % a year, the average one with a Sharpe ratio
of 0.5) at four points of the distribution of the difference in their means; the multiplier is the average weight that the
asset would get, relative to a half.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from tradeflow_core.strategy.estimation.max_sharpe import max_sharpe_weights
from tradeflow_core.strategy.estimation.settings import Solver
from tradeflow_core.strategy.panel import Floats

DEVIATION = 0.15
MEAN = 0.075
POINTS = ndtri(np.array([0.2, 0.4, 0.6, 0.8]))


def sharpe_multipliers(relative: Floats, average_correlation: float, years: float, solver: Solver = "exact") -> Floats:
    """Multipliers of weights for Sharpe ratios (a year) relative to their average.

    `average_correlation`: of the assets, off the diagonal; `years`: of data. A multiplier on the wrong side of 1 becomes 1.
    """
    relative = np.asarray(relative, dtype=float)
    if solver == "exact":
        found = 2.0 * _exact_weights(relative, average_correlation, years).mean(axis=0)
    else:
        found = 2.0 * np.array([_searched_weight(float(one), average_correlation, years) for one in relative])
    return np.where(np.sign(found - 1.0) == np.sign(relative), found, 1.0)


def adjusted_for_sharpe(
    weights: Floats, sharpe: Floats, average_correlation: float, years: float, solver: Solver = "exact"
) -> Floats:
    """Weights times the multipliers of their Sharpe ratios, which sum to 1 again; missing weights stay so."""
    known = ~np.isnan(weights)
    average = sharpe[known].mean() if known.any() else np.nan
    result = np.full(weights.shape, np.nan)
    result[known] = weights[known] * sharpe_multipliers(sharpe[known] - average, average_correlation, years, solver)
    return result / np.nansum(result)


def _possible_means(relative: Floats | float, correlation: float, years: float) -> Floats:
    spread = np.sqrt(2.0 * (DEVIATION**2 / years) * (1.0 - correlation))
    return MEAN + DEVIATION * np.asarray(relative) + spread * POINTS.reshape(-1, *([1] * np.ndim(relative)))


def _exact_weights(relative: Floats, correlation: float, years: float) -> Floats:
    """Weight of the first of two assets in the best portfolio, at each of the four points: (4, assets)."""
    mean = _possible_means(relative, correlation, years)
    first, second = mean - correlation * MEAN, MEAN - correlation * mean
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = first / (first + second)
    return np.where(first <= 0, 0.0, np.where(second <= 0, 1.0, inner))


@lru_cache(maxsize=100_000)
def _searched_weight(relative: float, correlation: float, years: float) -> float:
    covariance = DEVIATION**2 * np.array([[1.0, correlation], [correlation, 1.0]])
    found = [
        max_sharpe_weights(np.array([mean, MEAN]), covariance, "slsqp")[0]
        for mean in _possible_means(relative, correlation, years)
    ]
    return float(np.mean(found))
