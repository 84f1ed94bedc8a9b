"""Forecasts that never change: always long, always short."""

from __future__ import annotations

from tradeflow_core.strategy.common.volatility import Prices


def long_bias(price: Prices) -> Prices:
    """+10 on every day of the price series."""
    result = price.copy()
    result[:] = 10.0
    return result


def short_bias(price: Prices) -> Prices:
    """-10 on every day of the price series."""
    result = price.copy()
    result[:] = -10.0
    return result
