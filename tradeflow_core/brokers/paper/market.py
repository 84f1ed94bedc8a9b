"""The interface of the market that a paper exchange trades on.

A market is a pure function: an answer depends on the arguments alone, of which `now` is the present time. It never shows
a bar that ends after `now`. All instants are timezone-aware UTC.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol

import numpy as np
import pandas as pd

from tradeflow_core.brokers.base import BAR_COLUMNS, ContractSpec, NoData, Quote
from tradeflow_core.errors import StateError
from tradeflow_core.instruments import Instrument

FREQUENCIES = ("D", "H")


class Market(Protocol):
    """Prices, quotes and contracts as they were known at the time `now`."""

    @property
    def closes_at_last_price(self) -> bool:
        """Whether the desk closes positions in contracts that have ended itself, at their last price; else the exchange settles them."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The instruments that are traded, by code."""

    def contract(self, instrument: str, contract: int, now: datetime) -> ContractSpec:
        """Facts of one contract, expired ones too; raises UnknownContract where it is not listed at `now`."""

    def contracts(self, instrument: str, now: datetime, since: date | None = None) -> list[ContractSpec]:
        """Contracts listed at `now` in order of expiry; those that expired on or after `since` too, if given."""

    def bars(
        self, instrument: str, contract: int, frequency: str, *, start: datetime, end: datetime, now: datetime
    ) -> pd.DataFrame:
        """Bars (`BAR_COLUMNS`) that end in (start, min(end, now)], sorted by end; raises UnknownContract, NoData."""

    def fx_rates(self, currency: str, start: datetime, end: datetime, *, now: datetime) -> pd.Series:
        """Daily closes, US dollars for one unit, by instant in (start, min(end, now)]; raises NoData for an unknown currency."""

    def fx_rate(self, currency: str, now: datetime) -> float:
        """US dollars for one unit of `currency`, the last close at `now`; 1.0 for USD; raises NoData."""

    def is_open(self, instrument: str, now: datetime) -> bool:
        """Whether the market trades at `now`."""

    def quote(self, instrument: str, contract: int, now: datetime) -> Quote:
        """Bid and ask at `now`; raises NoQuote where the market is closed or the contract does not trade."""

    def mark(self, instrument: str, contract: int, now: datetime) -> float:
        """The price at which a position is valued: the last one, and the final settlement once the contract has expired."""


def has_expired(spec: ContractSpec, now: datetime) -> bool:
    """Whether the last trading date has ended, in UTC: from then on a position is cash that was settled at the last price."""
    return now >= datetime.combine(spec.expiry + timedelta(days=1), time(), UTC)


def tick_size(instrument: Instrument, price: float) -> float:
    """The instrument's tick; where that is unknown, a unit of the fifth significant digit of `price`."""
    return instrument.tick or 10.0 ** (np.floor(np.log10(max(abs(price), 1e-9))) - 4)


def round_to(step: float, price: float) -> float:
    """`price` at the nearest multiple of `step`, without the rounding error of the multiplication."""
    return float(np.round(np.round(price / step) * step, 10))


def quote_around(
    instrument: Instrument, contract: int, now: datetime, *, price: float, sizes: tuple[int, int], on_ticks: bool
) -> Quote:
    """A quote with `price` in its middle and the instrument's usual half spread (at least half a tick) on either side.

    `on_ticks` puts both sides on ticks. The rounding leaves the average spread right if prices lie anywhere between
    two ticks, but not if all lie on ticks, as recorded prices do.
    """
    step = tick_size(instrument, price)
    half = max(instrument.costs.spread_cost, step / 2)
    if on_ticks:
        bid = round_to(step, price - half)
        return Quote(instrument.code, contract, now, bid, max(round_to(step, price + half), round_to(step, bid + step)), *sizes)
    return Quote(instrument.code, contract, now, round(price - half, 10), round(price + half, 10), *sizes)


def unit_hash(*parts: object) -> float:
    """A number in [0, 1) that looks random and is the same for the same parts, in every process."""
    value = zlib.crc32("/".join(map(str, parts)).encode())
    # The low bits of a CRC of texts that differ in their last letters are close together: mix them.
    return ((value * 2654435761) & 0xFFFFFFFF) / 2**32


def micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware instant; raises StateError where it has no time zone."""
    if instant.tzinfo is None:
        raise StateError(f"the instant {instant.isoformat()} has no time zone; give one, for example +00:00")
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def utc_index(stamps: np.ndarray) -> pd.DatetimeIndex:
    """Microseconds since 1970 as a UTC index of microsecond resolution."""
    return pd.DatetimeIndex(stamps.astype("datetime64[us]")).tz_localize("UTC")


def check_frequency(instrument: str, frequency: str) -> None:
    """Raises NoData for a bar length that paper markets do not have."""
    if frequency not in FREQUENCIES:
        raise NoData(f"{instrument}: there are no bars of frequency {frequency!r}; ask for D or H")


def bar_frame(
    contract: int, frequency: str, start: np.ndarray, *, end: np.ndarray, prices: tuple[np.ndarray, ...], volume: np.ndarray
) -> pd.DataFrame:
    """A frame of `BAR_COLUMNS`: `start`, `end` in microseconds since 1970; `prices` open, high, low, final."""
    columns = (np.full(len(end), contract, np.int64), frequency, utc_index(start), utc_index(end), *prices, volume.astype(float))
    frame = pd.DataFrame(dict(zip(BAR_COLUMNS, columns, strict=True)), index=pd.RangeIndex(len(end)))
    return frame.astype({"frequency": "str"}) if frame.empty else frame
