"""How capital follows profits in a backtest: the factor of each day on the starting capital, and so on positions.

(Carver, Systematic Trading, chapter 9.) All take the net profit and loss of the portfolio at its starting capital, in
percent of that, one figure a day, and give the factor after each day.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tradeflow_core.strategy.common.panel import Floats


def fixed_capital(percent: Floats, *, corrected: bool) -> Floats:
    """Capital stays what it was: 1 on every day."""
    return np.ones(len(percent))


def full_compounding(percent: Floats, *, corrected: bool) -> Floats:
    """Profits stay in the account and losses come out of it; a missing day has a missing factor.

    Corrected, a missing day changes nothing, and an account that has lost everything stays at 0.
    """
    growth = 1.0 + percent / 100.0
    if corrected:
        return np.cumprod(np.maximum(np.where(np.isnan(growth), 1.0, growth), 0.0), dtype=float)
    known = ~np.isnan(growth)
    return np.where(known, np.cumprod(np.where(known, growth, 1.0), dtype=float), np.nan)


def half_compounding(percent: Floats, *, corrected: bool) -> Floats:
    """Losses reduce the capital, profits rebuild it but go no further: the factor is never above 1.

    The reference applies the factor to each day's result twice, which makes losses and recoveries too small, leaves out
    the first day and starts anew after a missing one. Corrected, it is applied once, every day counts, and a missing
    one changes nothing.
    """
    return _held_below_one(np.nan_to_num(percent) / 100.0) if corrected else _as_reference(percent / 100.0)


def _held_below_one(change: Floats) -> Floats:
    level, levels = 1.0, np.empty(len(change))
    for day, one in enumerate(change.tolist()):
        level = min(max(level * (1.0 + one), 0.0), 1.0)
        levels[day] = level
    return levels


def _as_reference(change: Floats) -> Floats:
    level, levels = 1.0, np.empty(len(change))
    for day, one in enumerate(change.tolist()):
        left_out = day == 0 or math.isnan(one)
        level = 1.0 if left_out else min(level * (1.0 + level * one), 1.0)
        levels[day] = level
    return levels


MULTIPLIERS: dict[str, Callable[..., Floats]] = {
    "fixed_capital": fixed_capital,
    "full_compounding": full_compounding,
    "half_compounding": half_compounding,
}


def capital_multiplier(method: str, percent: Floats, *, corrected: bool) -> Floats:
    """The factor by day; `method`: a name in MULTIPLIERS."""
    return MULTIPLIERS[method](percent, corrected=corrected)
