"""Daily figures that rules and sizing start from: prices, returns, volatility, carry, normalised prices.

All are panels on one business-day calendar, in the units of the price unless said otherwise.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from tradeflow_core.errors import DataError
from tradeflow_core.strategy.compat import Correction
from tradeflow_core.strategy.config import StrategyConfig
from tradeflow_core.strategy.data import BacktestData
from tradeflow_core.strategy.panel import Calendar, Floats, Panel
from tradeflow_core.strategy.volatility import ESTIMATORS

ROOT_DAYS = 16.0
ONE_DAY_IN_YEARS = 1 / 365.25


class RawData:
    """Figures by instrument (`codes`, in that order), each computed when first asked for."""

    ITEMS: ClassVar[tuple[str, ...]] = (
        "daily_price",
        "daily_returns",
        "daily_denominator_price",
        "daily_percentage_returns",
        "daily_returns_volatility",
        "annualised_returns_volatility",
        "daily_percentage_volatility",
        "daily_annualised_roll",
        "raw_carry",
        "smoothed_carry",
        "median_carry_for_asset_class",
        "daily_vol_normalised_returns",
        "cumulative_daily_vol_normalised_returns",
        "normalised_price_for_asset_class",
    )

    def __init__(self, data: BacktestData, codes: list[str], config: StrategyConfig) -> None:
        self.data, self.codes, self.config = data, codes, config
        self._memo: dict[tuple[Any, ...], Panel] = {}

    def item(self, name: str, **arguments: Any) -> Panel:
        """An item of `ITEMS` by name; `arguments` only where it takes some (smoothed_carry: smooth_days)."""
        found = getattr(self, name)
        if not callable(found):
            return found  # type: ignore[no-any-return]
        key = (name, *sorted(arguments.items()))
        if key not in self._memo:
            self._memo[key] = found(**arguments)
        return self._memo[key]

    @cached_property
    def adjusted(self) -> dict[str, pd.Series]:
        """Adjusted prices from the start date on, sorted, at their own stamps."""
        return {code: self._since_start(self.data.adjusted_prices[code], f"adjusted prices of {code}") for code in self.codes}

    @cached_property
    def multiple(self) -> dict[str, pd.DataFrame]:
        """Multiple prices from the start date on, sorted, at their own stamps."""
        return {code: self._since_start(self.data.multiple_prices[code], f"multiple prices of {code}") for code in self.codes}

    @cached_property
    def calendar(self) -> Calendar:
        """The business days from the first to the last stamp of any price."""
        calendar = Calendar.spanning([table.index for source in (self.adjusted, self.multiple) for table in source.values()])
        if not calendar.length:
            raise DataError(f"no prices since {self.config.start_date} for any of {', '.join(self.codes)}: add prices or move start_date")
        return calendar

    def fx(self, code: str, base: str) -> pd.Series | None:
        """Units of `base` for one unit of the instrument's currency, from the start date on; None for the same currency."""
        currency = self.data.instrument(code).currency
        rate = self.data.fx_rate(currency, base, code)
        return None if rate is None else self._since_start(rate, f"FX rates of {currency} in {base}")

    def _since_start(self, table: Any, what: str) -> Any:
        if not isinstance(table.index, pd.DatetimeIndex) or table.index.tz is not None:
            raise DataError(f"{what}: stamps must be dates and times without time zone; convert the index first")
        ordered = table if table.index.is_monotonic_increasing else table.sort_index(kind="stable")
        start = pd.Timestamp(self.config.start_date)
        return ordered if not len(ordered) or ordered.index[0] >= start else ordered[ordered.index >= start]

    # Prices and returns

    @cached_property
    def daily_price(self) -> Panel:
        """Adjusted price at the close of each business day; missing on days without one."""
        return self.calendar.last(self.adjusted)

    @cached_property
    def daily_denominator_price(self) -> Panel:
        """Price of the contract held at the close; the adjusted price for an instrument without multiple prices."""
        held = {code: table["PRICE"] if len(table) else self.adjusted[code] for code, table in self.multiple.items()}
        return self.calendar.last(held)

    @cached_property
    def daily_returns(self) -> Panel:
        """Change of the daily price. Corrected (RETURNS_OVER_GAPS), the first day after a gap has the change over it; otherwise none."""
        price = self.daily_price
        if self.config.corrects(Correction.RETURNS_OVER_GAPS):
            return price.map(lambda values: values - values.ffill().shift(1))
        return price.map(lambda values: values.diff())

    @cached_property
    def daily_percentage_returns(self) -> Panel:
        """Change as a fraction of the held contract's price: of the same day, corrected (PREVIOUS_PRICE) of the day before."""
        changes, held = self.daily_returns, self.daily_denominator_price.ffill()
        span = changes.span | held.span
        price = held.values.shift(1) if self.config.corrects(Correction.PREVIOUS_PRICE) else held.values
        return Panel.of(changes.values / price, span)

    # Volatility

    @cached_property
    def daily_returns_volatility(self) -> Panel:
        """Standard deviation of daily changes, by the configured estimator."""
        settings = self.config.volatility_calculation
        arguments = settings.arguments
        if self.config.corrects(Correction.NO_BACKFILL):
            arguments["backfill"] = False
        estimate = ESTIMATORS[settings.func]
        vol = self.item(settings.name_returns_attr_in_rawdata).map(lambda changes: estimate(changes, **arguments))
        multiplier = settings.multiplier_to_get_daily_vol
        return vol if multiplier == 1.0 else vol.map(lambda values: values * multiplier)

    @cached_property
    def annualised_returns_volatility(self) -> Panel:
        """Standard deviation of changes a year."""
        return self.daily_returns_volatility.map(lambda vol: vol * ROOT_DAYS)

    @cached_property
    def daily_percentage_volatility(self) -> Panel:
        """Standard deviation of daily changes, percent of the held contract's price."""
        vol = self.daily_returns_volatility
        price = self.daily_denominator_price.at(vol.span).ffill()
        return vol.like(100.0 * vol.array / np.abs(price.array))

    # Carry

    @cached_property
    def raw_futures_roll(self) -> dict[str, pd.Series]:
        """PRICE less CARRY at each stamp of the multiple prices; missing where the two are equal."""
        return {code: (table["PRICE"] - table["CARRY"]).replace(0.0, np.nan) for code, table in self.multiple.items()}

    @cached_property
    def roll_differentials(self) -> dict[str, pd.Series]:
        """Years from the priced to the carry contract at each stamp; at least a day.

        For equal contracts 0, which makes carry infinite; corrected (EQUAL_CONTRACTS_HAVE_NO_CARRY), missing.
        """
        return {code: self._years_apart(table) for code, table in self.multiple.items()}

    def _years_apart(self, table: pd.DataFrame) -> pd.Series:
        years = _contract_years(table["CARRY_CONTRACT"]) - _contract_years(table["PRICE_CONTRACT"])
        tiny = (years != 0) & (np.abs(years) < ONE_DAY_IN_YEARS)
        years[tiny] = np.sign(years[tiny]) * ONE_DAY_IN_YEARS
        if self.config.corrects(Correction.EQUAL_CONTRACTS_HAVE_NO_CARRY):
            years[years == 0] = np.nan
        return pd.Series(years, index=table.index)

    @cached_property
    def daily_annualised_roll(self) -> Panel:
        """Mean over the day's stamps of price difference by years between the contracts."""
        series = {}
        for code, roll in self.raw_futures_roll.items():
            with np.errstate(divide="ignore", invalid="ignore"):
                annual = _one_per_stamp(roll) / _one_per_stamp(self.roll_differentials[code])
            series[code] = pd.Series(annual, index=roll.index.unique())
        return self.calendar.mean(series)

    @cached_property
    def raw_carry(self) -> Panel:
        """Annual roll in units of annual volatility."""
        roll, vol = self.daily_annualised_roll, self.daily_returns_volatility
        return roll.like(roll.array / (ROOT_DAYS * vol.array), roll.span | vol.span)

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
        classes = np.array([self.data.instrument(code).asset_class for code in self.codes])
        for name in np.unique(classes):
            members = classes == name
            result[:, members] = values.loc[:, members].median(axis=1).to_numpy()[:, None]
        return result


def _contract_years(contracts: pd.Series) -> Floats:
    """Contract ids `YYYYMMDD` as years, with a twelfth for each month; missing ids give NaN."""
    place, known = pd.factorize(contracts)
    ids = np.append(pd.to_numeric(pd.Series(known), errors="coerce").to_numpy(dtype=float, na_value=np.nan), np.nan)
    years = np.floor(ids / 10_000)
    return np.asarray((years + (ids - years * 10_000) / 100.0 / 12.0)[place], dtype=float)


def _one_per_stamp(series: pd.Series) -> Floats:
    """Values with the last known one of each stamp."""
    if series.index.is_unique:
        return series.to_numpy(dtype=float)
    return series.groupby(level=0).last().to_numpy(dtype=float)
