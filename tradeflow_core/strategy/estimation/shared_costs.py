"""Weights of many members that share pooled gross returns and differ in their costs only, in one pass over the rows.

Net returns are gross + c x units, with a cost c for each member and column. So every member's moments follow from those of
gross, units and their sum, since cov(gross, units) = (var(gross + units) - var(gross) - var(units)) / 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tradeflow_core.errors import DataError
from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.config.compat import REFERENCE, Corrections
from tradeflow_core.strategy.config.estimates import WeightEstimate
from tradeflow_core.strategy.estimation.correlation import (
    BEFORE_ANY_DATA,
    Correlation,
    joint_moments,
    least_joint_rows,
    processed,
)
from tradeflow_core.strategy.estimation.fit_rows import known_in_window
from tradeflow_core.strategy.estimation.joint_moments import JointMoments, correlation_of
from tradeflow_core.strategy.estimation.moments import means_and_deviations
from tradeflow_core.strategy.estimation.optimisers import Estimates
from tradeflow_core.strategy.estimation.stacking import Bools, Stacked, periods_per_year
from tradeflow_core.strategy.estimation.weights import PeriodEstimates, lengths_in_years, weight_periods


@dataclass(frozen=True, eq=False)
class SharedReturns:
    """Moments of gross returns and cost units at every fit end, from which any member's estimates follow."""

    templates: list[PeriodEstimates]
    pairs: list[_Pairs | None]
    mean: Floats
    variance: Floats
    settings: WeightEstimate

    @staticmethod
    def of(gross: Stacked, units: Stacked, settings: WeightEstimate, *, corrections: Corrections = REFERENCE) -> SharedReturns:
        """Read the rows once. Raises DataError where gross and units are not of the same rows and columns."""
        if units.columns != gross.columns or not np.array_equal(units.stamps, gross.stamps):
            raise DataError("gross returns and cost units must have the same rows and columns: stack both from the same tables")
        periods = weight_periods(gross, settings, corrections)
        wide = _Wide(gross.values, units.values)
        year = periods_per_year(settings.frequency)
        real = [period for period in periods if not period.no_data]
        matrices = joint_moments(gross, real, settings.correlation_estimate, corrections=corrections, rows=wide)
        least = least_joint_rows(gross, settings.correlation_estimate)
        years = lengths_in_years(gross, periods, settings.frequency, corrections=corrections)
        has_data = known_in_window(gross, periods, corrections)
        mean, deviation = means_and_deviations(
            gross, periods, settings.mean_estimate, deviation=settings.vol_estimate, corrections=corrections, rows=wide
        )
        unknown = Correlation.constant(gross.columns, BEFORE_ANY_DATA)
        nothing = np.full(len(gross.columns), np.nan)
        return SharedReturns(
            [
                PeriodEstimates(period, Estimates(unknown, nothing, nothing, float(years[place])), has_data[place])
                for place, period in enumerate(periods)
            ],
            [None if period.no_data else _Pairs.of(next(matrices), least) for period in periods],
            mean * year,
            deviation**2 * year,
            settings,
        )

    def estimates(self, costs: Floats) -> Iterator[PeriodEstimates]:
        """Estimates for each period of net returns with these costs by column."""
        size = len(costs)
        for place, (template, pairs) in enumerate(zip(self.templates, self.pairs, strict=True)):
            if pairs is None:
                yield template
                continue
            mean, variance = self.mean[place].reshape(3, size), self.variance[place].reshape(3, size)
            net = _net_variance(variance[0], variance[1], variance[2], costs=costs)
            matrix, boring = processed(pairs.correlation(costs), template.has_data, self.settings.correlation_estimate)
            estimates = replace(
                template.estimates,
                correlation=replace(template.estimates.correlation, values=matrix, boring=boring),
                mean=mean[0] + costs * mean[1],
                deviation=np.sqrt(net),
            )
            yield replace(template, estimates=estimates)


class _Wide:
    """Gross, units and their sum side by side, made a block at a time to spare memory."""

    def __init__(self, gross: Floats, units: Floats) -> None:
        self.gross, self.units = gross, units
        self.shape = len(gross), 3 * gross.shape[1]

    def __getitem__(self, rows: slice, /) -> Floats:
        gross, units = self.gross[rows], self.units[rows]
        return np.hstack([gross, units, gross + units])


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Sums of squares and products of gross (g), units (u) and both, for each pair of columns on its joint rows."""

    enough: Bools
    square_g: Floats
    square_u: Floats
    square_both: Floats
    cross_gg: Floats
    cross_gu: Floats
    cross_uu: Floats

    @staticmethod
    def of(moments: JointMoments, least: float) -> _Pairs:
        size = len(moments.count) // 3
        g, u, both = (slice(place * size, (place + 1) * size) for place in range(3))
        square, cross = np.where(moments.varied(), moments.square, 0.0), moments.cross
        parts = square[g, g], square[u, g], square[both, g], cross[g, g], cross[g, u], cross[u, u]
        return _Pairs(moments.count[g, g] >= least, *(part.copy() for part in parts))

    def correlation(self, costs: Floats) -> Floats:
        """Of net returns with these costs by column."""
        square = _net_variance(self.square_g, self.square_u, self.square_both, costs=costs[:, None])
        with_units = self.cross_gu * costs
        cross = self.cross_gg + (with_units + with_units.T) + np.outer(costs, costs) * self.cross_uu
        varied = square > 0
        return correlation_of(square, cross, self.enough & varied & varied.T)


def _net_variance(gross: Floats, units: Floats, both: Floats, *, costs: Floats) -> Floats:
    """Variance of gross + costs x units; exactly 0 where neither moves."""
    return np.maximum(gross + costs * (both - gross - units) + costs * costs * units, 0.0)
