"""Carry: the return of a future whose spot price stands still (Carver)."""

from __future__ import annotations

from tradeflow_core.strategy.common.volatility import Prices


def carry(raw_carry: Prices, smooth_days: float = 90) -> Prices:
    """Smoothed annual carry in units of annual volatility; `smooth_days` is the centre of mass of the average."""
    return raw_carry.ewm(com=smooth_days).mean()


def relative_carry(smoothed_carry: Prices, median_carry_for_asset_class: Prices) -> Prices:
    """Carry over and above the median of the instrument's asset class."""
    return smoothed_carry - median_carry_for_asset_class
