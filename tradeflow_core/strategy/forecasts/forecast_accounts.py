"""Profit and loss of a single forecast, as if the whole capital traded one rule in one instrument at constant risk.

This is what weights of rules are estimated from. Positions are neither rounded nor buffered; costs are in Sharpe-ratio
units and so do not depend on the size of the forecast. Prices are daily ones, also for rules that forecast by the hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tradeflow_core.strategy.common.panel import Floats, Panel
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import ForecastAccountSection
from tradeflow_core.strategy.costs.sr_costs import daily_costs
from tradeflow_core.strategy.forecasts.forecasts import Forecasts


@dataclass(frozen=True, eq=False)
class ForecastAccount:
    """P&L of one rule by instrument: `gross` and `costs` (negative) in base currency, (days, instruments).

    `decided`: contracts wanted at each close, filled at the next. `average`: contracts of an average forecast.
    """

    decided: Panel
    average: Panel
    gross: Panel
    costs: Panel


class ForecastAccounts:
    """Accounts of each rule, made when asked for and not kept."""

    def __init__(self, forecasts: Forecasts, section: ForecastAccountSection) -> None:
        self.forecasts, self.section, self.raw = forecasts, section, forecasts.raw_data

    @cached_property
    def _fx(self) -> Floats:
        return self.raw.rates(self.section.base_currency)

    @cached_property
    def money_per_point(self) -> Floats:
        """Base currency for a move of 1 in each instrument on each day."""
        return np.asarray(self.raw.point_sizes * self._fx)

    @cached_property
    def average_position(self) -> Panel:
        """Contracts of an average forecast.

        They are sized in the instrument's currency, so that P&L in another one weighs by its rate; corrected
        (FX_NEUTRAL_FORECAST_PANDL), in base currency.
        """
        vol = self.raw.daily_returns_volatility
        risk = vol.array * self.raw.point_sizes
        if self.section.corrects(Correction.FX_NEUTRAL_FORECAST_PANDL):
            risk = risk * self._fx
        with np.errstate(divide="ignore"):
            return vol.like(self.section.daily_cash_vol_target / risk)

    def of(self, rule: str, sr_cost: Floats) -> ForecastAccount:
        """The account of a rule; `sr_cost`: its costs in each instrument, Sharpe-ratio units a year."""
        forecast = self.forecasts.of(rule).capped
        decided = forecast.like(
            self.average_position.asof(forecast.span).array * forecast.array / self.section.average_absolute_forecast
        )
        held = decided.map(lambda values: values.shift(1))
        gross = forecast.like(self.gross_points(held) * self.money_per_point)
        vol = self.raw.daily_returns_volatility
        points = daily_costs(sr_cost, self.average_position, vol, held=held)
        costs = forecast.like(np.nan_to_num(points * self.money_per_point))
        return ForecastAccount(decided, self.average_position, gross, costs)

    def gross_points(self, held: Panel) -> Floats:
        """Change of the price times contracts held since the close before; 0 where nothing is known."""
        price = self.raw.daily_price.asof(held.span).ffill()
        return np.nan_to_num(held.ffill().values.shift(1).to_numpy() * price.values.diff().to_numpy())
