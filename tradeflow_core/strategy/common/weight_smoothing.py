"""From given weights to weights in use, the same for rules of an instrument and for instruments of a portfolio.

A member without forecast (or position) yet has weight 0; weights are then smoothed, so that a newcomer phases in, and
divided by their sum.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.strategy.common.panel import Floats, nanoseconds

ALMOST_NOTHING = 0.0001


def weights_at(table: pd.DataFrame, days: pd.DatetimeIndex) -> Floats:
    """The latest row of a table of weights at or before each day: (days, members); missing before the first row."""
    place = np.searchsorted(nanoseconds(table.index), nanoseconds(days), side="right") - 1
    values = table.to_numpy(dtype=float)[np.maximum(place, 0)]
    return np.where((place >= 0)[:, None], values, np.nan)


def weights_in_use(target: Floats, available: NDArray[np.bool_], span: float, *, ends_at_once: bool = False) -> Floats:
    """Weights of shape (days, members), normalised on each day.

    `target`: given weights, missing where none is known. `available`: whether the member has something to weight. Where no
    member has, all keep their weights. `span`, `ends_at_once`: see `smoothed`.
    """
    return smoothed(target_of_available(target, available), span, ends_at_once=ends_at_once)


def smoothed(target: Floats, span: float, *, ends_at_once: bool) -> Floats:
    """Exponentially smoothed with `span` (days) and normalised.

    Where the targets have been 0 from the start on weights are 0. After other ones the smallest remainder of them is scaled up
    again, so that they never end; with `ends_at_once` they do on the first day with nothing but 0.
    """
    weights = normalised(pd.DataFrame(target).ewm(span=span).mean().to_numpy())
    if ends_at_once:
        weights[(np.nan_to_num(target) == 0.0).all(axis=1) & ~np.isnan(target).all(axis=1)] = 0.0
    return weights


def target_of_available(target: Floats, available: NDArray[np.bool_]) -> Floats:
    """Given weights, with 0 for members that have nothing to weight; where no member has, all keep theirs."""
    return np.where(available | ~available.any(axis=1, keepdims=True), target, 0.0)


def normalised(weights: Floats) -> Floats:
    """Weights divided by their sum of each day."""
    total = np.nansum(weights, axis=1, keepdims=True)
    total[total == 0.0] = ALMOST_NOTHING
    return np.asarray(weights / total, dtype=float)
