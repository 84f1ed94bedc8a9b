"""The replayed market: past days as a tape recorded them.

A tape holds closing prices and perhaps more: hourly bars with gaps, daily closes, thin forward contracts. What it cannot know is
filled in by rules, each of them stated here:

- **Open**: an hourly bar of any contract ended within the last two hours. So nights and holidays are closed without any calendar; an
  opening shows an hour late and a close two hours late. Any contract, since a recording often ends with a roll for the old one and begins
  with it for the new one.
- **Price of a contract now**: its last visible price. Where that is more than two hours old, it is moved by what the most
  recently traded contract of the instrument has changed since then: spreads between months are taken to stand still meanwhile.
- **Quote**: that price plus and minus the instrument's usual half spread (not rounded to ticks), for `QUOTED_SIZE` contracts
  on either side.
- **Expiry**: the approximate one of the roll rule, or the last day on which the tape has a price of the contract where that
  is later. A contract is listed from the start of the tape on.
- **Settlement**: a contract that has expired keeps its last price.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
import pandas as pd

from tradeflow_core.brokers.base import BAR_COLUMNS, ContractSpec, NoData, NoQuote, Quote, UnknownContract
from tradeflow_core.brokers.paper.market import check_frequency, has_expired, micros, quote_around, tick_size
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.home import as_utc
from tradeflow_core.model import month_number
from tradeflow_core.store import Tape

STALE = timedelta(hours=2)
QUOTED_SIZE = 20


@dataclass(frozen=True, slots=True)
class _Reel:
    """The bars of one contract (or of all of an instrument): `end` (rows,) in microseconds since 1970, sorted."""

    frame: pd.DataFrame
    end: np.ndarray
    final: np.ndarray
    hourly: np.ndarray

    def seen(self, at: int) -> int:
        """How many bars have ended at or before `at`."""
        return int(np.searchsorted(self.end, at, "right"))

    def part(self, rows: slice) -> _Reel:
        """Some of the bars."""
        return _Reel(self.frame.iloc[rows], self.end[rows], self.final[rows], self.hourly[rows])


class TapeMarket:
    """A `Market` that shows of a tape what had happened by the instant asked."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self.instruments = dict(tape.instruments)
        self._reels = lru_cache(maxsize=None)(self._load)
        self._fx = lru_cache(maxsize=None)(self._load_fx)
        self._specs = lru_cache(maxsize=None)(self._make_specs)

    def contract(self, instrument: str, contract: int, now: datetime) -> ContractSpec:
        """Facts of one contract that the tape knows, expired or not; raises UnknownContract."""
        specs = self._specs(instrument)
        if contract not in specs:
            raise UnknownContract(f"{instrument}: the tape has no contract {contract}")
        return specs[contract]

    def contracts(self, instrument: str, now: datetime, since: date | None = None) -> list[ContractSpec]:
        """Contracts of the tape that have not expired at `now`, in order of expiry; those that expired since `since` too."""
        today = as_utc(now).date()
        earliest = min(since or today, today)
        return [spec for spec in self._specs(instrument).values() if spec.expiry >= earliest]

    def bars(
        self, instrument: str, contract: int, frequency: str, *, start: datetime, end: datetime, now: datetime
    ) -> pd.DataFrame:
        """Bars that end in (start, min(end, now)], sorted; raises UnknownContract, NoData where none has ended by `now`."""
        check_frequency(instrument, frequency)
        self.contract(instrument, contract, now)
        reel = self._reels(instrument)[1].get(contract)
        at = micros(as_utc(now))
        if reel is None or not reel.seen(at):
            raise NoData(f"{instrument}: the tape has no bar of contract {contract} that ended by {now}")
        first, last = reel.seen(micros(as_utc(start))), reel.seen(min(micros(as_utc(end)), at))
        kept = first + np.flatnonzero(reel.hourly[first:last] == (frequency == "H"))
        begin, stop = (int(kept[0]), int(kept[-1]) + 1) if len(kept) else (0, 0)
        # A slice is far cheaper than picked rows, and does for all but windows with a daily bar between hourly ones.
        part = reel.frame.iloc[begin:stop] if stop - begin == len(kept) else reel.frame.take(kept)
        return part.reset_index(drop=True)

    def fx_rates(self, currency: str, start: datetime, end: datetime, *, now: datetime) -> pd.Series:
        """Rates of the tape by instant in (start, min(end, now)]; raises NoData for an unknown currency."""
        rates = self._fx(currency)
        until = min(as_utc(end), as_utc(now))
        return rates[(rates.index > as_utc(start)) & (rates.index <= until)]

    def fx_rate(self, currency: str, now: datetime) -> float:
        """The last rate that the tape shows at `now`; 1.0 for USD; raises NoData."""
        if currency == "USD":
            return 1.0
        rates = self._fx(currency)
        seen = int(rates.index.searchsorted(pd.Timestamp(as_utc(now)), "right"))
        if not seen:
            raise NoData(f"{currency}: the tape has no rate at or before {now}")
        return float(rates.iloc[seen - 1])

    def is_open(self, instrument: str, now: datetime) -> bool:
        """Whether an hourly bar of any contract ended in the last two hours."""
        every = self._reels(instrument)[0]
        at = micros(as_utc(now))
        return bool(every.hourly[every.seen(at - _micros(STALE) - 1) : every.seen(at)].any())

    def quote(self, instrument: str, contract: int, now: datetime) -> Quote:
        """The price now with the usual spread around it; raises NoQuote where the market is closed or no price is known."""
        now = as_utc(now)
        spec = self.contract(instrument, contract, now)
        if has_expired(spec, now):
            raise NoQuote(f"{instrument}: contract {contract} expired on {spec.expiry}")
        if not self.is_open(instrument, now):
            raise NoQuote(f"{instrument}: the market is closed at {now}; no hourly bar of it ended in the last two hours")
        try:
            price = self._price(instrument, contract, micros(now))
        except NoData as error:
            raise NoQuote(str(error)) from error
        return quote_around(
            self.instruments[instrument], contract, now, price=price, sizes=(QUOTED_SIZE, QUOTED_SIZE), on_ticks=False
        )

    def mark(self, instrument: str, contract: int, now: datetime) -> float:
        """The price now; the last price of a contract that has expired. Raises NoData where none is known yet."""
        now = as_utc(now)
        if has_expired(self.contract(instrument, contract, now), now):
            return self._last(instrument, contract, micros(now))[0]
        return self._price(instrument, contract, micros(now))

    def _last(self, instrument: str, contract: int, at: int) -> tuple[float, int]:
        """Price and end of the last visible bar of a contract."""
        reel = self._reels(instrument)[1].get(contract)
        seen = reel.seen(at) if reel else 0
        if reel is None or not seen:
            raise NoData(f"{instrument}: the tape has no price of contract {contract} yet; it is too thin to trade")
        return float(reel.final[seen - 1]), int(reel.end[seen - 1])

    def _price(self, instrument: str, contract: int, at: int) -> float:
        price, when = self._last(instrument, contract, at)
        if at - when <= _micros(STALE):
            return price
        every, by_contract = self._reels(instrument)
        guide = by_contract[int(every.frame["contract"].iloc[every.seen(at) - 1])]
        then = guide.seen(when)
        if not then:
            return price
        return price + float(guide.final[guide.seen(at) - 1] - guide.final[then - 1])

    def _load(self, instrument: str) -> tuple[_Reel, dict[int, _Reel]]:
        if instrument not in self.instruments:
            raise ConfigError(f"{instrument} is not an instrument of the tape")
        frame = self._tape.bars(instrument)
        frame = frame.loc[frame["FINAL"].notna(), BAR_COLUMNS]
        if not frame["end"].is_monotonic_increasing:
            raise DataError(f"{instrument}: the bars of the tape are not sorted by end; record the tape again")
        by_contract = _reel(frame.sort_values("contract", kind="stable", ignore_index=True))
        ids = by_contract.frame["contract"].to_numpy(np.int64)
        starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1]))[: len(ids)])
        bounds = zip(starts, np.append(starts[1:], len(ids)), strict=True)
        return _reel(frame), {int(ids[start]): by_contract.part(slice(start, end)) for start, end in bounds}

    def _load_fx(self, currency: str) -> pd.Series:
        return self._tape.fx(currency).dropna()

    def _make_specs(self, code: str) -> dict[int, ContractSpec]:
        reels = self._reels(code)[1]
        instrument = self.instruments[code]
        specs = []
        for contract in sorted({*map(int, self._tape.contracts(code)), *reels}):
            expiry = date(contract // 10000, month_number(contract) % 12 + 1, contract % 100 or 1)
            if instrument.roll_rule is not None:
                expiry = instrument.roll_rule.approximate_expiry(contract)
            if contract in reels:
                expiry = max(expiry, datetime.fromtimestamp(int(reels[contract].end[-1]) / 1e6, UTC).date())
            step = tick_size(instrument, float(reels[contract].final[-1]) if contract in reels else 1.0)
            specs.append(ContractSpec(code, contract, expiry, instrument.currency, instrument.point_size, step))
        return {spec.contract: spec for spec in sorted(specs, key=lambda spec: (spec.expiry, spec.contract))}


def _reel(frame: pd.DataFrame) -> _Reel:
    end = pd.DatetimeIndex(frame["end"]).as_unit("us").asi8
    return _Reel(frame, np.asarray(end), frame["FINAL"].to_numpy(float), (frame["frequency"] == "H").to_numpy(bool))


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
