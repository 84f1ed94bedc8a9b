"""Risk of a portfolio, and the factor by which its positions are scaled down when that is too much.

(Carver, Advanced Futures Trading Strategies, on risk management: the risk overlay.) Tables are (days, instruments).
Weights are the value of positions as a share of capital, volatilities are annual shares of price, risk is the annual
standard deviation as a share of capital.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.strategy.common.panel import Floats, nanoseconds
from tradeflow_core.strategy.common.years import ROOT_BUSINESS_DAYS_PER_YEAR
from tradeflow_core.strategy.config.estimates import RiskOverlay

SHOCK_DAYS, SHOCK_QUANTILE, SHOCK_MIN_DAYS = 2560, 0.99, 3

Correlations = Iterable[tuple[pd.Timestamp, Floats]]
"""Matrices (instruments, instruments), each with the first day it holds for, in order. Each must be an array of its own."""


def contract_values(price: Floats, fx: Floats, point_sizes: Floats, *, capital: float) -> Floats:
    """Value of one contract as a share of capital. `price`: of the held contract; `fx`: base currency for one of the instrument's."""
    return fx * price * point_sizes / capital


def portfolio_weights(positions: Floats, values: Floats) -> Floats:
    """Positions in contracts times contract values; a day without figure has the weight of the day before."""
    return _carried(positions * values)


def annual_volatilities(percentage_volatility: Floats) -> Floats:
    """Annual volatilities as shares of price, from daily ones in percent; the last known one is carried forward."""
    return _carried(ROOT_BUSINESS_DAYS_PER_YEAR * percentage_volatility / 100.0)


def shocked_volatilities(volatilities: Floats, *, backfilled: bool) -> Floats:
    """Volatilities as they are in bad times: the 0.99 quantile of the last ten years, from the third day on.

    `backfilled`: the first figure is also used for all days before it, as the reference does; a look into the future.
    """
    shocked = pd.DataFrame(volatilities).ffill().rolling(SHOCK_DAYS, min_periods=SHOCK_MIN_DAYS).quantile(SHOCK_QUANTILE)
    return _carried((shocked.bfill() if backfilled else shocked).to_numpy())


def _carried(table: Floats) -> Floats:
    return np.asarray(pd.DataFrame(table).ffill().to_numpy(), dtype=float)


def known_in(correlation: Floats, *, lone_asset: bool) -> NDArray[np.bool_]:
    """Instruments that a correlation matrix says something of: those with two figures in their column.

    So the only instrument of a portfolio never is one; with `lone_asset` the figure with itself will do for it.
    """
    needed = 1 if lone_asset and len(correlation) == 1 else 2
    return np.asarray(np.count_nonzero(~np.isnan(correlation), axis=0) >= needed)


def in_force(days: pd.DatetimeIndex, correlations: Correlations, count: int) -> Iterator[tuple[slice, Floats]]:
    """Rows of `days`, in order and without gaps, with the matrix that holds for them; before the first one the identity."""
    stamps, start, matrix = nanoseconds(days), 0, np.eye(count)
    for since, following in correlations:
        end = int(np.searchsorted(stamps, pd.Timestamp(since).as_unit("ns").value))
        if end > start:
            yield slice(start, end), matrix
        start, matrix = max(start, end), following
    if start < len(days):
        yield slice(start, len(days)), matrix


def daily_covariances(
    days: pd.DatetimeIndex, volatilities: Floats, correlations: Correlations, *, shrinkage: float, lone_asset: bool
) -> Iterator[Floats]:
    """A covariance matrix for each day; missing for instruments without volatility or correlation.

    `shrinkage`: share of the identity in the correlation, between 0 and 1. `lone_asset`: see `known_in`.
    """
    count = volatilities.shape[1]
    for rows, matrix in in_force(days, correlations, count):
        known = known_in(matrix, lone_asset=lone_asset)
        shrunk = np.where(known[:, None] & known, (1.0 - shrinkage) * matrix + shrinkage * np.eye(count), np.nan)
        for row in range(rows.start, rows.stop):
            with np.errstate(invalid="ignore"):  # infinite volatilities, those of a price of 0, times no correlation
                covariance = shrunk * volatilities[row]
                covariance *= volatilities[row][:, None]
            yield covariance


@dataclass(frozen=True, eq=False)
class PortfolioRisk:
    """Four measures by day: risk, risk with shocked volatilities, risk if no two instruments offset each other, leverage."""

    normal: Floats
    shocked: Floats
    sum_abs: Floats
    leverage: Floats


def portfolio_risk(
    days: pd.DatetimeIndex,
    weights: Floats,
    volatilities: Floats,
    *,
    shocked: Floats,
    correlations: Correlations,
    lone_asset: bool,
) -> PortfolioRisk:
    """Risk on each day. Instruments without weight, volatility or correlation that day count as not held.

    A correlation missing between two instruments that have others makes the risk of those days unknown. `lone_asset`:
    see `known_in`.
    """
    size = weights.shape
    with np.errstate(invalid="ignore"):  # no weight times an infinite volatility
        exposure, shocked_exposure = (
            np.nan_to_num(weights * vol, posinf=np.inf, neginf=-np.inf) for vol in (volatilities, shocked)
        )
    normal, in_shock = np.zeros(size[0]), np.zeros(size[0])
    for rows, matrix in in_force(days, correlations, size[1]):
        known = known_in(matrix, lone_asset=lone_asset)
        usable = np.where(known[:, None] & known, matrix, 0.0)
        normal[rows] = _risk(exposure[rows], usable)
        in_shock[rows] = _risk(shocked_exposure[rows], usable)
    return PortfolioRisk(normal, in_shock, np.abs(exposure).sum(axis=1), np.nansum(np.abs(weights), axis=1))


def _risk(exposure: Floats, correlation: Floats) -> Floats:
    variance = np.einsum("ij,ij->i", exposure @ correlation, exposure)
    return np.sqrt(np.maximum(variance, 0.0))


@dataclass(frozen=True)
class RiskLimits:
    """The most that each measure of `PortfolioRisk` may be."""

    normal: float
    shocked: float
    sum_abs: float
    leverage: float

    @staticmethod
    def of(overlay: RiskOverlay, percentage_vol_target: float) -> RiskLimits:
        """Limits given as multiples of the volatility target (percent a year); leverage as it is."""
        target = percentage_vol_target / 100.0
        return RiskLimits(
            overlay.max_risk_fraction_normal_risk * target,
            overlay.max_risk_fraction_stdev_risk * target,
            overlay.max_risk_limit_sum_abs_risk * target,
            overlay.max_risk_leverage,
        )


def risk_multipliers(risk: PortfolioRisk, limits: RiskLimits) -> dict[str, Floats]:
    """By measure, the factor that brings each day within its limit; 1 where it is, or where the measure is unknown."""
    measures = ("normal", "shocked", "sum_abs", "leverage")
    return {name: getattr(limits, name) / np.fmax(getattr(limits, name), getattr(risk, name)) for name in measures}


def risk_scalar(risk: PortfolioRisk, limits: RiskLimits) -> Floats:
    """The factor for all positions of each day: the smallest of the four multipliers."""
    return np.minimum.reduce(list(risk_multipliers(risk, limits).values()))
