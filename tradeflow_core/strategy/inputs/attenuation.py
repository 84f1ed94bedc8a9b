"""Forecasts shrink while volatility is high for the instrument (Carver, Advanced Futures Trading Strategies)."""

from __future__ import annotations

import numpy as np

from tradeflow_core.strategy.common.panel import Panel

TEN_YEARS = 2500
"""Business days, rounded as the reference rounds."""

SMOOTH = 10
"""Span in days, so that a jump of volatility does not trade at once."""


def attenuation(vol: Panel, *, neutral: bool) -> Panel:
    """What to multiply forecasts by, on the rows of daily percentage volatility `vol`: 2 where it is lowest, 0.5 where highest.

    Volatility relative to its average of ten years is ranked among its own past, so that nothing later is used. A day without
    relative volatility counts as the calmest of all; with `neutral` (NEUTRAL_ATTENUATION), as one that leaves forecasts as they are.
    """
    relative = vol.values / vol.values.rolling(TEN_YEARS, min_periods=10).mean()
    lower = relative.expanding().rank(method="min").to_numpy() - 1.0
    row = np.arange(len(lower))[:, None] - vol.span.first + 1.0
    multiplier = 2.0 - 1.5 * np.nan_to_num(lower) / np.where(row > 0, row, np.nan)
    if neutral:
        multiplier = np.where(np.isnan(lower), 1.0, multiplier)
    return vol.like(multiplier).map(lambda values: values.ewm(span=SMOOTH).mean())
