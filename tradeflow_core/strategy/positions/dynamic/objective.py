"""What the optimiser makes small: tracking error plus the shadow cost of the trades."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tradeflow_core.strategy.common.panel import Floats

ROUNDING = 1e-12
"""Relative: well above the 2e-16 of one operation, well below any difference that matters."""


@dataclass(frozen=True, eq=False)
class Objective:
    """Weights are shares of capital; tracking error is annual, against the weights `optimum`.

    `held`: weights before trading, None where unknown: trading then costs nothing. `rounded_to_zero`: a variance that is
    negative by rounding only counts as 0; without it no negative variance is accepted.
    """

    covariance: Floats
    optimum: Floats
    held: Floats | None
    cost: Floats
    shadow_cost: float
    rounded_to_zero: bool

    def value(self, weights: Floats) -> float:
        """The objective; missing where the covariance or a cost is, or the variance is negative."""
        return self.tracking_error(weights, self.optimum) + self.trading_cost(weights)

    def tracking_error(self, weights: Floats, other: Floats) -> float:
        """Standard deviation a year of the difference of two portfolios; missing where its variance is missing or negative."""
        gap = weights - other
        variance = float(gap.dot(self.covariance).dot(gap))
        if variance >= 0:
            return math.sqrt(variance)
        return 0.0 if self.rounded_to_zero and variance >= -ROUNDING * self.size(gap) ** 2 else math.nan

    def size(self, gap: Floats) -> float:
        """Upper bound of the tracking error of a gap: what it is if all instruments go against it together."""
        return float(np.abs(gap).dot(np.sqrt(np.abs(self.covariance.diagonal()))))

    def trading_cost(self, weights: Floats) -> float:
        """Shadow cost of the trades from what is held."""
        if self.held is None:
            return 0.0
        return self.shadow_cost * float(np.sum(np.abs(self.cost * (weights - self.held))))
