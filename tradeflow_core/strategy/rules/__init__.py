"""Trading rules: functions from prices to a raw forecast.

A rule takes tables (business days x instruments) or single series and returns the same shape, positive for long; each is
linear in price divided by volatility, so that a forecast means the same everywhere. `RULES` are the names that a strategy
file may use; a keyword argument of a function is a key of `other_args` there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tradeflow_core.strategy.rules.carry import carry, relative_carry
from tradeflow_core.strategy.rules.constant import long_bias, short_bias
from tradeflow_core.strategy.rules.relative import cross_sectional_mean_reversion, relative_momentum
from tradeflow_core.strategy.rules.trend import accel, breakout, ewmac, ewmac_calc_vol, ewmac_with_defaults, mr_wings

RULES: dict[str, Callable[..., Any]] = {
    rule.__name__: rule
    for rule in (
        ewmac,
        ewmac_calc_vol,
        ewmac_with_defaults,
        breakout,
        accel,
        mr_wings,
        carry,
        relative_carry,
        cross_sectional_mean_reversion,
        relative_momentum,
        long_bias,
        short_bias,
    )
}

__all__ = ["RULES"]
