from .after_costs import (
    cost_sharpe_ratios as cost_sharpe_ratios,
    cost_units as cost_units,
    net_returns as net_returns,
    with_equal_means as with_equal_means,
    without_zeros as without_zeros,
)
from .clustering import two_clusters as two_clusters
from .correlation import Correlation as Correlation, correlations as correlations, fitted_correlations as fitted_correlations
from .diversification import (
    diversification_multiplier as diversification_multiplier,
    multiplier_over_time as multiplier_over_time,
)
from .max_sharpe import max_sharpe_weights as max_sharpe_weights
from .moments import means_and_deviations as means_and_deviations
from .optimisers import Estimates as Estimates, handcrafted as handcrafted, optimal_weights as optimal_weights
from .periods import FitPeriod as FitPeriod, fit_periods as fit_periods
from .shared_costs import SharedReturns as SharedReturns
from .sharpe_multiplier import adjusted_for_sharpe as adjusted_for_sharpe, sharpe_multipliers as sharpe_multipliers
from .stacking import Stacked as Stacked, last_values as last_values, returns_at as returns_at, stack as stack, sums as sums
from .weights import (
    PeriodEstimates as PeriodEstimates,
    cleaned_weights as cleaned_weights,
    estimated_weights as estimated_weights,
    period_estimates as period_estimates,
    weight_periods as weight_periods,
    weights_of as weights_of,
    with_cost_weights as with_cost_weights,
)
