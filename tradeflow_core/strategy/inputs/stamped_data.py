"""Figures at the stamps of the prices themselves, by instrument: prices, hourly prices, the price difference between contracts.

Stamps are naive; series are sorted, begin at the strategy's start date, and are in the units of the price unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tradeflow_core.errors import DataError
from tradeflow_core.instruments import Instrument
from tradeflow_core.model import CLOSING_HOUR
from tradeflow_core.series import hourly_prices
from tradeflow_core.strategy.common.lazy import LazyMapping
from tradeflow_core.strategy.common.panel import Calendar, Floats, business_day_numbers, nanoseconds
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import RawDataSection
from tradeflow_core.strategy.inputs.carry_times import years_apart
from tradeflow_core.strategy.inputs.data import BacktestData, rate_at

CARRY_COLUMNS = ("PRICE", "CARRY", "PRICE_CONTRACT", "CARRY_CONTRACT")
CLOSE = pd.Timedelta(hours=CLOSING_HOUR)
"""The stamp of a daily close within its day."""

Series = Mapping[str, pd.Series]


class StampedData:
    """What is known of some instruments (`instruments`) at the stamps of their prices, and what never changes about them."""

    def __init__(self, data: BacktestData, instruments: list[str], section: RawDataSection) -> None:
        self.data, self.instruments, self.section = data, instruments, section

    @cached_property
    def adjusted(self) -> dict[str, pd.Series]:
        """Adjusted prices from the start date on, sorted, at their own stamps, one to a stamp (the last known one)."""
        return {instrument: self._adjusted(instrument) for instrument in self.instruments}

    def _adjusted(self, instrument: str) -> pd.Series:
        what = f"adjusted prices of {instrument}"
        series = _numbers(self._since_start(self.data.adjusted_prices[instrument], what), what)
        return _one_per_stamp(series)

    @cached_property
    def multiple(self) -> dict[str, pd.DataFrame]:
        """Multiple prices from the start date on, sorted, at their own stamps; without rows where an instrument has none."""
        return {instrument: self._multiple(instrument) for instrument in self.instruments}

    def _multiple(self, instrument: str) -> pd.DataFrame:
        what = f"multiple prices of {instrument}"
        table = self.data.multiple_prices.get(instrument)
        if table is None or not len(table):
            return pd.DataFrame(index=pd.DatetimeIndex([]), columns=list(CARRY_COLUMNS), dtype=float)
        absent = [name for name in CARRY_COLUMNS if name not in table.columns]
        if absent:
            raise DataError(f"{what}: columns missing: {', '.join(absent)}")
        ordered: pd.DataFrame = self._since_start(table, what)
        prices = {name: _numbers(ordered[name], f"{what}, {name}") for name in ("PRICE", "CARRY")}
        return ordered.assign(**{name: column for name, column in prices.items() if column.dtype != ordered[name].dtype})

    @cached_property
    def calendar(self) -> Calendar:
        """The business days from the first to the last stamp of any price."""
        calendar = Calendar.spanning([table.index for source in (self.adjusted, self.multiple) for table in source.values()])
        if not calendar.length:
            since, instruments = self.section.start_date, ", ".join(self.instruments)
            raise DataError(f"no prices since {since} for any of {instruments}: add prices or move start_date")
        return calendar

    @cached_property
    def closes(self) -> pd.DatetimeIndex:
        """When each business day of the calendar is over: at its last stamp of any price, not before 23:00.

        Prices of a weekend belong to Friday, which is over with the last of them.
        """
        latest = nanoseconds(self.calendar.days + CLOSE)
        for index in [table.index for source in (self.adjusted, self.multiple) for table in source.values()]:
            bins = business_day_numbers(index) - self.calendar.start
            final = np.flatnonzero(np.diff(bins, append=-1))
            latest[bins[final]] = np.maximum(latest[bins[final]], nanoseconds(index)[final])
        return pd.DatetimeIndex(latest)

    def fx(self, instrument: str, base: str) -> pd.Series | None:
        """Units of `base` for one unit of the instrument's currency, from the start date on; None where they were always the same."""
        rate = self.data.rate_of(instrument, base)
        return None if rate is None else self._since_start(rate, f"FX rates of {instrument} in {base}")

    def rates(self, base: str) -> Floats:
        """Units of `base` for one unit of each instrument's currency, the latest known at the start of each day: (days, instruments)."""
        return np.column_stack([rate_at(self.fx(instrument, base), self.calendar.days) for instrument in self.instruments])

    def _since_start(self, table: Any, what: str) -> Any:
        if not len(table):
            return table.set_axis(pd.DatetimeIndex([]), axis=0)
        if not isinstance(table.index, pd.DatetimeIndex) or table.index.tz is not None:
            raise DataError(f"{what}: stamps must be dates and times without time zone; convert the index first")
        if table.index.hasnans:
            raise DataError(f"{what}: {np.count_nonzero(table.index.isna())} rows have no stamp; drop them or give their dates")
        ordered = table if table.index.is_monotonic_increasing else table.sort_index(kind="stable")
        start = pd.Timestamp(self.section.start_date)
        return ordered if ordered.index[0] >= start else ordered[ordered.index >= start]

    # Facts

    @cached_property
    def facts(self) -> list[Instrument]:
        """The facts of each instrument."""
        return [self.data.instrument(instrument) for instrument in self.instruments]

    @cached_property
    def point_sizes(self) -> Floats:
        """Value of a price move of 1 in the currency of each instrument."""
        return np.array([facts.point_size for facts in self.facts])

    @cached_property
    def instrument_code(self) -> pd.Series:
        """The code of each instrument."""
        return pd.Series(self.instruments, index=pd.Index(self.instruments, name="instrument"))

    @cached_property
    def rolls_per_year(self) -> pd.Series:
        """How many contracts a year each instrument holds; missing where its roll cycle is unknown."""
        rules = [facts.roll_rule for facts in self.facts]
        return pd.Series([len(rule.hold) if rule else np.nan for rule in rules], index=self.instrument_code.index, dtype=float)

    @cached_property
    def asset_classes(self) -> pd.Series:
        """The asset class of each instrument."""
        return pd.Series([facts.asset_class for facts in self.facts], index=self.instrument_code.index, dtype=object)

    # Hourly prices

    @cached_property
    def hourly_price(self) -> Series:
        """Last adjusted price of each clock hour that has one, stamped at its start; without the day's close at 23:00:00."""
        return LazyMapping(self.instruments, lambda instrument: hourly_prices(self.adjusted[instrument]))

    @cached_property
    def hourly_returns(self) -> Series:
        """Change of the hourly price."""
        return LazyMapping(self.instruments, lambda instrument: self.hourly_price[instrument].diff())

    # Carry

    @cached_property
    def raw_futures_roll(self) -> Series:
        """PRICE less CARRY at each stamp of the multiple prices; missing where the two are equal."""
        return LazyMapping(self.instruments, self._futures_roll)

    @cached_property
    def roll_differentials(self) -> Series:
        """Years from the priced to the carry contract at each stamp; at least a day; missing where an id is.

        A month is a twelfth; corrected (CARRY_BY_DATE), days count. For equal contracts 0, which makes carry infinite;
        corrected (EQUAL_CONTRACTS_HAVE_NO_CARRY), missing.
        """
        return LazyMapping(self.instruments, self._years_apart)

    @cached_property
    def annualised_roll(self) -> Series:
        """Price difference by years between the contracts, at each stamp."""
        return LazyMapping(self.instruments, self.annual_roll)

    def annual_roll(self, instrument: str) -> pd.Series:
        """`annualised_roll` of one instrument, not kept."""
        return self._futures_roll(instrument) / self._years_apart(instrument)

    def _futures_roll(self, instrument: str) -> pd.Series:
        table = self.multiple[instrument]
        return _one_per_stamp((table["PRICE"] - table["CARRY"]).replace(0.0, np.nan))

    def _years_apart(self, instrument: str) -> pd.Series:
        table = self.multiple[instrument]
        years = years_apart(
            table["PRICE_CONTRACT"], table["CARRY_CONTRACT"], by_date=self.section.corrects(Correction.CARRY_BY_DATE)
        )
        if self.section.corrects(Correction.EQUAL_CONTRACTS_HAVE_NO_CARRY):
            years = np.where(years == 0, np.nan, years)
        return _one_per_stamp(pd.Series(years, index=table.index))


def _numbers(series: pd.Series, what: str) -> pd.Series:
    """The series as floats."""
    try:
        values = series.to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        raise DataError(f"{what}: not all values are numbers; convert or drop those that are not") from None
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(f"{what}: infinite at {series.index[int(infinite.argmax())]}; drop or correct the price")
    return series if series.dtype == np.float64 else pd.Series(values, index=series.index, name=series.name)


def _one_per_stamp(series: pd.Series) -> pd.Series:
    """The last known value of each stamp."""
    return series if series.index.is_unique else series.groupby(level=0).last()
