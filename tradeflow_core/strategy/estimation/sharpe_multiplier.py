"""How far a weight should move for a better or worse Sharpe ratio, given how uncertain that is (Carver, Systematic Trading).

An asset is compared with an average one (both with a standard deviation of 15 % a year, the average one with a Sharpe ratio
of 0.5) at four points of the distribution of the difference in their means; the multiplier is the average weight that the
asset would get, relative to a half.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.config.compat import Solver
from tradeflow_core.strategy.estimation.two_asset_search import searched_first_weights

DEVIATION = 0.15
MEAN = 0.075
POINTS = ndtri(np.array([0.2, 0.4, 0.6, 0.8]))


def sharpe_multipliers(relative: Floats, average_correlation: float, years: float, *, solver: Solver = "exact") -> Floats:
    """Multipliers of weights for Sharpe ratios (a year) relative to their average.

    `average_correlation`: of the assets, off the diagonal; `years`: of data. A multiplier on the wrong side of 1 becomes 1.
    """
    relative = np.asarray(relative, dtype=float)
    means = _possible_means(relative, average_correlation, years)
    if solver == "exact":
        weights = _exact_weights(means, average_correlation)
    else:
        weights = searched_first_weights(means, MEAN, DEVIATION, correlation=average_correlation)
    found = 2.0 * weights.mean(axis=0)
    return np.where(np.sign(found - 1.0) == np.sign(relative), found, 1.0)


def adjusted_for_sharpe(
    weights: Floats, sharpe: Floats, average_correlation: float, *, years: float, solver: Solver = "exact"
) -> Floats:
    """Weights times the multipliers of their Sharpe ratios, which sum to 1 again; missing weights stay so."""
    known = ~np.isnan(weights)
    average = sharpe[known].mean() if known.any() else np.nan
    result = np.full(weights.shape, np.nan)
    result[known] = weights[known] * sharpe_multipliers(sharpe[known] - average, average_correlation, years, solver=solver)
    return result / np.nansum(result)


def _possible_means(relative: Floats, correlation: float, years: float) -> Floats:
    """Means of the first asset at each of the four points: (4, assets)."""
    spread = np.sqrt(2.0 * (DEVIATION**2 / years) * (1.0 - correlation))
    return MEAN + DEVIATION * relative + spread * POINTS[:, None]


def _exact_weights(mean: Floats, correlation: float) -> Floats:
    """Weight of the first of two assets in the best portfolio."""
    first, second = mean - correlation * MEAN, MEAN - correlation * mean
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = first / (first + second)
    return np.where(first <= 0, 0.0, np.where(second <= 0, 1.0, inner))
