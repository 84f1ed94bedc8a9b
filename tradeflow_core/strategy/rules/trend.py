"""Rules on one instrument's own price: trend, breakout, acceleration, fading of extremes (Carver)."""

from __future__ import annotations

import math

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.common.volatility import Prices, ewma, level_vol


def ewmac(price: Prices, vol: Prices, Lfast: float = 32, Lslow: float = 128) -> Prices:
    """Fast minus slow exponential average of price, in units of daily volatility; `Lfast`, `Lslow` are spans in days."""
    return (ewma(price, Lfast) - ewma(price, Lslow)) / vol.ffill()


def ewmac_calc_vol(
    price: Prices,
    Lfast: float = 32,
    Lslow: float = 128,
    vol_days: int = 35,
    vol_of_changes: bool = False,
    own_vol: Prices | None = None,
) -> Prices:
    """`ewmac` on any cumulated series, with a volatility of its own.

    `vol_of_changes`: divide by the volatility of the series' changes, as elsewhere; otherwise by the volatility of its
    level, which is what pysystemtrade does. `own_vol` is that volatility where it is known already.
    """
    return ewmac(price, level_vol(price, of_changes=vol_of_changes, days=vol_days) if own_vol is None else own_vol, Lfast, Lslow)


def ewmac_with_defaults(price: Prices, vol: Prices, Lfast: float = 16, Lslow: float = 32) -> Prices:
    """`ewmac` with the short default spans that pysystemtrade's example gives it."""
    return ewmac(price, vol, Lfast, Lslow)


def breakout(price: Prices, lookback: int = 10, smooth: int | None = None, judge_short: bool = True) -> Prices:
    """Place of the price within its range of the last `lookback` days: -20 at the low, +20 at the high, smoothed.

    The range needs half of `lookback`; with `judge_short` a series shorter than that is judged at its end all the same, which
    another day of prices would take back. `smooth` defaults to a quarter of `lookback`. Raises ConfigError where it is not
    shorter than `lookback`.
    """
    span = max(lookback // 4, 1) if smooth is None else smooth
    if span >= lookback:
        raise ConfigError(f"breakout: smooth {span} must be shorter than lookback {lookback}")
    half = math.ceil(lookback / 2)
    window = price.rolling(lookback, min_periods=min(len(price), half) if judge_short else half)
    high, low = window.max(), window.min()
    place = 40.0 * (price - (high + low) / 2.0) / (high - low)
    return ewma(place, span, min_periods=math.ceil(span / 2))


def accel(price: Prices, vol: Prices, Lfast: int = 4) -> Prices:
    """Change of a trend forecast over `Lfast` days."""
    trend = ewmac(price, vol, Lfast, 4 * Lfast)
    return trend - trend.shift(Lfast)


def mr_wings(price: Prices, vol: Prices, Lfast: int = 4) -> Prices:
    """Against the trend, but only where the trend forecast lies beyond three of its own standard deviations; flat inside."""
    trend = ewmac(price, vol, Lfast, 4 * Lfast)
    inside = trend.abs() < 3 * trend.rolling(5000, min_periods=3).std()
    return -trend.mask(inside, 0.0)
