"""Forecasts shrink while volatility is high for the instrument (Carver, Advanced Futures Trading Strategies)."""

from __future__ import annotations

import numpy as np

from tradeflow_core.strategy.common.panel import Panel
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.inputs.raw_data import RawData

TEN_YEARS = 2500
SMOOTH = 10


def attenuation(raw_data: RawData, config: StrategyConfig) -> Panel:
    """What to multiply forecasts by, on the rows of daily percentage volatility: 2 where it is at its lowest, 0.5 at its highest.

    Volatility relative to its average of ten years is ranked among its own past, so that nothing later is used. A day without
    relative volatility counts as the calmest of all; corrected (NEUTRAL_ATTENUATION), as one that leaves forecasts as they are.
    """
    vol = raw_data.daily_percentage_volatility
    relative = vol.values / vol.values.rolling(TEN_YEARS, min_periods=10).mean()
    lower = relative.expanding().rank(method="min").to_numpy() - 1.0
    row = np.arange(len(lower))[:, None] - vol.span.first + 1.0
    multiplier = 2.0 - 1.5 * np.nan_to_num(lower) / np.where(row > 0, row, np.nan)
    if config.corrects(Correction.NEUTRAL_ATTENUATION):
        multiplier = np.where(np.isnan(lower), 1.0, multiplier)
    return vol.like(multiplier).map(lambda values: values.ewm(span=SMOOTH).mean())
