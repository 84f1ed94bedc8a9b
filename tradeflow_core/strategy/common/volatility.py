"""Daily volatility of price changes, in price points a day (Carver, Systematic Trading and Advanced Futures Trading Strategies).

Every estimator takes daily changes (business days down; one or several instruments) and returns the same shape. Each knows
its own arguments and ignores the others', so a strategy file may change the estimator and leave the rest as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd

from tradeflow_core.strategy.common.years import BUSINESS_DAYS_PER_YEAR

Prices = TypeVar("Prices", pd.DataFrame, pd.Series)


def ewma(x: Prices, span: float, min_periods: int = 0) -> Prices:
    """Exponentially weighted mean; rows without value age the older ones."""
    return x.ewm(span=span, min_periods=min_periods).mean()


def changes_over_gaps(series: Prices) -> Prices:
    """Change since the last known value; missing where there is none now."""
    return series - series.ffill().shift(1)


def simple_ewvol(changes: Prices, days: int = 35, min_periods: int = 10, **_: Any) -> Prices:
    """Exponentially weighted standard deviation with span `days`."""
    return changes.ewm(span=days, min_periods=min_periods).std()


def simple_vol(changes: Prices, days: int = 25, min_periods: int = 10, **_: Any) -> Prices:
    """Standard deviation over the last `days` rows."""
    return changes.rolling(days, min_periods=min_periods).std()


def mixed_vol(
    changes: Prices,
    *,
    days: int = 35,
    min_periods: int = 10,
    slow_vol_years: float = 20,
    proportion_of_slow_vol: float = 0.3,
    vol_abs_min: float = 1e-10,
    backfill: bool = False,
    **_: Any,
) -> Prices:
    """A blend of current volatility and its own average over `slow_vol_years`, floored at `vol_abs_min`.

    `backfill` fills the first days with the first known figure, which looks ahead.
    """
    fast = simple_ewvol(changes, days, min_periods)
    slow = ewma(fast, BUSINESS_DAYS_PER_YEAR * slow_vol_years)
    blend = (proportion_of_slow_vol * slow + (1 - proportion_of_slow_vol) * fast).clip(lower=vol_abs_min)
    return blend.ffill().bfill() if backfill else blend


def robust_vol(
    changes: Prices,
    *,
    days: int = 35,
    min_periods: int = 10,
    vol_abs_min: float = 1e-10,
    vol_floor: bool = True,
    floor_min_quant: float = 0.05,
    floor_min_periods: int = 100,
    floor_days: int = 500,
    backfill: bool = False,
    **_: Any,
) -> Prices:
    """Current volatility, not below the `floor_min_quant` quantile of its last `floor_days` values."""
    vol = simple_ewvol(changes, days, min_periods).clip(lower=vol_abs_min)
    if vol_floor:
        lowest = vol.rolling(floor_days, min_periods=floor_min_periods).quantile(floor_min_quant).ffill().fillna(0.0)
        vol = vol.clip(lower=lowest, axis=0) if isinstance(vol, pd.Series) else vol.clip(lower=lowest)
    return vol.ffill().bfill() if backfill else vol


def level_vol(series: Prices, *, of_changes: bool, days: int = 35) -> Prices:
    """Robust volatility of a series' changes, or (not `of_changes`) of its level, as pysystemtrade's rules take it."""
    return robust_vol(changes_over_gaps(series) if of_changes else series, days=days)


ESTIMATORS: dict[str, Callable[..., pd.DataFrame]] = {
    "mixed_vol": mixed_vol,
    "robust_vol": robust_vol,
    "simple_ewvol": simple_ewvol,
    "simple_vol": simple_vol,
}
