"""Risk of a strategy's positions over time, from the volatility and correlation of its instruments' percentage returns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats, Panel
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.estimation.correlation import correlations
from tradeflow_core.strategy.estimation.periods import fit_periods
from tradeflow_core.strategy.estimation.settings import CorrelationSettings
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

    def __init__(self, sizing: Sizing, config: StrategyConfig) -> None:
        self.sizing, self.config, self.raw = sizing, config, sizing.raw_data
        self.lone_asset = config.corrects(Correction.LONE_ASSET)

    @cached_property
    def contract_value(self) -> Panel:
        """Value of one contract as a share of capital, on the days of the held contract's price.

        Corrected (POINT_RISK), missing at a price of 0, of which no percentage says how much is at risk.
        """
        price, capital = self.raw.daily_denominator_price, self.config.notional_trading_capital
        value = contract_values(price.array, self.sizing.fx.array, self.sizing.point_sizes, capital)
        return price.like(np.where(value == 0.0, np.nan, value) if self._not_at_zero else value)

    @property
    def _not_at_zero(self) -> bool:
        return self.config.corrects(Correction.POINT_RISK)

    @cached_property
    def volatilities(self) -> Floats:
        """Annual volatilities as shares of price, on all days of the calendar; at a price of 0 as `contract_value`."""
        daily = self.raw.daily_percentage_volatility.array
        return annual_volatilities(np.where(np.isinf(daily), np.nan, daily) if self._not_at_zero else daily)

    def correlations(self) -> Iterator[tuple[pd.Timestamp, Floats]]:
        """Correlation matrices, each with the first day it holds for, in order; one at a time."""
        section = self.config.instrument_returns_correlation
        settings, corrections = CorrelationSettings.like(section), self.config.estimation_corrections
        returns = self.raw.daily_percentage_returns
        frame = returns.values.iloc[np.flatnonzero(returns.rows.any(axis=1))]
        known_after = after_label(section.frequency) if corrections.calendar_fits else 0
        data = stack([returns_at(frame, section.frequency, forward_fill=section.forward_fill_price_index)], known_after=known_after)
        periods = fit_periods(
            data.first,
            data.last,
            section.date_method,
            section.rollyears,
            section.interval_frequency,
            calendar=corrections.calendar_fits,
            in_years=corrections.rolling_window,
        )
        order = [data.columns.index(code) for code in self.raw.codes]
        for period, found in correlations(data, periods, settings, corrections):
            yield period.period_start, found.values[np.ix_(order, order)]

    def of(self, positions: Panel, days: slice) -> PortfolioRisk:
        """Risk of wanted positions on some days of the calendar; a day without price has the weights of the day before."""
        value = self.contract_value.asof(positions.span).array[days]
        return self._measured(portfolio_weights(positions.array[days], value), days)

    def of_held(self, positions: Panel, days: slice) -> PortfolioRisk:
        """Risk of positions held on some days of the calendar, at the last known prices."""
        held, value = positions.values.iloc[days].ffill().to_numpy(), self.contract_value.values.ffill().to_numpy()[days]
        return self._measured(held * value, days)

    def _measured(self, weights: Floats, days: slice) -> PortfolioRisk:
        shocked = shocked_volatilities(self.volatilities, backfilled=not self.config.corrects(Correction.NO_BACKFILL))[days]
        index = self.raw.calendar.days[days]
        return portfolio_risk(index, weights, self.volatilities[days], shocked, self.correlations(), self.lone_asset)

    def covariances(self, days: slice, shrinkage: float) -> Iterator[Floats]:
        """A covariance matrix of annual percentage returns for each of some days; `shrinkage` towards no correlation."""
        index = self.raw.calendar.days[days]
        return daily_covariances(index, self.volatilities[days], self.correlations(), shrinkage, self.lone_asset)

    def overlay(self, positions: Panel, days: slice) -> pd.DataFrame:
        """Measures of risk, and the factor `risk_scalar` that brings positions within the limits of the strategy."""
        risk = self.of(positions, days)
        columns = {
            "normal_risk": risk.normal,
            "shocked_vol_risk": risk.shocked,
            "sum_abs_risk": risk.sum_abs,
            "leverage": risk.leverage,
        }
        limits = self.config.risk_overlay
        if limits is not None:
            columns["risk_scalar"] = risk_scalar(risk, RiskLimits.of(limits, self.config.percentage_vol_target))
        return pd.DataFrame(columns, index=self.raw.calendar.days[days])
