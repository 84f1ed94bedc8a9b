"""Forecast scalars from the forecasts' own history (Carver, Systematic Trading, appendix D)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.strategy.common.panel import Floats, row_medians
from tradeflow_core.strategy.config.estimates import ForecastScalarEstimate


def estimated_scalars(raw: Floats, users: NDArray[np.bool_], settings: ForecastScalarEstimate, *, target: float) -> Floats:
    """Scalars that bring the average absolute forecast to `target`, from forecasts up to and including each row.

    `raw`: (rows, instruments); the result is of that shape, or when pooled (rows, 1).

    `users`: the instruments whose forecasts count when pooled; all where none uses the rule. Pooled, the size of a row is
    the median of all; forecasts of exactly 0, or without bounds, do not count. With `backfill` the rows before the first
    estimate get it too, which looks ahead.
    """
    if settings.pool_instruments:
        members = raw if users.all() or not users.any() else raw[:, users]
        sizes = _sizes(members)
        typical = row_medians(_without_gaps(sizes))[:, None] if members.shape[1] > 1 else sizes
    else:
        typical = _sizes(raw)
    average = pd.DataFrame(typical).rolling(settings.window, min_periods=settings.min_periods).mean()
    scalars = target / average.where(average != 0.0)
    return np.asarray(scalars.bfill() if settings.backfill else scalars, dtype=float)


def _sizes(forecasts: Floats) -> Floats:
    sizes = np.abs(forecasts)
    sizes[~((sizes > 0.0) & (sizes < np.inf))] = np.nan
    return sizes


def _without_gaps(sizes: Floats) -> Floats:
    """The last known size of each column carried forward, in place; only columns that have a gap, or end, are touched."""
    missing = np.isnan(sizes)
    for column in np.flatnonzero((missing[1:] & ~missing[:-1]).any(axis=0)):
        sizes[:, column] = pd.Series(sizes[:, column]).ffill()
    return sizes
