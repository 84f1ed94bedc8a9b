"""The diversification multiplier: what a portfolio of partly unlike assets is scaled up by to reach its risk target.

Carver, Systematic Trading: 1 / sqrt(w' C w), limited.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats, nanoseconds
from tradeflow_core.strategy.estimation.correlation import Correlation
from tradeflow_core.strategy.estimation.periods import FitPeriod

NO_RISK = 1e-7


def diversification_multiplier(correlation: Floats, weights: Floats, dm_max: float) -> float:
    """At most `dm_max`; 1 where the risk is unknown or nothing."""
    return float(_multipliers(correlation, weights[None, :], dm_max)[0])


def multiplier_over_time(
    correlations: Iterable[tuple[FitPeriod, Correlation]],
    weights: pd.DataFrame,
    dm_max: float = 2.5,
    *,
    ewma_span: float = 125,
    current_weights: bool = False,
) -> pd.Series:
    """The multiplier on each row of `weights` (in use; naive ascending dates x assets), smoothed over `ewma_span` rows.

    A period uses the weights at its start, the latest row at or before it, all through, with `current_weights` those of each
    day. Assets without weight, and those with less than two known correlations, are left out. Columns that `weights` lacks
    weigh nothing. Before the first period the multiplier is 1.
    """
    days = nanoseconds(weights.index)
    found = list(correlations)
    starts = [period.period_start.as_unit("ns").value for period, _ in found]
    first = [*np.searchsorted(days, starts).tolist(), len(days)]
    latest = np.searchsorted(days, starts, side="right") - 1
    raw = np.ones(len(days))
    in_order: dict[tuple[str, ...], Floats] = {}
    for place, (_, correlation) in enumerate(found):
        if correlation.columns not in in_order:
            columns = list(correlation.columns)
            in_order[correlation.columns] = weights.reindex(columns=columns, fill_value=0.0).to_numpy(dtype=float)
        table = in_order[correlation.columns]
        holding = slice(first[place], first[place + 1])
        known = slice(max(latest[place], 0), latest[place] + 1)
        usable = correlation.usable()
        used = table[holding if current_weights else known][:, usable]
        if current_weights:
            used = np.where(used == 0.0, np.nan, used)
        if len(used):
            raw[holding] = _multipliers(correlation.values[np.ix_(usable, usable)], used, dm_max)
    return pd.Series(raw, index=weights.index).ewm(span=ewma_span).mean()


def _multipliers(correlation: Floats, weights: Floats, dm_max: float) -> Floats:
    """For each row of `weights`, over the assets that have one; unknown where two of them have no correlation."""
    present = ~np.isnan(weights)
    unknown = np.isnan(correlation)
    held = np.where(present, weights, 0.0)
    variance = ((held @ np.where(unknown, 0.0, correlation)) * held).sum(axis=1)
    if unknown.any():
        pairs = ((present @ unknown.astype(float)) * present).sum(axis=1)
        variance = np.where(pairs > 0, np.nan, variance)
    with np.errstate(invalid="ignore"):
        risk = np.sqrt(variance)
    risky = risk >= NO_RISK
    return np.where(risky, np.minimum(1.0 / np.where(risky, risk, 1.0), dm_max), 1.0)
