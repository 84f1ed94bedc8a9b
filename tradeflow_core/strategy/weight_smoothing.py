"""From given weights to weights in use, the same for rules of an instrument and for instruments of a portfolio.

A member without forecast (or position) yet has weight 0; weights are then smoothed, so that a newcomer phases in, and
divided by their sum.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.strategy.panel import Floats

ALMOST_NOTHING = 0.0001


def weights_in_use(target: Floats, available: NDArray[np.bool_], span: float) -> Floats:
    """Weights of shape (days, groups, members), normalised within each group and day.

    `target`: given weights, missing where the member does not belong to the group or the day not to the group.
    `available`: whether the member has something to weight. Where no member has, all keep their weights.
    `span`: of the exponential smoothing, in days. A day whose weights are all 0 stays at 0.
    """
    none_yet = ~available.any(axis=2, keepdims=True)
    allowed = np.where(available | none_yet | np.isnan(target), target, 0.0)
    days, groups, members = allowed.shape
    flat = pd.DataFrame(allowed.reshape(days, groups * members))
    smooth = flat.ewm(span=span).mean().to_numpy().reshape(allowed.shape)
    smooth = np.where(np.isnan(target), np.nan, smooth)
    total = np.nansum(smooth, axis=2, keepdims=True)
    total[total == 0.0] = ALMOST_NOTHING
    return np.asarray(smooth / total, dtype=float)
