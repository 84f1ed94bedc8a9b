"""Estimation: fit periods, correlations, optimisers, weights and diversification multipliers, as functions of plain data.

The same machine serves rules of an instrument and instruments of a portfolio. `Corrections` says which known flaws of the
reference are corrected; by default its figures come out.
"""

from tradeflow_core.strategy.estimation.clustering import two_clusters
from tradeflow_core.strategy.estimation.correlation import Correlation, correlations
from tradeflow_core.strategy.estimation.diversification import diversification_multiplier, multiplier_over_time
from tradeflow_core.strategy.estimation.max_sharpe import max_sharpe_weights
from tradeflow_core.strategy.estimation.moments import means_and_deviations
from tradeflow_core.strategy.estimation.net_returns import (
    cost_sharpe_ratios,
    cost_units,
    net_returns,
    with_equal_means,
    without_zeros,
)
from tradeflow_core.strategy.estimation.optimisers import Estimates, handcrafted, optimal_weights
from tradeflow_core.strategy.estimation.periods import FitPeriod, fit_periods
from tradeflow_core.strategy.estimation.settings import (
    Corrections,
    CorrelationSettings,
    MomentSettings,
    Solver,
    WeightSettings,
)
from tradeflow_core.strategy.estimation.shared_costs import SharedReturns, weights_by_member
from tradeflow_core.strategy.estimation.sharpe_multiplier import adjusted_for_sharpe, sharpe_multipliers
from tradeflow_core.strategy.estimation.stacking import Stacked, last_values, returns_at, stack, sums
from tradeflow_core.strategy.estimation.weights import (
    PeriodEstimates,
    cleaned_weights,
    estimated_weights,
    period_estimates,
    weight_periods,
    weights_of,
    with_cost_weights,
)

__all__ = [
    "Corrections",
    "Correlation",
    "CorrelationSettings",
    "Estimates",
    "FitPeriod",
    "MomentSettings",
    "PeriodEstimates",
    "SharedReturns",
    "Solver",
    "Stacked",
    "WeightSettings",
    "adjusted_for_sharpe",
    "cleaned_weights",
    "correlations",
    "cost_sharpe_ratios",
    "cost_units",
    "diversification_multiplier",
    "estimated_weights",
    "fit_periods",
    "handcrafted",
    "last_values",
    "max_sharpe_weights",
    "means_and_deviations",
    "multiplier_over_time",
    "net_returns",
    "optimal_weights",
    "period_estimates",
    "returns_at",
    "sharpe_multipliers",
    "stack",
    "sums",
    "two_clusters",
    "weight_periods",
    "weights_by_member",
    "weights_of",
    "with_cost_weights",
    "with_equal_means",
    "without_zeros",
]
