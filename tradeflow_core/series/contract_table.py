"""Contract prices as sorted integer arrays, and contract ids between their text, number and category forms.

The price algorithms work on integers: one sort per contract on the way in, ids as numbers, stamps as counts of the
index's own unit. Frames appear only as input and output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.errors import DataError
from tradeflow_core.model import parse_contract

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
MISSING = -1
"""The id that stands for a missing label."""


@dataclass(frozen=True, slots=True)
class StampForm:
    """The form of the stamps given, in which results are returned: unit of the integers and time zone (None: naive)."""

    unit: str
    tz: tzinfo | None

    @classmethod
    def of(cls, index: pd.DatetimeIndex) -> StampForm:
        return cls(index.unit, index.tz)

    def integers(self, index: pd.DatetimeIndex, source: str) -> Ints:
        """Stamps of another index in this form; DataError, naming `source`, where only one of the two has a time zone."""
        if (index.tz is None) != (self.tz is None):
            raise DataError(f"{source} and contract prices differ in time zone: give both naive stamps or both aware ones")
        return index.as_unit(self.unit).asi8  # type: ignore[arg-type,no-any-return]

    def index(self, stamps: Ints, name: str = "date") -> pd.DatetimeIndex:
        """The integers as an index of this form."""
        naive = pd.DatetimeIndex(stamps.view(f"M8[{self.unit}]"), name=name)
        return naive if self.tz is None else naive.tz_localize("UTC").tz_convert(self.tz)

    def ticks(self, seconds: int) -> int:
        """That many seconds as a count of the unit."""
        return seconds * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[self.unit]

    def show(self, stamp: int) -> str:
        """A stamp for a message."""
        return str(self.index(np.array([stamp], dtype=np.int64))[0])


@dataclass(frozen=True, slots=True)
class ContractTable:
    """Prices of all contracts of one instrument: contract `ids[k]` has rows `bounds[k]` to `bounds[k + 1]`, all sorted."""

    ids: Ints
    bounds: NDArray[np.intp]
    stamps: Ints
    values: Floats
    form: StampForm
    as_text: bool
    places: dict[int, int] = field(repr=False)

    @classmethod
    def of(cls, contracts: Ints, stamps: Ints, values: Floats, *, form: StampForm, as_text: bool) -> ContractTable:
        """A table of rows in order of contract and stamp, no stamp of a contract twice."""
        starts = np.flatnonzero(np.append(True, contracts[1:] != contracts[:-1])[: len(contracts)])
        ids = contracts[starts]
        places = {contract: place for place, contract in enumerate(ids.tolist())}
        return cls(ids, np.append(starts, len(contracts)), stamps, values, form, as_text, places)

    def series(self, contract: int) -> tuple[Ints, Floats] | None:
        """Stamps and prices of a contract, or None where it has no series."""
        place = self.places.get(contract)
        if place is None:
            return None
        rows = slice(self.bounds[place], self.bounds[place + 1])
        return self.stamps[rows], self.values[rows]

    def priced_stamps(self, contract: int) -> Ints | None:
        """Stamps at which a contract has a price, or None where it has no series."""
        series = self.series(contract)
        return None if series is None else series[0][~np.isnan(series[1])]


PricesLike = pd.DataFrame | Mapping[Any, pd.Series] | ContractTable


def read_contract_prices(contract_prices: PricesLike) -> ContractTable:
    """Contract prices of one instrument as a `ContractTable`.

    Takes a long frame (columns contract, date, price; any order of rows) or a mapping from id to a price series. An
    empty series is ignored. Raises DataError where there are no prices, or a contract has a stamp twice.
    """
    if isinstance(contract_prices, ContractTable):
        if not len(contract_prices.ids):
            raise DataError("there are no contract prices: fetch or import them first")
        return contract_prices
    if not isinstance(contract_prices, pd.DataFrame):
        contract_prices = _long_frame(contract_prices)
    if absent := {"contract", "date", "price"} - set(contract_prices.columns):
        raise DataError(f"contract prices lack the columns {sorted(absent)}: give contract, date and price")
    if not len(contract_prices):
        raise DataError("there are no contract prices: fetch or import them first")
    labels, as_text = encode_contracts(contract_prices["contract"])
    if labels.min() == MISSING:
        raise DataError(f"contract prices name no contract in row {int(np.argmin(labels))}")
    index = pd.DatetimeIndex(contract_prices["date"])
    if index.hasnans:
        raise DataError(f"contract prices have no date in row {int(np.argmax(index.isna()))}")
    stamps, values = index.asi8, contract_prices["price"].to_numpy(dtype=float)
    form = StampForm.of(index)
    labels, stamps, values = _sorted(labels, stamps, values, form=form)
    return ContractTable.of(labels, stamps, values, form=form, as_text=as_text)


def _sorted(labels: Ints, stamps: Ints, values: Floats, *, form: StampForm) -> tuple[Ints, Ints, Floats]:
    later_contract = labels[1:] > labels[:-1]
    same_contract = labels[1:] == labels[:-1]
    if not (later_contract | (same_contract & (stamps[1:] >= stamps[:-1]))).all():
        order = np.lexsort((stamps, labels))
        labels, stamps, values = labels[order], stamps[order], values[order]
        same_contract = labels[1:] == labels[:-1]
    repeated = np.flatnonzero(same_contract & (stamps[1:] == stamps[:-1]))
    if len(repeated):
        raise DataError(f"contract {labels[repeated[0]]} has more than one price at {form.show(stamps[repeated[0]])}: keep one")
    return labels, stamps, values


def _long_frame(series: Mapping[Any, pd.Series]) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"contract": contract, "date": pd.DatetimeIndex(prices.index), "price": prices.to_numpy(dtype=float)})
        for contract, prices in series.items()
        if len(prices)
    ]
    if not parts:
        raise DataError("there are no contract prices: fetch or import them first")
    return pd.concat(parts, ignore_index=True)


_parsed = lru_cache(maxsize=2**16, typed=True)(parse_contract)


def encode_contracts(labels: pd.Series | Iterable[Any]) -> tuple[Ints, bool]:
    """Integer ids of a column of labels (`MISSING` where there is none), and whether the labels are text."""
    column = labels if isinstance(labels, pd.Series) else pd.Series(list(labels))
    codes, unique = pd.factorize(column)
    values = list(unique)
    ids = np.array([_parsed(value) for value in values] + [MISSING], dtype=np.int64)
    return ids[codes], any(isinstance(value, str) for value in values)


def decode_contracts(ids: Ints, *, as_text: bool) -> Any:
    """The ids as a column: int64 (nullable where some are missing), or text."""
    if as_text:
        codes, unique = pd.factorize(ids)
        text = pd.array([f"{contract:08d}" for contract in unique], dtype="str")
        return text.take(np.where(ids == MISSING, -1, codes), allow_fill=True)
    missing = ids == MISSING
    return pd.arrays.IntegerArray(ids.copy(), missing) if missing.any() else ids
