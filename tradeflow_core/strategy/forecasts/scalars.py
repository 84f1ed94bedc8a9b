"""Forecast scalars from the forecasts' own history (Carver, Systematic Trading, appendix D)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.strategy.common.panel import row_medians
from tradeflow_core.strategy.config.estimates import ForecastScalarEstimate


def estimated_scalars(
    raw: pd.DataFrame, users: NDArray[np.bool_], settings: ForecastScalarEstimate, target: float
) -> pd.DataFrame:
    """Scalars that bring the average absolute forecast to `target`, from forecasts up to and including each row.

    `raw`: stamps x instruments, and so the result.

    `users`: the instruments whose forecasts count when pooled; all where none uses the rule. Pooled, the size of a day is
    the median of all; forecasts of exactly 0, or without bounds, do not count. With `backfill` the days before the first estimate get it too,
    which looks ahead.
    """
    if settings.pool_instruments:
        members = users if users.any() else np.ones_like(users)
        sizes = _sizes(raw.loc[:, members])
        typical = pd.DataFrame(row_medians(sizes.ffill().to_numpy()) if members.sum() > 1 else sizes.to_numpy()[:, 0])
    else:
        typical = _sizes(raw)
    average = typical.rolling(settings.window, min_periods=settings.min_periods).mean()
    scalars = target / average.where(average != 0.0)
    if settings.backfill:
        scalars = scalars.bfill()
    return pd.DataFrame(np.broadcast_to(scalars.to_numpy(), raw.shape), index=raw.index, columns=raw.columns)


def _sizes(forecasts: pd.DataFrame) -> pd.DataFrame:
    sizes = forecasts.abs()
    return sizes.where((sizes > 0.0) & np.isfinite(sizes))
