"""Rules on an instrument against its asset class, from cumulative volatility-normalised prices (Carver)."""

from __future__ import annotations

import numpy as np

from tradeflow_core.strategy.common.volatility import Prices, ewma


def _span(horizon: int, ewma_span: int | None) -> int:
    return max(horizon // 4, 2) if ewma_span is None else ewma_span


def cross_sectional_mean_reversion(
    price: Prices, class_price: Prices, horizon: int = 250, ewma_span: int | None = None
) -> Prices:
    """Against the average daily outperformance over `horizon` days, smoothed."""
    ahead = price.ffill() - class_price.ffill()
    return -ewma(ahead.diff().rolling(horizon).mean(), _span(horizon, ewma_span))


def relative_momentum(price: Prices, class_price: Prices, horizon: int = 250, ewma_span: int | None = None) -> Prices:
    """With the average daily outperformance over `horizon` days, smoothed."""
    ahead = (price.ffill() - class_price.ffill()).replace(0.0, np.nan)
    return ewma((ahead - ahead.shift(horizon)) / horizon, _span(horizon, ewma_span))
