"""Weights of assets (rules of an instrument, or instruments of a portfolio) from their net returns, fit period by fit period."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tradeflow_core.errors import DataError
from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.common.years import CALENDAR_DAYS_PER_YEAR
from tradeflow_core.strategy.config.compat import REFERENCE, Correction, Corrections, Solver
from tradeflow_core.strategy.config.estimates import WeightEstimate
from tradeflow_core.strategy.estimation.correlation import correlations
from tradeflow_core.strategy.estimation.fit_rows import known_in_window, rows_in_window
from tradeflow_core.strategy.estimation.moments import means_and_deviations
from tradeflow_core.strategy.estimation.optimisers import Estimates, optimal_weights
from tradeflow_core.strategy.estimation.periods import FitPeriod, fit_periods
from tradeflow_core.strategy.estimation.sharpe_multiplier import sharpe_multipliers
from tradeflow_core.strategy.estimation.stacking import Bools, Stacked, periods_per_year

COST_CORRELATION = 0.5
COST_YEARS = 100.0


@dataclass(frozen=True, eq=False)
class PeriodEstimates:
    """What is known at the fit end of a period; `has_data`: which assets have any value in the period's window."""

    period: FitPeriod
    estimates: Estimates
    has_data: Bools


def estimated_weights(
    returns: Stacked, settings: WeightEstimate, corrections: Corrections = REFERENCE, *, solver: Solver = "exact"
) -> pd.DataFrame:
    """Weights of the columns of `returns` (net, of `settings.frequency`, stacked or not): period starts x columns.

    The first period, without data, has equal weights. A row is missing throughout where no asset has estimates; weights
    need not sum to 1. Raises DataError when the returns are too short for any period, ConfigError for bad settings.
    """
    periods = weight_periods(returns, settings, corrections)
    return weights_of(
        period_estimates(returns, periods, settings, corrections=corrections),
        returns.columns,
        settings,
        corrections=corrections,
        solver=solver,
    )


def weight_periods(returns: Stacked, settings: WeightEstimate, corrections: Corrections = REFERENCE) -> list[FitPeriod]:
    """The fit periods of returns, a year apart; DataError when there is none."""
    periods = fit_periods(
        returns.first, returns.last, settings.date_method, rollyears=settings.rollyears, corrections=corrections
    )
    if not periods:
        raise DataError(
            f"returns from {returns.first:%Y-%m-%d} to {returns.last:%Y-%m-%d} are shorter than a year, too "
            "short to estimate weights: give the weights, or correct the flaw calendar_fits, which starts with equal weights"
        )
    return periods


def period_estimates(
    returns: Stacked, periods: Sequence[FitPeriod], settings: WeightEstimate, *, corrections: Corrections = REFERENCE
) -> Iterator[PeriodEstimates]:
    """Estimates for each period, one at a time; means and standard deviations are for a year."""
    year = periods_per_year(settings.frequency)
    mean, deviation = means_and_deviations(
        returns, periods, settings.mean_estimate, deviation=settings.vol_estimate, corrections=corrections
    )
    years = lengths_in_years(returns, periods, settings.frequency, corrections=corrections)
    has_data = known_in_window(returns, periods, corrections)
    matrices = correlations(returns, periods, settings.correlation_estimate, corrections=corrections)
    for place, (period, matrix) in enumerate(matrices):
        estimates = Estimates(matrix, mean[place] * year, deviation[place] * np.sqrt(year), float(years[place]))
        yield PeriodEstimates(period, estimates, has_data[place])


def lengths_in_years(
    returns: Stacked, periods: Sequence[FitPeriod], frequency: str, *, corrections: Corrections = REFERENCE
) -> Floats:
    """Years that each period learns from: rows over rows a year (stacked tables add up), or calendar years."""
    if Correction.CALENDAR_LENGTH in corrections:
        return np.array([(period.fit_end - period.fit_start).days / CALENDAR_DAYS_PER_YEAR for period in periods])
    start, end = rows_in_window(returns, periods, corrections)
    return (end - start) / periods_per_year(frequency)


def weights_of(
    known: Iterator[PeriodEstimates] | Sequence[PeriodEstimates],
    columns: Sequence[str],
    settings: WeightEstimate,
    *,
    corrections: Corrections = REFERENCE,
    solver: Solver = "exact",
) -> pd.DataFrame:
    """The table of weights that follows from estimates: period starts x columns."""
    starts: list[pd.Timestamp] = []
    rows: list[Floats] = []
    for one in known:
        starts.append(one.period.period_start)
        rows.append(_row(one, settings, corrections, solver=solver))
    return pd.DataFrame(rows, index=pd.DatetimeIndex(starts, name="date"), columns=list(columns), dtype=float)


def _row(one: PeriodEstimates, settings: WeightEstimate, corrections: Corrections, *, solver: Solver) -> Floats:
    size = len(one.has_data)
    if one.period.no_data:
        return np.full(size, 1.0 / size)
    weights = optimal_weights(one.estimates, settings, solver, lone_asset=Correction.LONE_ASSET in corrections)
    return cleaned_weights(weights, one.has_data) if settings.cleaning else weights


def cleaned_weights(weights: Floats, has_data: Bools) -> Floats:
    """Assets with data but without weight share a small part, half of their share in number; others without weight get 0.

    Weights then sum to 1. With no weight at all, or none to give, they stay as they are; all 0 when no asset has data.
    """
    missing = np.isnan(weights)
    if missing.all():
        return weights
    if not has_data.any():
        return np.zeros(len(weights))
    due = missing & has_data
    if not due.any():
        return weights
    newcomers, held = np.count_nonzero(due), np.count_nonzero(~missing)
    each = 0.5 / (held + newcomers)
    cleaned = np.where(due, each, np.where(missing, 0.0, weights * (1.0 - each * newcomers)))
    return np.asarray(cleaned / cleaned.sum())


def with_cost_weights(weights: pd.DataFrame, cost_sharpe: pd.Series, solver: Solver = "exact") -> pd.DataFrame:
    """Every row moved towards cheap assets, and summing to 1; `cost_sharpe` by column, a year, negative.

    Cost differences are taken for certain: correlation 0.5 and 100 years of data.
    """
    relative = (cost_sharpe - cost_sharpe.mean()).reindex(weights.columns).to_numpy(dtype=float)
    moved = weights * sharpe_multipliers(relative, COST_CORRELATION, COST_YEARS, solver=solver)
    return moved.div(moved.sum(axis=1, min_count=1), axis=0)


def with_cost_weights_by_row(weights: pd.DataFrame, costs: Sequence[Floats], solver: Solver = "exact") -> pd.DataFrame:
    """`with_cost_weights` with costs of its own for each row; `costs`: for each row by column, a year, positive."""
    rows = [
        with_cost_weights(weights.iloc[[row]], pd.Series(-cost, index=weights.columns), solver) for row, cost in enumerate(costs)
    ]
    return pd.concat(rows)
