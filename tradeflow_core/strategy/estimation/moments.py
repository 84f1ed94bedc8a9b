"""Means and standard deviations of columns for every fit period, in one pass over the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.config.compat import REFERENCE, Corrections
from tradeflow_core.strategy.config.estimates import MomentEstimate
from tradeflow_core.strategy.estimation.fit_rows import learning_rows
from tradeflow_core.strategy.estimation.periods import FitPeriod
from tradeflow_core.strategy.estimation.stacking import Stacked
from tradeflow_core.strategy.estimation.windows import Rows, over_windows


class ColumnMoments:
    """Weighted mean and variance of each column; every row ages the older ones, also one that a column lacks.

    `decay`: the weight of a row relative to the next row; 1 weighs all alike. A column that never moves has a variance of
    exactly zero.
    """

    def __init__(self, columns: int, decay: float) -> None:
        self.decay = decay
        self.rows = 0
        self.count, self.weight, self.squared_weight, self.mean, self.square = (np.zeros(columns) for _ in range(5))

    def extend(self, rows: Floats) -> None:
        """Take in later rows (rows x columns), NaN where a column lacks the row."""
        weights = self.decay ** np.arange(len(rows) - 1, -1, -1, dtype=float)
        present = ~np.isnan(rows)
        base = rows[np.argmax(present, axis=0), np.arange(rows.shape[1])]
        beyond = np.where(present, rows - base, 0.0)
        weight = weights @ present
        above = weights @ beyond / np.where(weight > 0, weight, 1.0)
        beyond -= above
        beyond *= present
        later = ColumnMoments(len(weight), self.decay)
        later.rows, later.count, later.weight = len(rows), np.count_nonzero(present, axis=0).astype(float), weight
        later.squared_weight = (weights * weights) @ present
        later.mean = np.where(weight > 0, base + above, 0.0)
        beyond *= beyond
        later.square = weights @ beyond
        self.merge(later)

    def merge(self, later: ColumnMoments) -> None:
        """Take in the moments of later rows."""
        decay = self.decay**later.rows
        older = self.weight * decay
        total = older + later.weight
        share = later.weight / np.where(total > 0, total, 1.0)
        ahead = later.mean - self.mean
        self.mean = self.mean + share * ahead
        self.square = self.square * decay + later.square + older * share * ahead * ahead
        self.weight = total
        self.squared_weight = self.squared_weight * decay**2 + later.squared_weight
        self.count = self.count + later.count
        self.rows += later.rows

    def means(self, min_periods: float) -> Floats:
        """Means; missing with fewer values than `min_periods`."""
        return np.where(self.count >= max(min_periods, 1), self.mean, np.nan)

    def deviations(self, min_periods: float, *, unbiased: bool) -> Floats:
        """Standard deviations; `unbiased` for the weights, which needs two values."""
        least = max(min_periods, 2 if unbiased else 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = self.square / self.weight
            if unbiased:
                variance = variance / (1.0 - self.squared_weight / self.weight**2)
        return np.where(self.count >= least, np.sqrt(variance), np.nan)


def means_and_deviations(
    data: Stacked,
    periods: Sequence[FitPeriod],
    mean: MomentEstimate,
    *,
    deviation: MomentEstimate,
    corrections: Corrections = REFERENCE,
    rows: Rows | None = None,
) -> tuple[Floats, Floats]:
    """Mean and standard deviation of a row for each period and column; missing in periods without data.

    Exponential: span `ew_lookback` and least number of values `min_periods`, both for each stacked table, over the rows
    before the fit end. Plain: over the rows from fit start to fit end, both included, and `min_periods` as it is; plain
    deviations divide by the number of values. `rows`: figures of the same rows to use instead of the data's.
    """
    values = data.values if rows is None else rows
    found = np.full((2, len(periods), values.shape[1]), np.nan)
    real = [place for place, period in enumerate(periods) if not period.no_data]
    fitted = [periods[place] for place in real]
    same = mean == deviation
    for place, moments in zip(
        real, _over_periods(data, values, fitted, settings=deviation, corrections=corrections), strict=True
    ):
        least = _least(data, deviation)
        found[1, place] = moments.deviations(least, unbiased=deviation.using_exponent)
        if same:
            found[0, place] = moments.means(least)
    if not same:
        for place, moments in zip(real, _over_periods(data, values, fitted, settings=mean, corrections=corrections), strict=True):
            found[0, place] = moments.means(_least(data, mean))
    return found[0], found[1]


def _over_periods(
    data: Stacked, values: Rows, periods: Sequence[FitPeriod], *, settings: MomentEstimate, corrections: Corrections
) -> Iterator[ColumnMoments]:
    start, end = learning_rows(data, periods, using_exponent=settings.using_exponent, corrections=corrections)
    decay = 1.0 - 2.0 / (settings.ew_lookback * data.frames + 1.0) if settings.using_exponent else 1.0
    return over_windows(values, start, end, new=lambda: ColumnMoments(values.shape[1], decay))


def _least(data: Stacked, settings: MomentEstimate) -> int:
    return settings.min_periods * data.frames if settings.using_exponent else settings.min_periods
