"""Correlations of columns for every fit period, in one pass over the rows (Carver, Systematic Trading, on their use)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tradeflow_core.strategy.common.panel import Floats, Ints
from tradeflow_core.strategy.config.compat import REFERENCE, Corrections
from tradeflow_core.strategy.config.estimates import CorrelationEstimate
from tradeflow_core.strategy.estimation.fit_rows import known_in_window, learning_rows
from tradeflow_core.strategy.estimation.joint_moments import JointMoments
from tradeflow_core.strategy.estimation.periods import FitPeriod, fit_periods
from tradeflow_core.strategy.estimation.sliding_moments import SlidingJointMoments
from tradeflow_core.strategy.estimation.stacking import Bools, Stacked
from tradeflow_core.strategy.estimation.windows import Rows, over_windows

BEFORE_ANY_DATA = 0.99


@dataclass(frozen=True, eq=False)
class Correlation:
    """A correlation matrix, missing entries as NaN. `boring`: made up, since nothing was known; the same everywhere."""

    columns: tuple[str, ...]
    values: Floats
    boring: bool = False

    @staticmethod
    def constant(columns: tuple[str, ...], offdiag: float) -> Correlation:
        """The same entry everywhere off the diagonal."""
        return Correlation(columns, _constant(len(columns), offdiag), boring=True)

    def of(self, places: Ints) -> Correlation:
        """The part of some columns."""
        return replace(self, columns=tuple(self.columns[place] for place in places), values=self.values[np.ix_(places, places)])

    @property
    def average(self) -> float:
        """Mean of the known entries off the diagonal; NaN without any."""
        return _average_off_diagonal(self.values)

    def shrunk(self, share: float) -> Correlation:
        """`share` of the average correlation everywhere plus the rest of this."""
        return replace(self, values=_shrunk(self.values, share))

    def usable(self, *, lone_asset: bool = False) -> Bools:
        """Which columns have at least two known entries; with `lone_asset` a single column needs none besides itself."""
        if lone_asset and len(self.columns) == 1:
            return np.array([True])
        return np.asarray(np.count_nonzero(~np.isnan(self.values), axis=0) >= 2)


def correlations(
    data: Stacked, periods: Sequence[FitPeriod], settings: CorrelationEstimate, *, corrections: Corrections = REFERENCE
) -> Iterator[tuple[FitPeriod, Correlation]]:
    """One matrix for each period, one at a time, with columns in the order of the data.

    Exponential: pairwise, over the rows before the fit end that both columns have, a row's weight falling with the number of
    later joint rows; a span of `ew_lookback` rows and at least `min_periods` joint rows, both for each stacked table.
    Plain: pairwise sample correlation of the rows from fit start to fit end, both included. A column without variance on the
    joint rows has no correlation. Then cleaned, floored, clipped and shrunk, in this order. A period without data has 0.99
    everywhere.
    """
    real = [period for period in periods if not period.no_data]
    if not real:
        matrices: Iterator[Correlation] = iter(())
    else:
        matrices = _estimated(data, real, settings, corrections=corrections)
    for period in periods:
        yield period, Correlation.constant(data.columns, BEFORE_ANY_DATA) if period.no_data else next(matrices)


def fitted_correlations(
    data: Stacked, settings: CorrelationEstimate, corrections: Corrections = REFERENCE
) -> Iterator[tuple[FitPeriod, Correlation]]:
    """`correlations` of the fit periods that the settings ask for."""
    periods = fit_periods(
        data.first,
        data.last,
        settings.date_method,
        rollyears=settings.rollyears,
        interval=settings.interval_frequency,
        corrections=corrections,
    )
    return correlations(data, periods, settings, corrections=corrections)


def processed(raw: Floats, known: Bools, settings: CorrelationEstimate) -> tuple[Floats, bool]:
    """A matrix after cleaning, floor, clip and shrinking, and whether nothing was known of it.

    `known`: which columns have data; a missing entry between two of them becomes the average of the known entries, any
    other one `offdiag`. Where no entry off the diagonal is known there is no average, so the former stay missing.
    """
    values, boring = _cleaned(raw, known, settings.offdiag) if settings.cleaning else (raw, False)
    if settings.floor_at_zero:
        values = _with_unit_diagonal(np.maximum(values, 0.0))
    if settings.clip is not None:
        values = _with_unit_diagonal(np.clip(values, -settings.clip, settings.clip))
    share = settings.shrinkage_parameter if settings.using_exponent else settings.shrinkage
    return _shrunk(values, share) if share > 0 else values, boring


def joint_moments(
    data: Stacked,
    periods: Sequence[FitPeriod],
    settings: CorrelationEstimate,
    *,
    corrections: Corrections = REFERENCE,
    rows: Rows | None = None,
) -> Iterator[JointMoments]:
    """Moments of pairs of columns for each period, none of them without data; each is valid until the next is asked for.

    `rows`: figures of the same rows to use instead of the data's.
    """
    start, end = learning_rows(data, periods, using_exponent=settings.using_exponent, corrections=corrections)
    decay = 1.0 - 2.0 / (settings.ew_lookback * data.frames + 1.0) if settings.using_exponent else 1.0
    values = data.values if rows is None else rows
    size = values.shape[1]
    return over_windows(
        values, start, end, new=lambda: JointMoments(size, decay), sliding=lambda: SlidingJointMoments(size, decay)
    )


def least_joint_rows(data: Stacked, settings: CorrelationEstimate) -> int:
    """Joint rows that a correlation needs."""
    return settings.min_periods * data.frames if settings.using_exponent else 1


def _estimated(
    data: Stacked, periods: Sequence[FitPeriod], settings: CorrelationEstimate, *, corrections: Corrections
) -> Iterator[Correlation]:
    order, back = _by_first_row(data)
    rows = None if order is None else data.values[:, order]
    least = least_joint_rows(data, settings)
    known = known_in_window(data, periods, corrections)
    for moments, has_data in zip(joint_moments(data, periods, settings, corrections=corrections, rows=rows), known, strict=True):
        raw = moments.correlation(least)
        matrix, boring = processed(raw if back is None else raw[np.ix_(back, back)], has_data, settings)
        yield Correlation(data.columns, matrix, boring)


def _by_first_row(data: Stacked) -> tuple[Ints | None, Ints | None]:
    """An order of the columns in which those that have begun come first (the moments are then neighbours), and the way back."""
    first = np.argmax(data.present, axis=0)
    if (first == first[0]).all():
        return None, None
    order = np.argsort(first, kind="stable")
    return order, np.argsort(order)


def _cleaned(raw: Floats, known: Bools, offdiag: float) -> tuple[Floats, bool]:
    missing = np.isnan(raw)
    if not missing.any():
        return raw, False
    if missing.all():
        return _constant(len(raw), offdiag), True
    filled = np.where(known[:, None] & known, _average_off_diagonal(raw), offdiag)
    return _with_unit_diagonal(np.where(missing, filled, raw)), False


def _constant(size: int, offdiag: float) -> Floats:
    return _with_unit_diagonal(np.full((size, size), offdiag))


def _with_unit_diagonal(values: Floats) -> Floats:
    np.fill_diagonal(values, 1.0)
    return values


def _average_off_diagonal(values: Floats) -> float:
    missing = np.isnan(values)
    count = missing.size - np.count_nonzero(missing)
    diagonal = np.diagonal(values)
    on_diagonal = np.count_nonzero(~np.isnan(diagonal))
    if count == on_diagonal:
        return float("nan")
    return float((np.nansum(values) - np.nansum(diagonal)) / (count - on_diagonal))


def _shrunk(values: Floats, share: float) -> Floats:
    return share * _constant(len(values), _average_off_diagonal(values)) + (1.0 - share) * values
