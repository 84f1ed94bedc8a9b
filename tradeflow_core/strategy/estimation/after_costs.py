"""From gross P&L and costs to the net returns that weights are estimated from.

Costs enter as a Sharpe ratio (a year, negative): each day bears the same part of them, in units of the volatility of gross.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.common.years import ROOT_BUSINESS_DAYS_PER_YEAR
from tradeflow_core.strategy.estimation.optimisers import Estimates


def without_zeros(daily: pd.DataFrame) -> pd.DataFrame:
    """Days of exactly 0 count as days without figure."""
    return daily.mask(daily == 0.0)


def cost_sharpe_ratios(gross: pd.DataFrame, costs: pd.DataFrame, *, over_all_days: bool = False) -> pd.Series:
    """Yearly Sharpe ratio that costs (negative, daily, the unit of gross) take from each column.

    Means and standard deviations are over days that are not 0; costs that arise on trading days only are so overstated.
    `over_all_days`: the mean cost is over every day that has a gross figure, 0 included.
    """
    moving = without_zeros(gross)
    mean = costs.sum() / gross.notna().sum() if over_all_days else without_zeros(costs).mean()
    return ROOT_BUSINESS_DAYS_PER_YEAR * mean / moving.std()


def net_returns(gross: pd.DataFrame, cost_sharpe: pd.Series) -> pd.DataFrame:
    """Gross returns of each column less its costs, with days of exactly 0 missing; `cost_sharpe` by column, negative."""
    return without_zeros(gross) + cost_sharpe * cost_units(gross)


def cost_units(gross: pd.DataFrame) -> pd.DataFrame:
    """What a Sharpe ratio of 1 a year comes to on each day that has a gross figure other than 0; missing on other days."""
    moving = without_zeros(gross)
    return moving.mask(moving.notna(), 1.0) * (moving.std() / ROOT_BUSINESS_DAYS_PER_YEAR)


def with_equal_means(gross: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Each column of each table moved to the same mean: the average over columns of their mean in all tables together.

    Days of exactly 0 do not count and become missing.
    """
    moving = [without_zeros(frame) for frame in gross]
    stacked = pd.concat(moving)
    target = stacked.mean().mean()
    return [frame + (target - frame.mean()) for frame in moving]


def mean_less_costs(estimates: Estimates, cost_sharpe: Floats, *, equal_means: bool) -> Floats:
    """Mean returns of each asset, or with `equal_means` their average, less costs in Sharpe-ratio units (a year, positive)."""
    mean = estimates.mean
    if equal_means and not np.isnan(mean).all():
        mean = np.where(np.isnan(mean), np.nan, np.nanmean(mean))
    return np.asarray(mean - cost_sharpe * estimates.deviation)
