"""How many contracts a forecast is worth if the whole capital traded one instrument (Carver, Systematic Trading, chapter 10)."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tradeflow_core.strategy.common.panel import Panel
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import SizingSection
from tradeflow_core.strategy.forecasts.combined_forecast import CombinedForecast
from tradeflow_core.strategy.inputs.raw_data import RawData


class Sizing:
    """Risk of one contract and positions at subsystem level. Money is in the instrument's currency until multiplied by FX."""

    def __init__(self, raw_data: RawData, combined: CombinedForecast, section: SizingSection) -> None:
        self.raw_data, self.combined, self.section = raw_data, combined, section

    @cached_property
    def fx(self) -> Panel:
        """Base currency for one unit of the instrument's currency: the latest rate known at the start of each day."""
        price = self.raw_data.daily_price
        return price.like(
            self.raw_data.rates(self.section.base_currency), price.span | self.raw_data.daily_denominator_price.span
        )

    @cached_property
    def block_value(self) -> Panel:
        """Value of a move of one percent of the held contract's price."""
        price = self.raw_data.daily_denominator_price.ffill()
        return price.like(price.array * self.raw_data.point_sizes * 0.01)

    @cached_property
    def instrument_currency_vol(self) -> Panel:
        """Daily standard deviation of the value of one contract."""
        vol, value = self.raw_data.daily_percentage_volatility, self.block_value.ffill()
        with np.errstate(invalid="ignore"):  # a price of 0 has an infinite percentage volatility, and so no risk that is known
            return value.like(value.array * vol.array, value.span & vol.span)

    @cached_property
    def instrument_value_vol(self) -> Panel:
        """The same in base currency."""
        vol = self.instrument_currency_vol.ffill()
        return vol.like(vol.array * self.fx.array)

    @cached_property
    def average_position(self) -> Panel:
        """Contracts held at an average forecast.

        As in the reference, the risk of a contract comes from percentages of the held price, whose sign it keeps. Corrected
        (POINT_RISK), it is volatility x point size x FX, which is the same for positive prices and stays right for others;
        and a price that has not moved, whose volatility is at its floor, has no position instead of an endless one.
        """
        if self.section.corrects(Correction.POINT_RISK):
            vol = self.raw_data.daily_returns_volatility
            moving = np.where(vol.array > self.section.volatility_calculation.lowest, vol.array, np.nan)
            risk = vol.like(moving * self.raw_data.point_sizes * self.fx.array)
        else:
            risk = self.instrument_value_vol
        with np.errstate(divide="ignore"):
            return risk.like(self.section.daily_cash_vol_target / risk.array)

    @cached_property
    def subsystem_position(self) -> Panel:
        """Contracts for the combined forecast; instruments that may only be held long have no negative ones."""
        forecast = self.combined.combined
        position = self.average_position.asof(forecast.span).array * forecast.array / self.section.average_absolute_forecast
        long_only = np.isin(self.raw_data.instruments, self.section.long_only_instruments)
        position[:, long_only] = np.where(position[:, long_only] < 0, 0.0, position[:, long_only])
        return forecast.like(position)
