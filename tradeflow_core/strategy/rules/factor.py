"""Rules on a factor, such as the skewness of returns (Carver, Advanced Futures Trading Strategies)."""

from __future__ import annotations

from tradeflow_core.strategy.common.volatility import Prices, ewma, level_vol


def factor_trading_rule(
    factor: Prices, smooth: float = 90, vol_of_changes: bool = False, own_vol: Prices | None = None
) -> Prices:
    """The factor in units of its volatility, smoothed with span `smooth`.

    `vol_of_changes`: divide by the volatility of the factor's changes; otherwise by that of its level, which is what
    pysystemtrade does. `own_vol` is that volatility where it is known already.
    """
    return ewma(_in_vol(factor, vol_of_changes, own_vol), smooth)


def conditioned_factor_trading_rule(
    factor: Prices, condition: Prices, smooth: float = 90, vol_of_changes: bool = False, own_vol: Prices | None = None
) -> Prices:
    """`factor_trading_rule`, turned round while `condition` is negative, and flat while it is 0."""
    sign = condition.mask(condition > 0, 1.0).mask(condition < 0, -1.0).reindex(factor.index).ffill()
    return ewma(_in_vol(factor, vol_of_changes, own_vol) * sign, smooth)


def _in_vol(factor: Prices, vol_of_changes: bool, own_vol: Prices | None) -> Prices:
    return factor / (level_vol(factor, of_changes=vol_of_changes) if own_vol is None else own_vol)
