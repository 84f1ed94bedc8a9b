"""The replayed market: past days as recorded on a tape.

A tape holds closing prices and perhaps more: hourly bars with gaps, daily closes, thin forward contracts. What it does not
hold is filled in by these rules:

- **Open**: an hourly bar of any contract ended within the last two hours. So nights and holidays are closed without any calendar; the
  market opens an hour late and closes two hours late. Any contract counts, since a recording often ends for the old contract, and
  begins for the new one, at a roll.
- **Open at the close**: so it is for half an hour after a daily bar of any contract has ended. That is the only time at which a tape of
  daily closes trades; where there are hourly bars too, what they left unfilled is filled then.
- **Price of a contract now**: its last visible price. Where that is more than two hours old, it is moved by what the most
  recently traded contract of the instrument has changed since then: the spread between the two is assumed not to change meanwhile.
- **Quote**: that price plus and minus the instrument's usual half spread (not rounded to ticks), for `QUOTED_SIZE` contracts
  on either side, at the close for `CLOSING_SIZE`. It says when its newest price was made: no order is sent on the price that it was
  decided on.
- **Expiry**: the approximate one of the roll rule, or the last day on which the tape has a price of the contract where that
  is later. A contract is listed from the start of the tape on.
- **Settlement**: a contract that has expired keeps its last price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
AT_CLOSE = timedelta(minutes=30)
QUOTED_SIZE = 20
CLOSING_SIZE = 24 * QUOTED_SIZE
"""A close stands for its whole day: as much as hourly bars would have offered in it."""


@dataclass(frozen=True, slots=True)
class _Bars:
    """The bars of one contract, or of all contracts of an instrument, as arrays: `end` (rows,) in microseconds since 1970, sorted.

    `traded`: the hourly ones but for marks, which have no length: a price that somebody noted, or that a roll wrote, is no trade.
    """

    frame: pd.DataFrame
    end: np.ndarray
    final: np.ndarray
    hourly: np.ndarray
    traded: np.ndarray

    def ended_by(self, at: int) -> int:
        """How many bars have ended at or before `at`."""
        return int(np.searchsorted(self.end, at, "right"))

    def since(self, at: int, span: timedelta) -> slice:
        """The bars that have ended within `span` before `at`."""
        return slice(self.ended_by(at - _in_micros(span) - 1), self.ended_by(at))

    def rows(self, rows: slice) -> _Bars:
        """Some of the bars."""
        return _Bars(self.frame.iloc[rows], self.end[rows], self.final[rows], self.hourly[rows], self.traded[rows])


class TapeMarket:
    """A `Market` that shows the part of a tape that had happened by `now`."""

    closes_at_last_price = True

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self.instruments = dict(tape.instruments)
        self._bars_of = lru_cache(maxsize=None)(self._load)
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
        contract_bars = self._bars_of(instrument)[1].get(contract)
        at = micros(as_utc(now))
        if contract_bars is None or not contract_bars.ended_by(at):
            raise NoData(f"{instrument}: the tape has no bar of contract {contract} that ended by {now}")
        first, last = contract_bars.ended_by(micros(as_utc(start))), contract_bars.ended_by(min(micros(as_utc(end)), at))
        picked = first + np.flatnonzero(contract_bars.hourly[first:last] == (frequency == "H"))
        begin, stop = (int(picked[0]), int(picked[-1]) + 1) if len(picked) else (0, 0)
        # A slice is far cheaper than picking rows, which is needed only where a daily bar lies between hourly ones.
        part = contract_bars.frame.iloc[begin:stop] if stop - begin == len(picked) else contract_bars.frame.take(picked)
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
        count = int(rates.index.searchsorted(pd.Timestamp(as_utc(now)), "right"))
        if not count:
            raise NoData(f"{currency}: the tape has no rate at or before {now}")
        return float(rates.iloc[count - 1])

    def is_open(self, instrument: str, now: datetime) -> bool:
        """Whether an hourly bar of any contract ended in the last two hours, or a daily one in the last half hour."""
        all_bars = self._bars_of(instrument)[0]
        at = micros(as_utc(now))
        return bool(all_bars.traded[all_bars.since(at, STALE)].any()) or self._is_at_close(instrument, at)

    def _is_at_close(self, instrument: str, at: int) -> bool:
        all_bars = self._bars_of(instrument)[0]
        return not all_bars.hourly[all_bars.since(at, AT_CLOSE)].all()

    def quote(self, instrument: str, contract: int, now: datetime) -> Quote:
        """The price now with the usual spread around it; raises NoQuote where the market is closed or there is no price yet."""
        now = as_utc(now)
        spec = self.contract(instrument, contract, now)
        if has_expired(spec, now):
            raise NoQuote(f"{instrument}: contract {contract} expired on {spec.expiry}")
        if not self.is_open(instrument, now):
            raise NoQuote(
                f"{instrument}: the market is closed at {now}; no hourly bar of it ended in the last two hours, and no close in the last half"
            )
        at = micros(now)
        try:
            price, priced_at = self._price(instrument, contract, at)
        except NoData as error:
            raise NoQuote(str(error)) from error
        size = CLOSING_SIZE if self._is_at_close(instrument, at) else QUOTED_SIZE
        quote = quote_around(self.instruments[instrument], contract, now, price=price, sizes=(size, size), on_ticks=False)
        return replace(quote, priced_at=datetime.fromtimestamp(priced_at / 1e6, UTC))

    def mark(self, instrument: str, contract: int, now: datetime) -> float:
        """The price now; the last price of a contract that has expired. Raises NoData where there is none yet."""
        now = as_utc(now)
        if has_expired(self.contract(instrument, contract, now), now):
            return self._last(instrument, contract, micros(now))[0]
        return self._price(instrument, contract, micros(now))[0]

    def _last(self, instrument: str, contract: int, at: int) -> tuple[float, int]:
        """Price and end of the last visible bar of a contract."""
        bars = self._bars_of(instrument)[1].get(contract)
        count = bars.ended_by(at) if bars else 0
        if bars is None or not count:
            raise NoData(f"{instrument}: the tape has no price of contract {contract} yet; it is too thin to trade")
        return float(bars.final[count - 1]), int(bars.end[count - 1])

    def _price(self, instrument: str, contract: int, at: int) -> tuple[float, int]:
        """The price of a contract now, and when the newest of the prices that it is made of ended."""
        price, price_time = self._last(instrument, contract, at)
        if at - price_time <= _in_micros(STALE):
            return price, price_time
        all_bars, by_contract = self._bars_of(instrument)
        most_recent = by_contract[int(all_bars.frame["contract"].iloc[all_bars.ended_by(at) - 1])]
        count_then, count_now = most_recent.ended_by(price_time), most_recent.ended_by(at)
        if not count_then:
            return price, price_time
        return price + float(most_recent.final[count_now - 1] - most_recent.final[count_then - 1]), int(
            most_recent.end[count_now - 1]
        )

    def _load(self, instrument: str) -> tuple[_Bars, dict[int, _Bars]]:
        if instrument not in self.instruments:
            raise ConfigError(f"{instrument} is not an instrument of the tape")
        frame = self._tape.bars(instrument)
        frame = frame.loc[frame["FINAL"].notna(), BAR_COLUMNS]
        if not frame["end"].is_monotonic_increasing:
            raise DataError(f"{instrument}: the bars of the tape are not sorted by end; record the tape again")
        by_contract = _as_bars(frame.sort_values("contract", kind="stable", ignore_index=True))
        ids = by_contract.frame["contract"].to_numpy(np.int64)
        starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1]))[: len(ids)])
        bounds = zip(starts, np.append(starts[1:], len(ids)), strict=True)
        return _as_bars(frame), {int(ids[start]): by_contract.rows(slice(start, end)) for start, end in bounds}

    def _load_fx(self, currency: str) -> pd.Series:
        return self._tape.fx(currency).dropna()

    def _make_specs(self, code: str) -> dict[int, ContractSpec]:
        by_contract = self._bars_of(code)[1]
        instrument = self.instruments[code]
        specs = []
        for contract in sorted({*map(int, self._tape.contracts(code)), *by_contract}):
            expiry = date(contract // 10000, month_number(contract) % 12 + 1, contract % 100 or 1)
            if instrument.roll_rule is not None:
                expiry = instrument.roll_rule.approximate_expiry(contract)
            if contract in by_contract:
                expiry = max(expiry, datetime.fromtimestamp(int(by_contract[contract].end[-1]) / 1e6, UTC).date())
            step = tick_size(instrument, float(by_contract[contract].final[-1]) if contract in by_contract else 1.0)
            specs.append(ContractSpec(code, contract, expiry, instrument.currency, instrument.point_size, step))
        return {spec.contract: spec for spec in sorted(specs, key=lambda spec: (spec.expiry, spec.contract))}


def _as_bars(frame: pd.DataFrame) -> _Bars:
    end = pd.DatetimeIndex(frame["end"]).as_unit("us").asi8
    hourly = (frame["frequency"] == "H").to_numpy(bool)
    traded = hourly & (frame["start"] < frame["end"]).to_numpy(bool)
    return _Bars(frame, np.asarray(end), frame["FINAL"].to_numpy(float), hourly, traded)


def _in_micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
