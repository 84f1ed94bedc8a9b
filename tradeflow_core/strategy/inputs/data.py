"""What a backtest reads: prices, FX rates and the facts of instruments.

Stamps are naive and stay as given. FX is quoted against the dollar: `EURUSD` is dollars for one euro.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from tradeflow_core.data_folders import ADJUSTED, FX, MULTIPLE, DataFolder, Note
from tradeflow_core.errors import DataError
from tradeflow_core.instruments import Instrument
from tradeflow_core.series import back_adjust
from tradeflow_core.strategy.common.lazy import LazyMapping
from tradeflow_core.strategy.common.panel import Floats, nanoseconds
from tradeflow_core.strategy.inputs.instrument_table import instruments_from_table


@dataclass(frozen=True, eq=False)
class BacktestData:
    """Inputs of a backtest by instrument code; tables are read when first asked for.

    `multiple_prices`: columns PRICE, CARRY, FORWARD and their _CONTRACT ids. `adjusted_prices`: one continuous series each.
    `fx`: by pair, e.g. `EURUSD`. `notes`: what their reader found about files that were read so far.
    """

    multiple_prices: Mapping[str, pd.DataFrame]
    adjusted_prices: Mapping[str, pd.Series]
    fx: Mapping[str, pd.Series]
    instruments: Mapping[str, Instrument]
    notes: Sequence[Note] = ()

    @staticmethod
    def from_pysystemtrade(folder: str | Path) -> BacktestData:
        """Data in that system's CSV layout: csvconfig, fx_prices_csv, multiple_prices_csv, adjusted_prices_csv.

        Its files are read by the code that imports them, with the same rules (`data_folders`). Raises ConfigError naming every folder or
        table that is missing, and, when an instrument is asked for, everything that is wrong with its files and lines.
        """
        files = DataFolder.open(folder, needs=(MULTIPLE, ADJUSTED, FX))
        found, wrong = files.tables
        adjusted = sorted(path.stem for path in (files.root / ADJUSTED).glob("*.csv"))
        return BacktestData(
            LazyMapping(files.codes, lambda code: _stamped(files.multiple_prices(code).frame)),
            LazyMapping(adjusted, lambda code: _stamped(files.adjusted_prices(code).frame)["price"]),
            LazyMapping(files.rate_files, lambda pair: _stamped(files.rates(pair).frame)["PRICE"]),
            LazyMapping(sorted({*found, *wrong}), files.instrument),
            files.notes,
        )

    @staticmethod
    def from_frames(
        multiple_prices: Mapping[str, pd.DataFrame],
        fx: Mapping[str, pd.Series],
        instruments: Mapping[str, Instrument] | pd.DataFrame,
        *,
        adjusted_prices: Mapping[str, pd.Series] | None = None,
    ) -> BacktestData:
        """Data in memory.

        `instruments`: objects by code, or one table indexed by code (or with a column Instrument) with the columns
        Pointsize, Currency, AssetClass, PerBlock, Percentage, PerTrade, SpreadCost and, where known, HoldRollCycle.
        Without `adjusted_prices` they are made by Panama back-adjustment, instrument by instrument, when first needed.
        """
        facts = instruments_from_table(instruments) if isinstance(instruments, pd.DataFrame) else instruments
        adjusted = adjusted_prices
        if adjusted is None:
            adjusted = LazyMapping(
                list(multiple_prices), lambda instrument: _back_adjusted(instrument, multiple_prices[instrument])
            )
        return BacktestData(multiple_prices, adjusted, fx, facts)

    def instrument(self, instrument: str) -> Instrument:
        """Facts of one instrument. Raises DataError where there are none, or where they cannot be."""
        if instrument not in self.instruments:
            raise DataError(f"instrument {instrument} has prices but no facts (point size, currency, costs): add it to the table")
        facts = self.instruments[instrument]
        if not 0 < facts.point_size < np.inf:
            raise DataError(f"instrument {instrument}: point size {facts.point_size} is not above 0: correct it in the table")
        for name, cost in ((cost_field.name, getattr(facts.costs, cost_field.name)) for cost_field in fields(facts.costs)):
            if not 0 <= cost < np.inf:
                raise DataError(f"instrument {instrument}: {name} {cost} is not a cost: give a number of at least 0")
        return facts

    def fx_rate(self, currency: str, base: str, instrument: str = "") -> pd.Series | None:
        """Units of `base` for one unit of `currency`; None where they are the same and the rate is always 1.

        Raises DataError naming the currency (and the `instrument` that needs it) without a usable series.
        """
        if currency == base:
            return None
        if base == "USD":
            return self._dollars(currency, instrument)
        if currency == "USD":
            return 1.0 / self._dollars(base, instrument)
        ours, theirs = self._dollars(currency, instrument), self._dollars(base, instrument)
        stamps = ours.index.union(theirs.index)
        return ours.reindex(stamps).ffill() / theirs.reindex(stamps).ffill()

    def rate_of(self, instrument: str, base: str) -> pd.Series | None:
        """Units of `base` for one unit of the currency that an instrument's prices are in on each day; None where that is always 1.

        The first day of another currency begins with the rate of that which is known by then. Raises DataError as `fx_rate` does.
        """
        facts = self.instrument(instrument)
        rate = self.fx_rate(facts.currency, base, instrument)
        for last, currency in reversed(facts.earlier_currencies):
            change = pd.Timestamp(last) + pd.Timedelta(days=1)
            before, after = (_or_one(each, change) for each in (self.fx_rate(currency, base, instrument), rate))
            known = after[after.index <= change].iloc[-1:]
            first = known.set_axis(pd.DatetimeIndex([change]).as_unit("ns"), axis=0) if len(known) else known
            rate = pd.concat([before[before.index < change], first, after[after.index > change]])
        return rate

    def _dollars(self, currency: str, instrument: str) -> pd.Series:
        pair = f"{currency}USD"
        series = self.fx.get(pair)
        if series is None or not series.notna().any():
            wanted = f" (needed by {instrument})" if instrument else ""
            raise DataError(f"no FX rate for currency {currency}{wanted}: give a series {pair}, dollars for one {currency}")
        return _rates(series, pair)


def _or_one(rate: pd.Series | None, change: pd.Timestamp) -> pd.Series:
    """Rates, or 1 from long before a change of currency, where nothing is to be converted."""
    return pd.Series(1.0, index=pd.DatetimeIndex([pd.Timestamp(1900, 1, 1), change]).as_unit("ns")) if rate is None else rate


def _stamped(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with stamps as all stages have them."""
    return frame.set_axis(pd.DatetimeIndex(frame.index, name="date").as_unit("ns"), axis=0)


def _rates(series: pd.Series, pair: str) -> pd.Series:
    """The known rates, sorted, the last one of each stamp. Raises DataError for one that is not a number above 0."""
    rates = series.dropna()
    try:
        values = rates.to_numpy(dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"FX series {pair}: not all values are numbers; convert or drop those that are not") from None
    wrong = ~((values > 0) & np.isfinite(values))
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(f"FX series {pair}: {values[first]} at {rates.index[first]} is not a rate; drop the row or correct it")
    ordered = rates if rates.index.is_monotonic_increasing else rates.sort_index(kind="stable")
    return ordered if ordered.index.is_unique else ordered[~ordered.index.duplicated(keep="last")]


def rate_at(rate: pd.Series | None, stamps: pd.Index) -> Floats:
    """The latest FX rate at or before each stamp; missing before the first one; 1 for a rate that is always 1 (None)."""
    if rate is None:
        return np.ones(len(stamps))
    if not len(rate):
        return np.full(len(stamps), np.nan)
    place = np.searchsorted(nanoseconds(rate.index), nanoseconds(stamps), side="right") - 1
    values = rate.to_numpy(dtype=float)
    return np.where(place >= 0, values[np.maximum(place, 0)], np.nan)


def _back_adjusted(instrument: str, multiple_prices: pd.DataFrame) -> pd.Series:
    if not len(multiple_prices) or not multiple_prices["PRICE"].notna().any():
        return pd.Series(dtype=float, index=pd.DatetimeIndex([]))
    try:
        return back_adjust(multiple_prices)
    except DataError as error:
        raise DataError(f"instrument {instrument}: {error}") from None
