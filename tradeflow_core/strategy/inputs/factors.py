"""Factors: what an instrument's returns are like, and what is usual (Carver, Advanced Futures Trading Strategies).

Tables are business days x instruments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.common.years import BUSINESS_DAYS_PER_YEAR

if TYPE_CHECKING:
    from pandas.core.window.rolling import Rolling

LONG_AVERAGE = BUSINESS_DAYS_PER_YEAR * 15
"""Centre of mass, in business days, of an average over about 15 years."""


def skew(returns: pd.DataFrame, lookback_days: float) -> pd.DataFrame:
    """Sample skewness G1 (bias-corrected) of the returns of the last `lookback_days` calendar days, at least 3 of them.

    Missing where they are all the same, as of a price that does not move: they have no shape.
    """
    window = returns.rolling(_window(lookback_days))
    return window.skew().where(_differ(window))


def kurtosis(returns: pd.DataFrame, lookback_days: float) -> pd.DataFrame:
    """Sample excess kurtosis G2 (bias-corrected) of the returns of the last `lookback_days` calendar days, at least 4 of them; missing where they
    are all the same."""
    window = returns.rolling(_window(lookback_days))
    return window.kurt().where(_differ(window))


def _differ(window: Rolling[pd.DataFrame]) -> pd.DataFrame:
    # Versions of pandas differ about windows of equal values: NaN, 0 and -3, or rounding noise.
    return window.max() > window.min()


def _window(days: float) -> pd.Timedelta:
    if isinstance(days, bool) or not isinstance(days, int | float) or not days > 0:
        raise ConfigError(f"lookback_days is {days!r}; give a number of calendar days above 0")
    return pd.Timedelta(days=days)


def long_average(values: pd.DataFrame) -> pd.DataFrame:
    """Exponential average over about 15 years."""
    return values.ewm(com=LONG_AVERAGE).mean()


def current_average(values: pd.DataFrame) -> pd.Series:
    """Mean over the instruments of their last known values."""
    return values.ffill().mean(axis=1)


def class_averages(values: pd.DataFrame, classes: pd.Series) -> pd.DataFrame:
    """`current_average` of each asset class, a column per class. `classes`: class by instrument."""
    columns = {name: current_average(values[list(instruments)]) for name, instruments in classes.groupby(classes).groups.items()}
    return pd.DataFrame(columns, index=values.index)
