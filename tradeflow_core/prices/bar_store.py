"""The stored bars of an instrument, and the contract prices derived from them.

A stored bar is never changed. Manual corrections and prices inferred by rolls are kept separately, as marks in the ledger, and applied on read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import marks_of
from tradeflow_core.parquet import naming_damage
from tradeflow_core.series import ContractTable, StampForm, at_close, daily_volume
from tradeflow_core.store import APPENDED

DATASET = "contract_prices"
KEY = APPENDED[DATASET]
INTRADAY_MINUTES = {"H": 60, "30M": 30, "15M": 15, "5M": 5, "1M": 1}
"""The length of a bar of each intraday frequency, in minutes."""

FREQUENCY_NAMES = sorted(["D", *INTRADAY_MINUTES])
DAILY = FREQUENCY_NAMES.index("D")
PRICE_COLUMNS = ["OPEN", "HIGH", "LOW", "FINAL"]
CLOSES = ("contract", "frequency", "start", "end", "FINAL")
"""The columns from which contract prices are derived."""

BAR_TYPES: dict[str, Any] = {
    "contract": np.dtype("int64"),
    "frequency": pd.CategoricalDtype(FREQUENCY_NAMES),
    **dict.fromkeys(("start", "end"), pd.DatetimeTZDtype("us", "UTC")),
    **dict.fromkeys([*PRICE_COLUMNS, "VOLUME"], np.dtype("float64")),
}

_INSTANT = pa.timestamp("us", "UTC")
_FREQUENCY = pa.dictionary(pa.int8(), pa.string())
_CLOSES = pa.schema(list(zip(CLOSES, (pa.int64(), _FREQUENCY, _INSTANT, _INSTANT, pa.float64()), strict=True)))


@dataclass(frozen=True, slots=True)
class Closes:
    """Closes of bars as arrays in order of contract, frequency and start: `frequency` as index into `FREQUENCY_NAMES`, `start` and `end` in
    microseconds since 1970.

    A day needs no more of the past than this, and arrays are far quicker to build and to search than frames.
    """

    contract: NDArray[np.int64]
    frequency: NDArray[np.int8]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    final: NDArray[np.float64]

    @classmethod
    def of_table(cls, table: pa.Table) -> Closes:
        """The closes of a stored table with the columns `CLOSES`."""
        columns = table.select(CLOSES).cast(_CLOSES).columns
        contract, frequency, start, end, final = (
            column.chunk(0) if column.num_chunks == 1 else column.combine_chunks() for column in columns
        )
        codes = np.array([FREQUENCY_NAMES.index(name) for name in frequency.dictionary.to_pylist()], dtype="int8")
        start, end = (np.asarray(stamps.view(pa.int64())) for stamps in (start, end))
        return cls(np.asarray(contract), codes[np.asarray(frequency.indices)], start, end, np.asarray(final))

    @classmethod
    def of_bars(cls, bars: pd.DataFrame) -> Closes:
        """The closes of sorted bars in `BAR_TYPES`."""
        contract, final = bars["contract"].to_numpy(), bars["FINAL"].to_numpy()
        return cls(contract, frequency_codes(bars), instants(bars["start"]), instants(bars["end"]), final)

    def place(self, contract: int, frequency: str) -> slice:
        """The rows of one contract and frequency, by binary search: the time hardly grows with past contracts."""
        low, high = self.contract.searchsorted((contract, contract + 1)).tolist()
        frequency_code = FREQUENCY_NAMES.index(frequency)
        first, last = self.frequency[low:high].searchsorted((frequency_code, frequency_code + 1)).tolist()
        return slice(low + first, low + last)

    def batches(self) -> Iterator[tuple[slice, int, str]]:
        """For each contract and frequency: its rows, contract and frequency."""
        return _batches(self.contract, self.frequency)

    def part(self, rows: slice) -> Closes:
        """Some of the rows."""
        return Closes(self.contract[rows], self.frequency[rows], self.start[rows], self.end[rows], self.final[rows])

    def bars(self) -> pd.DataFrame:
        """The same as a frame of bars with the columns `CLOSES`."""
        frequency = pd.Categorical.from_codes(self.frequency, dtype=BAR_TYPES["frequency"])
        start, end = (pd.DatetimeIndex(stamps.view("M8[us]"), tz="UTC") for stamps in (self.start, self.end))
        return pd.DataFrame(dict(zip(CLOSES, (self.contract, frequency, start, end, self.final), strict=True)))


def stored_bars(
    desk: Desk, instrument: str, columns: Sequence[str] = BAR_COLUMNS, *, since: datetime | None = None
) -> pd.DataFrame:
    """The stored bars of an instrument (only `columns`), sorted by contract, frequency and start; empty where there are none.

    `since`: bars that started before may be left out.
    """
    if not desk.store.exists(DATASET, instrument):
        return no_bars(columns)
    with naming_damage(DATASET, instrument, **desk.store.files.words(DATASET, instrument)):
        bars = desk.store.read(DATASET, instrument, None if columns is BAR_COLUMNS else columns, since=since)
        types = {name: BAR_TYPES[name] for name in columns}
        return bars if bars.dtypes.to_dict() == types else bars.astype(types)


def stored_closes(desk: Desk, instrument: str, *, since: datetime | None = None) -> list[Closes]:
    """The closes of the stored bars of an instrument in one or more parts; a bar may be in two of them and then counts once.

    `since`: bars that started before may be left out.
    """
    if not desk.store.exists(DATASET, instrument):
        return []
    with naming_damage(DATASET, instrument, **desk.store.files.words(DATASET, instrument)):
        return [Closes.of_table(part) for part in desk.store.tables(DATASET, instrument, CLOSES, since=since)]


def bar_ends(desk: Desk, instrument: str, contract: int, *, since: datetime | None = None) -> pd.DatetimeIndex:
    """When the stored bars of a contract end (UTC), in no order. `since`: bars that started before may be left out."""
    parts = stored_closes(desk, instrument, since=since)
    ends = [part.end.view("M8[us]")[part.contract == contract] for part in parts]
    return pd.DatetimeIndex(np.concatenate([np.empty(0, "M8[us]"), *ends]), tz="UTC")


def no_bars(columns: Sequence[str] = BAR_COLUMNS) -> pd.DataFrame:
    """An empty frame of bars in the types of the store."""
    return pd.DataFrame({name: pd.Series([], dtype=BAR_TYPES[name]) for name in columns})


def not_stored(new: pd.DataFrame, stored: Sequence[Closes]) -> pd.DataFrame:
    """The sorted bars of `new` whose contract, frequency and start are in none of the `stored` parts."""
    starts, is_stored = instants(new["start"]), np.zeros(len(new), dtype=bool)
    for rows, contract, frequency in batches_of(new):
        for part in stored:
            is_stored[rows] |= np.isin(starts[rows], part.start[part.place(contract, frequency)])
    return new[~is_stored]


def batches_of(bars: pd.DataFrame) -> Iterator[tuple[slice, int, str]]:
    """For each contract and frequency of sorted bars: its rows, contract and frequency."""
    yield from _batches(bars["contract"].to_numpy(), frequency_codes(bars))


def _batches(contracts: NDArray[np.int64], codes: NDArray[np.int8]) -> Iterator[tuple[slice, int, str]]:
    starts = np.flatnonzero(np.append(True, (contracts[1:] != contracts[:-1]) | (codes[1:] != codes[:-1]))[: len(codes)]).tolist()
    for start, end in pairwise([*starts, len(codes)]):
        yield slice(start, end), int(contracts[start]), FREQUENCY_NAMES[codes[start]]


def frequency_codes(bars: pd.DataFrame) -> np.ndarray:
    """The frequency of each bar as index into `FREQUENCY_NAMES`."""
    return np.asarray(bars["frequency"].array.codes)  # type: ignore[attr-defined]


def instants(stamps: pd.Series) -> np.ndarray:
    """Stamps of the store as microseconds since 1970."""
    return np.asarray(stamps.array.asi8)  # type: ignore[attr-defined]


def in_order(bars: pd.DataFrame) -> pd.DataFrame:
    """The bars (in `BAR_TYPES`) in order of contract, frequency and start, numbered from 0."""
    order = np.lexsort((instants(bars["start"]), frequency_codes(bars), bars["contract"].to_numpy()))
    sorted_already = bool((order[1:] > order[:-1]).all())
    return (bars if sorted_already else bars.take(order)).reset_index(drop=True)


def contract_volume(bars: pd.DataFrame, contract: int, zone: str) -> pd.Series:
    """Contracts traded of one contract by business day in `zone` (naive midnights): that of the daily bar, otherwise the sum of the intraday bars.

    `bars`: columns contract, frequency, start, end, VOLUME. NaN where nothing traded.
    """
    bars = bars[bars["contract"] == contract]
    daily = (bars["frequency"] == "D").to_numpy()
    close = at_close(pd.DatetimeIndex(bars["end"]).tz_convert(zone).tz_localize(None).normalize())
    # One second later, so that an intraday bar that begins at 23:00 is not taken for a close.
    intraday = pd.DatetimeIndex(bars["start"]).tz_convert(zone).tz_localize(None) + pd.Timedelta(seconds=1)
    return daily_volume(pd.Series(bars["VOLUME"].to_numpy(), index=close.where(daily, intraday)))


def contract_prices(desk: Desk, instrument: str, *, rolls: bool = True) -> pd.DataFrame:
    """The prices of all contracts of an instrument, from which multiple prices are made: columns contract (int64), date (UTC), price.

    A bar is dated by its end if daily, by its start if intraday; of two at one instant the daily one counts. Marks of the ledger are applied: a
    mark with a price replaces or adds one, a rejection removes one. `rolls` False leaves out the marks made by rolls, which belong to the
    present roll history.
    """
    with desk.ledger.read() as view:
        marks = marks_of(view, instrument)
    table = contract_table(stored_closes(desk, instrument), marks if rolls else marks[marks["source"] != "roll"])
    contracts = np.repeat(table.ids, np.diff(table.bounds))
    return pd.DataFrame({"contract": contracts, "date": table.form.index(table.stamps), "price": table.values})


def contract_table(parts: Sequence[Closes], marks: pd.DataFrame) -> ContractTable:
    """Contract prices of closes in any number of parts, with marks applied, in the form that rebuilds take."""
    parts = _by_contract(parts)
    ranks = np.concatenate([*(part.frequency == DAILY for part in parts), np.full(len(marks), 2)], dtype="int8", casting="unsafe")
    contracts = np.concatenate([*(part.contract for part in parts), marks["contract"].to_numpy()])
    times = (np.where(part.frequency == DAILY, part.end, part.start) for part in parts)  # as `bar_times` says
    stamps = np.concatenate([*times, instants(marks["time"])])
    prices = np.concatenate([*(part.final for part in parts), marks["price"].to_numpy()])
    order = _order(contracts, stamps, ranks)
    contracts, stamps = contracts[order], stamps[order]
    last = np.append((contracts[1:] != contracts[:-1]) | (stamps[1:] != stamps[:-1]), True)[: len(contracts)]
    prices = prices[order]
    counts = last & ~np.isnan(prices)
    return ContractTable.of(contracts[counts], stamps[counts], prices[counts], form=StampForm("us", UTC), as_text=False)


def _by_contract(parts: Sequence[Closes]) -> list[Closes]:
    """The parts cut at contracts, those of one contract together in the order of the parts: one after the other they are nearly sorted."""
    if len(parts) == 1:
        return list(parts)
    pieces = []
    for part in parts:
        starts = np.flatnonzero(np.append(True, part.contract[1:] != part.contract[:-1])[: len(part.contract)]).tolist()
        bounds = pairwise([*starts, len(part.contract)])
        pieces += [(int(part.contract[start]), part.part(slice(start, end))) for start, end in bounds]
    return [piece for _, piece in sorted(pieces, key=lambda each: each[0])] or list(parts)


def _order(contracts: NDArray[np.int64], stamps: NDArray[np.int64], ranks: NDArray[np.int8]) -> NDArray[np.intp] | slice:
    """The order by contract, stamp and rank. Where they fit into one number it is sorted by that: nearly sorted rows are quick to sort by one key."""
    if not len(contracts):
        return slice(None)
    starts = np.flatnonzero(np.append(True, contracts[1:] != contracts[:-1]))
    ids, place = np.unique(contracts[starts], return_inverse=True)
    first, span = int(stamps.min()), 3 * (int(np.ptp(stamps)) + 1)
    if len(ids) * span >= 2**62:
        return np.lexsort((ranks, stamps, contracts))
    numbers = np.repeat(place, np.diff(starts, append=len(contracts))) * span + (stamps - first) * 3 + ranks
    return slice(None) if (numbers[1:] >= numbers[:-1]).all() else np.argsort(numbers, kind="stable")
