"""Daily figures that rules and sizing start from: prices, returns, volatility, carry, normalised prices, factors.

All are panels on one business-day calendar, in the units of the price unless said otherwise. A figure uses nothing later than
its own day, except where volatility is filled backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.strategy.common.lazy import LazyMapping
from tradeflow_core.strategy.common.panel import Floats, Panel, row_medians
from tradeflow_core.strategy.common.volatility import ESTIMATORS, changes_over_gaps, level_vol
from tradeflow_core.strategy.common.years import ROOT_BUSINESS_DAYS_PER_YEAR
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.data_items import DEFAULT_FACTOR, DemeanMethod, check_daily_item, check_item_for_volatility
from tradeflow_core.strategy.config.sections import RawDataSection
from tradeflow_core.strategy.inputs import factors
from tradeflow_core.strategy.inputs.attenuation import attenuation
from tradeflow_core.strategy.inputs.data import BacktestData
from tradeflow_core.strategy.inputs.stamped_data import StampedData


class RawData(StampedData):
    """Figures by instrument (`instruments`, in that order), each computed when first asked for."""

    def __init__(self, data: BacktestData, instruments: list[str], section: RawDataSection) -> None:
        super().__init__(data, instruments, section)
        self._memo: dict[str, Panel] = {}

    def item(self, name: str, **arguments: Any) -> Panel:
        """A daily item by name; `arguments` only where it takes some (smoothed_carry: smooth_days).

        Raises ConfigError for a name or argument that is unknown.
        """
        check_daily_item(name, arguments)
        attribute = getattr(self, name)
        return (
            self._once(f"{name} {sorted(arguments.items())}", lambda: attribute(**arguments))
            if callable(attribute)
            else attribute
        )

    def _once(self, key: str, make: Callable[[], Panel]) -> Panel:
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]

    # Prices and returns

    @cached_property
    def daily_price(self) -> Panel:
        """Adjusted price at the close of each business day; missing on days without one."""
        return self.calendar.last(self.adjusted)

    @cached_property
    def daily_denominator_price(self) -> Panel:
        """Price of the contract held at the close; the adjusted price for an instrument without multiple prices."""
        held = {
            instrument: table["PRICE"] if len(table) else self.adjusted[instrument] for instrument, table in self.multiple.items()
        }
        return self.calendar.last(held)

    @cached_property
    def daily_returns(self) -> Panel:
        """Change of the daily price.

        The first day after a gap has none; corrected (RETURNS_OVER_GAPS), it has the change over the gap.
        """
        price = self.daily_price
        return price.map(changes_over_gaps) if self._gap_free else price.map(lambda values: values.diff())

    @property
    def _gap_free(self) -> bool:
        return self.section.corrects(Correction.RETURNS_OVER_GAPS)

    @cached_property
    def daily_percentage_returns(self) -> Panel:
        """Change as a fraction of the held contract's price: of the same day, corrected (PREVIOUS_PRICE) of the day before.

        Missing where that price is 0.
        """
        changes, held = self.daily_returns, self.daily_denominator_price.ffill()
        span = changes.span | held.span
        price = held.values.shift(1) if self.section.corrects(Correction.PREVIOUS_PRICE) else held.values
        return Panel.of(changes.values / price.where(price != 0.0), span)

    @cached_property
    def priced(self) -> NDArray[np.bool_]:
        """True on days with a price: (business days, instruments)."""
        return np.asarray(~np.isnan(self.daily_price.array))

    @cached_property
    def commission_price(self) -> Panel:
        """The price that commissions in percent are of: adjusted; corrected (COMMISSION_ON_HELD_PRICE), that of the contract held."""
        corrected = self.section.corrects(Correction.COMMISSION_ON_HELD_PRICE)
        return self.daily_denominator_price if corrected else self.daily_price

    # Volatility

    @cached_property
    def daily_returns_volatility(self) -> Panel:
        """Standard deviation of daily changes, by the configured estimator.

        Averages in it go on over days without price; corrected (PAUSED_MARKETS), it stays what it was.
        """
        settings = self.section.volatility_calculation
        arguments = settings.arguments
        if self.section.corrects(Correction.NO_BACKFILL):
            arguments["backfill"] = False
        estimate = ESTIMATORS[settings.func]
        check_item_for_volatility(settings.name_returns_attr_in_rawdata)
        vol = self.item(settings.name_returns_attr_in_rawdata).map(lambda changes: estimate(changes, **arguments))
        multiplier = settings.multiplier_to_get_daily_vol
        if multiplier != 1.0:
            vol = vol.map(lambda values: values * multiplier)
        return (
            vol.map(lambda values: values.where(self.priced).ffill()) if self.section.corrects(Correction.PAUSED_MARKETS) else vol
        )

    @cached_property
    def annualised_returns_volatility(self) -> Panel:
        """Standard deviation of changes a year."""
        return self.daily_returns_volatility.map(lambda vol: vol * ROOT_BUSINESS_DAYS_PER_YEAR)

    @cached_property
    def daily_percentage_volatility(self) -> Panel:
        """Standard deviation of daily changes, percent of the held contract's price without its sign; infinite at a price of 0."""
        vol = self.daily_returns_volatility
        price = self.daily_denominator_price.at(vol.span).ffill()
        with np.errstate(divide="ignore"):
            return vol.like(100.0 * vol.array / np.abs(price.array))

    @cached_property
    def attenuation(self) -> Panel:
        """What forecasts are multiplied by where the strategy attenuates them: less when volatility is high."""
        return attenuation(self.daily_percentage_volatility, neutral=self.section.corrects(Correction.NEUTRAL_ATTENUATION))

    def level_vol_of(self, name: str, days: int, *, of_changes: bool, **arguments: Any) -> Panel:
        """Robust volatility, with span `days`, of a daily item's changes or level: shared by the rules that divide by it."""

        def estimate() -> Panel:
            item = self.item(name, **arguments)
            return item.map(lambda values: level_vol(values, of_changes=of_changes, days=days))

        return self._once(f"level_vol {name} {sorted(arguments.items())} {days} {of_changes}", estimate)

    # Carry

    @cached_property
    def daily_annualised_roll(self) -> Panel:
        """Mean of the day's annualised rolls; corrected (CARRY_AT_CLOSE), the last one of the day."""
        bins = self.calendar.last if self.section.corrects(Correction.CARRY_AT_CLOSE) else self.calendar.mean
        return bins(LazyMapping(self.instruments, self.annual_roll))

    @cached_property
    def raw_carry(self) -> Panel:
        """Annual roll in units of annual volatility."""
        roll, vol = self.daily_annualised_roll, self.daily_returns_volatility
        return roll.like(roll.array / (ROOT_BUSINESS_DAYS_PER_YEAR * vol.array), roll.span | vol.span)

    def smoothed_carry(self, smooth_days: float = 90) -> Panel:
        """Exponential average of raw carry with centre of mass `smooth_days`."""
        return self.raw_carry.map(lambda values: values.ewm(com=smooth_days).mean())

    @cached_property
    def median_carry_for_asset_class(self) -> Panel:
        """Median over the asset class of carry smoothed over 90 days."""
        carry = self.raw_carry
        smoothed = carry.values.ewm(com=90).mean()
        return carry.like(self._class_medians(smoothed)).ffill()

    # Volatility-normalised prices

    @cached_property
    def daily_vol_normalised_returns(self) -> Panel:
        """Change of the day in units of the volatility of the day before."""
        vol = self.daily_returns_volatility
        return self.daily_returns.map(lambda changes: changes / vol.values.shift(1))

    @cached_property
    def cumulative_daily_vol_normalised_returns(self) -> Panel:
        """Running sum of normalised changes."""
        return self.daily_vol_normalised_returns.map(lambda changes: changes.cumsum())

    @cached_property
    def normalised_price_for_asset_class(self) -> Panel:
        """Running sum of the median normalised change of the asset class."""
        changes = self.daily_vol_normalised_returns
        medians = pd.DataFrame(self._class_medians(changes.values), index=changes.index, columns=changes.values.columns)
        return Panel.of(medians.cumsum(), changes.span).ffill()

    def _class_medians(self, values: pd.DataFrame) -> Floats:
        """For each instrument the row-wise median over the members of its asset class."""
        result = np.full(values.shape, np.nan)
        classes = self.asset_classes.to_numpy()
        array = values.to_numpy(dtype=float)
        for name in np.unique(classes):
            members = classes == name
            result[:, members] = row_medians(array[:, members])[:, None]
        return result

    # Factors

    def skew(self, lookback_days: float = 365) -> Panel:
        """Skewness of percentage returns over calendar days."""
        return self.daily_percentage_returns.map(lambda returns: factors.skew(returns, lookback_days))

    def neg_skew(self, lookback_days: float = 365) -> Panel:
        """Minus the skewness: positive for instruments with sudden falls."""
        return self.item("skew", lookback_days=lookback_days).map(lambda values: -values)

    def kurtosis(self, lookback_days: float = 365) -> Panel:
        """Excess kurtosis of percentage returns over calendar days."""
        return self.daily_percentage_returns.map(lambda returns: factors.kurtosis(returns, lookback_days))

    def factor_value(self, factor_name: str = DEFAULT_FACTOR, **arguments: Any) -> Panel:
        """A daily item that serves as a factor, by name, with its own arguments."""
        return self.item(factor_name, **arguments)

    def demeaned_factor_value(
        self,
        factor_name: str = DEFAULT_FACTOR,
        demean_method: DemeanMethod = "average_factor_value_for_instrument",
        **arguments: Any,
    ) -> Panel:
        """A factor less what is usual: for the instrument, for all now, for all over the years, or for its asset class."""
        factor = self.item(factor_name, **arguments)
        usual = Panel.of(self._usual(factor, factor_name, demean_method, arguments=arguments), factor.span).ffill()
        return factor.like(factor.array - usual.array)

    def _usual(self, factor: Panel, name: str, method: DemeanMethod, *, arguments: dict[str, Any]) -> pd.DataFrame:
        if method == "average_factor_value_for_instrument":
            return factors.long_average(factor.values)
        if method == "average_factor_value_in_asset_class_for_instrument":
            peers = self._class_members
            averages = factors.class_averages(peers._counted(peers.item(name, **arguments)), peers.asset_classes)
            mine = averages.reindex(factor.index)[self.asset_classes.to_list()]
            return mine.set_axis(factor.values.columns, axis=1)
        average = factors.current_average(self._counted(factor)).to_frame()
        if method == "historic_average_factor_value_all_assets":
            average = factors.long_average(average)
        return pd.DataFrame(np.broadcast_to(average.to_numpy(), factor.array.shape), factor.index, factor.values.columns)

    def _counted(self, factor: Panel) -> pd.DataFrame:
        """The values that count in an average over instruments.

        Those of all days; corrected (RETURNS_OVER_GAPS), of days with a price, so that an average stays what it was when a market
        that paused opens again.
        """
        return factor.values.where(self.daily_price.values.notna()) if self._gap_free else factor.values

    @cached_property
    def _class_members(self) -> RawData:
        """The instruments that factors are compared with inside an asset class.

        All that have adjusted prices, in the strategy or not; corrected (DECLARED_ASSET_CLASS), those of the strategy.
        """
        if self.section.corrects(Correction.DECLARED_ASSET_CLASS):
            return self
        ours = set(self.asset_classes)
        others = [
            instrument
            for instrument in self.data.adjusted_prices
            if instrument in self.data.instruments and instrument not in self.instruments
        ]
        peers = [instrument for instrument in others if self.data.instrument(instrument).asset_class in ours]
        return RawData(self.data, sorted([*self.instruments, *peers]), self.section) if peers else self
