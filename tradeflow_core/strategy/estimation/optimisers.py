"""From estimates to weights: handcrafting, shrinkage, the best portfolio of one period, equal weights.

Handcrafting and the adjustment for Sharpe ratios: Carver, Systematic Trading.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.config.compat import Solver
from tradeflow_core.strategy.config.estimates import WeightEstimate
from tradeflow_core.strategy.estimation.clustering import two_clusters
from tradeflow_core.strategy.estimation.correlation import Correlation
from tradeflow_core.strategy.estimation.diversification import diversification_multiplier
from tradeflow_core.strategy.estimation.max_sharpe import max_sharpe_weights
from tradeflow_core.strategy.estimation.sharpe_multiplier import adjusted_for_sharpe
from tradeflow_core.strategy.estimation.stacking import Bools

HIGHEST_MULTIPLIER = 2.5
SHRUNK_AND_EQUAL_SR = 0.5


@dataclass(frozen=True, eq=False)
class Estimates:
    """What is known of assets at a fit end: correlation, yearly means and standard deviations, and years of data."""

    correlation: Correlation
    mean: Floats
    deviation: Floats
    years: float

    @property
    def sharpe(self) -> Floats:
        """Sharpe ratios, a year."""
        return self.mean / self.deviation

    def usable(self, *, lone_asset: bool = False) -> Bools:
        """Assets with mean, standard deviation and correlations; the others are set aside."""
        known = ~np.isnan(self.mean) & ~np.isnan(self.deviation)
        return known & self.correlation.usable(lone_asset=lone_asset)


def optimal_weights(
    estimates: Estimates, settings: WeightEstimate, solver: Solver = "exact", *, lone_asset: bool = False
) -> Floats:
    """Weights in the order of the columns; missing for assets that are set aside.

    Handcrafted weights need not sum to 1. Raises ConfigError for handcrafting with unequal volatilities.
    """
    weights = np.full(len(estimates.mean), np.nan)
    usable = np.flatnonzero(estimates.usable(lone_asset=lone_asset))
    if len(usable):
        part = Estimates(estimates.correlation.of(usable), estimates.mean[usable], estimates.deviation[usable], estimates.years)
        weights[usable] = _by_method(part, settings, solver)
    return weights


def _by_method(estimates: Estimates, settings: WeightEstimate, solver: Solver) -> Floats:
    if settings.method == "equal_weights":
        return np.full(len(estimates.mean), 1.0 / len(estimates.mean))
    if settings.method == "one_period":
        return _one_period(estimates, settings, settings.ann_target_SR, solver=solver)
    if settings.method == "shrinkage":
        return _one_period(_shrunk(estimates, settings), settings, SHRUNK_AND_EQUAL_SR, solver=solver)
    return _handcraft(estimates, settings, solver)


def _one_period(estimates: Estimates, settings: WeightEstimate, equal_sharpe: float, *, solver: Solver) -> Floats:
    mean, deviation = estimates.mean, estimates.deviation
    if settings.equalise_vols:
        average = deviation.mean()
        mean, deviation = mean * average / deviation, np.full(len(deviation), average)
    if settings.equalise_SR:
        mean = equal_sharpe * deviation
    covariance = deviation[:, None] * estimates.correlation.values * deviation
    return max_sharpe_weights(mean, covariance, solver)


def _shrunk(estimates: Estimates, settings: WeightEstimate) -> Estimates:
    sharpe = settings.shrinkage_SR * settings.ann_target_SR + (1.0 - settings.shrinkage_SR) * estimates.sharpe
    correlation = estimates.correlation.shrunk(settings.shrinkage_corr)
    return Estimates(correlation, sharpe * estimates.deviation, estimates.deviation, estimates.years)


def _handcraft(estimates: Estimates, settings: WeightEstimate, solver: Solver) -> Floats:
    if not settings.equalise_vols:
        raise ConfigError("equalise_vols: false cannot be combined with method: handcraft, which assumes equal volatilities")
    weights = handcrafted(estimates.correlation)
    if settings.equalise_SR or len(weights) == 1:
        return weights
    return adjusted_for_sharpe(weights, estimates.sharpe, estimates.correlation.average, years=estimates.years, solver=solver)


def handcrafted(correlation: Correlation) -> Floats:
    """Weights by likeness only: split in two, and again, each group scaled up by its diversification; need not sum to 1."""
    size = len(correlation.columns)
    if size <= 2:
        return np.full(size, 1.0 / size)
    weights = np.empty(size)
    for group in two_clusters(correlation):
        part = correlation.of(group)
        inside = handcrafted(part)
        weights[group] = 0.5 * diversification_multiplier(part.values, inside, HIGHEST_MULTIPLIER) * inside
    return weights
