"""Risk of a strategy's positions over time, from the volatility and correlation of its instruments' percentage returns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats, Panel
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import PortfolioSection
from tradeflow_core.strategy.estimation.correlation import fitted_correlations
from tradeflow_core.strategy.estimation.stacking import after_label, returns_at, stack
from tradeflow_core.strategy.positions.risk import (
    PortfolioRisk,
    RiskLimits,
    annual_volatilities,
    contract_values,
    daily_covariances,
    portfolio_risk,
    portfolio_weights,
    risk_scalar,
    shocked_volatilities,
)
from tradeflow_core.strategy.positions.sizing import Sizing


class RiskModel:
    """Contract values, volatilities and correlations of the strategy's instruments; tables are (days, instruments)."""

    def __init__(self, sizing: Sizing, section: PortfolioSection) -> None:
        self.sizing, self.section, self.raw = sizing, section, sizing.raw_data
        self.lone_asset = section.corrects(Correction.LONE_ASSET)

    @cached_property
    def contract_value(self) -> Panel:
        """Value of one contract as a share of capital, on the days of the held contract's price.

        Corrected (POINT_RISK), missing at a price of 0, of which no percentage says how much is at risk.
        """
        price, capital = self.raw.daily_denominator_price, self.section.notional_trading_capital
        value = contract_values(price.array, self.sizing.fx.array, self.raw.point_sizes, capital=capital)
        return price.like(np.where(value == 0.0, np.nan, value) if self._not_at_zero else value)

    @property
    def _not_at_zero(self) -> bool:
        return self.section.corrects(Correction.POINT_RISK)

    @cached_property
    def volatilities(self) -> Floats:
        """Annual volatilities as shares of price, on all days of the calendar; at a price of 0 as `contract_value`."""
        daily = self.raw.daily_percentage_volatility.array
        return annual_volatilities(np.where(np.isinf(daily), np.nan, daily) if self._not_at_zero else daily)

    def correlations(self) -> Iterator[tuple[pd.Timestamp, Floats]]:
        """Correlation matrices, each with the first day it holds for, in order; one at a time."""
        estimate, corrections = self.section.instrument_returns_correlation, self.section.corrections
        returns = self.raw.daily_percentage_returns
        frame = returns.values.iloc[np.flatnonzero(returns.rows.any(axis=1))]
        level = returns_at(frame, estimate.frequency, forward_fill=estimate.forward_fill_price_index)
        data = stack([level], known_after=after_label(estimate.frequency, corrections))
        order = [data.columns.index(instrument) for instrument in self.raw.instruments]
        for period, correlation in fitted_correlations(data, estimate, corrections):
            yield period.period_start, correlation.values[np.ix_(order, order)]

    def of(self, positions: Panel, days: slice) -> PortfolioRisk:
        """Risk of wanted positions on some days of the calendar; a day without price has the weights of the day before."""
        value = self.contract_value.asof(positions.span).array[days]
        return self._measured(portfolio_weights(positions.array[days], value), days)

    def of_held(self, positions: Panel, days: slice) -> PortfolioRisk:
        """Risk of positions held on some days of the calendar, at the last known prices."""
        held, value = positions.values.iloc[days].ffill().to_numpy(), self.contract_value.values.ffill().to_numpy()[days]
        return self._measured(held * value, days)

    def _measured(self, weights: Floats, days: slice) -> PortfolioRisk:
        shocked = shocked_volatilities(self.volatilities, backfilled=not self.section.corrects(Correction.NO_BACKFILL))[days]
        index = self.raw.calendar.days[days]
        return portfolio_risk(
            index, weights, self.volatilities[days], shocked=shocked, correlations=self.correlations(), lone_asset=self.lone_asset
        )

    def covariances(self, days: slice, shrinkage: float) -> Iterator[Floats]:
        """A covariance matrix of annual percentage returns for each of some days; `shrinkage` towards no correlation."""
        index = self.raw.calendar.days[days]
        return daily_covariances(
            index, self.volatilities[days], self.correlations(), shrinkage=shrinkage, lone_asset=self.lone_asset
        )

    def overlay(self, positions: Panel, days: slice) -> pd.DataFrame:
        """Measures of risk, and the factor `risk_scalar` that brings positions within the limits of the strategy."""
        risk = self.of(positions, days)
        columns = {
            "normal_risk": risk.normal,
            "shocked_vol_risk": risk.shocked,
            "sum_abs_risk": risk.sum_abs,
            "leverage": risk.leverage,
        }
        limits = self.section.risk_overlay
        if limits is not None:
            columns["risk_scalar"] = risk_scalar(risk, RiskLimits.of(limits, self.section.percentage_vol_target))
        return pd.DataFrame(columns, index=self.raw.calendar.days[days])
