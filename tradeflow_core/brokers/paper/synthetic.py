"""The simulated market: futures chains, bars, quotes and exchange rates that follow from a seed.

Term structure. The price of the contract that expires at T, during trade date d, is

    F(t, T) = exp( x(t) + season(T) - c(d) (T - d) / 365 ),   rounded to the tick

with x the log level of the underlying and c the roll yield (`synthetic_paths`). **A positive c is backwardation**: near
contracts cost more, and a holder earns about c a year; a negative c is contango. The season, for crops and energy, belongs
to the delivery month and never changes, so the spread between two months has a yearly shape but holding one contract does not.

Volume. The market's volume sits in the held contract, and moves to the next one around its desired roll date: of two
neighbours, the share of the first falls along a logistic curve in days, centred a little before that date. Other listed
months trade thinly, but every bar has at least one contract.

Bars. Hourly bars are clock hours (UTC) cut to the session; the daily bar of a trade date runs from its first open to its
last close and is the sum of its hourly bars. Exchange rates close at 17:00 in New York.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
import pandas as pd

from tradeflow_core.brokers.base import ContractSpec, NoData, NoQuote, Quote, UnknownContract
from tradeflow_core.brokers.paper.market import (
    bar_frame,
    check_frequency,
    micros,
    quote_around,
    round_to,
    tick_size,
    unit_hash,
    utc_index,
)
from tradeflow_core.brokers.paper.synthetic_hours import HoursOfYear, hours_of_year, weekdays_of
from tradeflow_core.brokers.paper.synthetic_paths import DailyPath, IntradayPath, PathModel, Paths
from tradeflow_core.errors import ConfigError
from tradeflow_core.home import as_utc
from tradeflow_core.instruments import Instrument, RollRule, Sessions, SimulatedFx, SimulatedMarket
from tradeflow_core.model import contract_letter, month_number

HELD_LISTED = 6
"""How many contracts of the hold cycle are listed beyond the one that is held."""

SEASONAL_FACTORS = ("Ags", "Energy")
SEASON_SIZE = 0.15
QUOTED_PART = 0.004
"""Part of an hour's volume that is quoted at the best bid or ask."""

FX_FACTOR, FX_LOADING = "Dollar", 0.7
_DAY = timedelta(days=1)


class SyntheticMarket:
    """A `Market` that follows from `seed`, the parameters of each instrument and `first_day`, when its history begins.

    `instruments` by code; `sessions` their hours; `parameters` by instrument and `fx` by currency, from the packaged tables.
    An instrument without parameters or roll rule raises ConfigError when it is first used, not before.
    """

    closes_at_last_price = False

    def __init__(
        self,
        seed: int,
        instruments: Mapping[str, Instrument],
        sessions: Sessions,
        *,
        parameters: Mapping[str, SimulatedMarket],
        fx: Mapping[str, SimulatedFx],
        first_day: date,
    ) -> None:
        self.instruments = dict(instruments)
        self._sessions, self._parameters, self._fx, self._first_day = sessions, dict(parameters), dict(fx), first_day
        self._paths = Paths(seed, first_day.year)
        self._seed = seed
        self._hours_by_session: dict[tuple[str, int], HoursOfYear] = {}
        # A block of hours takes half a megabyte: this cache is bounded, and the small daily bars made from it are all kept.
        self._intraday = lru_cache(maxsize=160)(self._draw_intraday)
        self._daily_bars = lru_cache(maxsize=None)(self._draw_daily_bars)
        self._spec = lru_cache(maxsize=None)(self._make_spec)
        self._curve = lru_cache(maxsize=None)(self._make_curve)

    def contract(self, instrument: str, contract: int, now: datetime) -> ContractSpec:
        """Facts of one contract, expired ones too; raises UnknownContract where it is not listed at `now`."""
        spec = self._spec(instrument, contract)
        if self._first_trade_date(instrument, spec) > as_utc(now).date():
            raise UnknownContract(f"{instrument}: contract {contract} is not listed yet on {now:%Y-%m-%d}")
        return spec

    def contracts(self, instrument: str, now: datetime, since: date | None = None) -> list[ContractSpec]:
        """Contracts listed at `now` in order of expiry; those that expired on or after `since` too, if given."""
        today = as_utc(now).date()
        earliest = max(min(since or today, today), self._first_day)
        rule = self._rule(instrument)
        offset = timedelta(days=rule.expiry_offset)
        first = _month_id(earliest - offset - 62 * _DAY)
        specs: list[ContractSpec] = []
        for contract in _cycle(rule.priced, first):
            if rule.approximate_expiry(contract) < earliest - 10 * _DAY:
                continue
            spec = self._spec_or_none(instrument, contract)
            if spec is None or spec.expiry < earliest:
                continue
            if self._first_trade_date(instrument, spec) > today:
                return specs
            specs.append(spec)
        return specs

    def bars(
        self, instrument: str, contract: int, frequency: str, *, start: datetime, end: datetime, now: datetime
    ) -> pd.DataFrame:
        """Bars that end in (start, min(end, now)], sorted by end; raises UnknownContract, NoData where it has not traded yet."""
        check_frequency(instrument, frequency)
        spec = self.contract(instrument, contract, now)
        start, limit = as_utc(start), min(as_utc(end), as_utc(now))
        after, until = micros(start), micros(limit)
        listed = self._first_trade_date(instrument, spec)
        # A trade date ends at most one day after its date, so these dates cover every bar of the window.
        first, last = max(listed, start.date() - 2 * _DAY), min(spec.expiry, limit.date() + _DAY)
        parts: list[tuple[np.ndarray, ...]] = []
        for year in range(first.year, last.year + 1):
            hours = self._hours(instrument, year)
            rows = slice(*np.searchsorted(hours.days, [np.datetime64(first), np.datetime64(last) + 1]))
            if frequency == "D":
                rows = slice(rows.start + int(np.searchsorted(hours.close[rows], after, "right")), rows.stop)
                rows = slice(rows.start, rows.start + int(np.searchsorted(hours.close[rows], until, "right")))
                part = self._day_columns(instrument, spec, year, rows=rows)
            else:
                part = self._hour_columns(instrument, spec, year, rows=rows)
                in_window = (part[1] > part[0]) & (part[1] > after) & (part[1] <= until)
                part = tuple(column[in_window] for column in part)
            if len(part[0]):
                parts.append(part)
        if not parts:
            self._require_first_bar(instrument, spec, listed, now=micros(as_utc(now)))
            no_bars = np.empty(0, np.int64)
            return bar_frame(contract, frequency, no_bars, end=no_bars, prices=(no_bars.astype(float),) * 4, volume=no_bars)
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return bar_frame(contract, frequency, columns[0], end=columns[1], prices=tuple(columns[2:6]), volume=columns[6])

    def fx_rates(self, currency: str, start: datetime, end: datetime, *, now: datetime) -> pd.Series:
        """Daily closes, US dollars for one unit, by instant in (start, min(end, now)]; raises NoData for an unknown currency."""
        until = min(as_utc(end), as_utc(now))
        first = max(as_utc(start).date(), self._first_day)
        years = [self._fx_year(currency, year) for year in range(first.year, max(until.year, first.year) + 1)]
        series = pd.concat(years)
        begin = pd.Timestamp(datetime.combine(self._first_day, datetime.min.time(), UTC))
        return series[(series.index > max(pd.Timestamp(as_utc(start)), begin)) & (series.index <= until)]

    def fx_rate(self, currency: str, now: datetime) -> float:
        """US dollars for one unit of `currency`, the last close at `now`; 1.0 for USD; raises NoData."""
        if currency == "USD":
            return 1.0
        rates = self.fx_rates(currency, as_utc(now) - timedelta(days=10), now, now=now)
        if rates.empty:
            raise NoData(f"{currency}: the simulated market has no rate before {now}; its history begins on {self._first_day}")
        return float(rates.iloc[-1])

    def is_open(self, instrument: str, now: datetime) -> bool:
        """Whether the session of the instrument is open at `now`."""
        return self._sessions.is_open(instrument, as_utc(now))

    def quote(self, instrument: str, contract: int, now: datetime) -> Quote:
        """Bid and ask around the path at `now`; raises NoQuote where the market is closed or the contract does not trade."""
        now = as_utc(now)
        spec = self.contract(instrument, contract, now)
        year, row = self._trade_date(instrument, now)
        hours = self._hours(instrument, year)
        if hours.days[row] > np.datetime64(spec.expiry):
            raise NoQuote(f"{instrument}: contract {contract} expired on {spec.expiry}")
        bar, price = self._price(instrument, spec, year, row=row, at=micros(now))
        if not hours.start[row, bar] <= micros(now) < hours.end[row, bar]:
            raise NoQuote(f"{instrument}: the market is closed at {now}")
        if hours.days[row] < np.datetime64(self._first_trade_date(instrument, spec)):
            raise NoQuote(f"{instrument}: contract {contract} does not trade yet")
        rows = slice(row, row + 1)
        volume = self._hour_volumes(instrument, spec, year, rows=rows)[0, bar]
        depth = (0.5 + unit_hash(self._seed, instrument, contract, hours.start[row, bar], side) for side in ("bid", "ask"))
        sizes = [max(1, int(QUOTED_PART * volume * part)) for part in depth]
        return quote_around(self.instruments[instrument], contract, now, price=price, sizes=(sizes[0], sizes[1]), on_ticks=True)

    def mark(self, instrument: str, contract: int, now: datetime) -> float:
        """The last price at `now`, to the tick; the last close of a contract that has expired."""
        spec = self.contract(instrument, contract, now)
        year, row = self._trade_date(instrument, as_utc(now))
        at = micros(as_utc(now))
        if self._hours(instrument, year).days[row] > np.datetime64(spec.expiry):
            year = spec.expiry.year
            hours = self._hours(instrument, year)
            row = int(np.searchsorted(hours.days, np.datetime64(spec.expiry), "right")) - 1
            at = int(hours.close[row])
        return round_to(self._step(instrument), self._price(instrument, spec, year, row=row, at=at)[1])

    def _trade_date(self, instrument: str, now: datetime) -> tuple[int, int]:
        """Year and row of the last trade date that has opened by `now`."""
        for year in ((now + _DAY).year, (now + _DAY).year - 1):
            if year >= self._first_day.year:
                row = int(np.searchsorted(self._hours(instrument, year).open, micros(now), "right")) - 1
                if row >= 0:
                    return year, row
        raise NoData(f"{instrument}: the simulated market has no price before {now}; its history begins on {self._first_day}")

    def _price(self, instrument: str, spec: ContractSpec, year: int, *, row: int, at: int) -> tuple[int, float]:
        """The bar of a trade date that is forming, or was the last, at `at` (microseconds since 1970); and the price then."""
        hours = self._hours(instrument, year)
        bar = int(np.searchsorted(hours.start[row, : hours.count[row]], at, "right")) - 1
        begin, end = hours.start[row, bar], hours.end[row, bar]
        nodes = self._intraday(instrument, year).nodes[row]
        level = nodes[bar] + (nodes[bar + 1] - nodes[bar]) * min(1.0, (at - begin) / (end - begin))
        return bar, float(np.exp(level + self._shift(instrument, spec, year, rows=slice(row, row + 1))[0]))

    def _day_columns(self, instrument: str, spec: ContractSpec, year: int, *, rows: slice) -> tuple[np.ndarray, ...]:
        hours, levels = self._hours(instrument, year), self._daily_bars(instrument, year)[:, rows]
        prices = self._rounded(instrument, levels + self._shift(instrument, spec, year, rows=rows))
        return hours.open[rows], hours.close[rows], *prices, self._day_volumes(instrument, spec, year, rows=rows)

    def _hour_columns(self, instrument: str, spec: ContractSpec, year: int, *, rows: slice) -> tuple[np.ndarray, ...]:
        hours, path = self._hours(instrument, year), self._intraday(instrument, year)
        shift = self._shift(instrument, spec, year, rows=rows)[:, None]
        levels = (path.nodes[rows, :-1], path.high[rows], path.low[rows], path.nodes[rows, 1:])
        prices = [self._rounded(instrument, level + shift).ravel() for level in levels]
        volume = self._hour_volumes(instrument, spec, year, rows=rows).ravel()
        return hours.start[rows].ravel(), hours.end[rows].ravel(), *prices, volume

    def _rounded(self, instrument: str, levels: np.ndarray) -> np.ndarray:
        step = self._step(instrument)
        return np.round(np.round(np.exp(levels) / step) * step, 10)

    def _step(self, instrument: str) -> float:
        return tick_size(self.instruments[instrument], self._parameters[instrument].price)

    def _shift(self, instrument: str, spec: ContractSpec, year: int, *, rows: slice) -> np.ndarray:
        """(rows,) log price of the contract less that of the path."""
        hours = self._hours(instrument, year)
        carry = self._paths.daily(instrument, self._model(instrument), year).carry[hours.weekday[rows]]
        years = (np.datetime64(spec.expiry) - hours.days[rows]).astype(float) / 365
        return self._season(instrument, spec.contract) - carry * years

    def _season(self, instrument: str, contract: int) -> float:
        parameters = self._parameters[instrument]
        if parameters.factor not in SEASONAL_FACTORS:
            return 0.0
        peak = zlib.crc32(instrument.encode()) % 12
        return float(SEASON_SIZE * parameters.annual_vol * np.cos(2 * np.pi * (month_number(contract) % 12 - peak) / 12))

    def _day_volumes(self, instrument: str, spec: ContractSpec, year: int, *, rows: slice) -> np.ndarray:
        hours = self._hours(instrument, year)
        activity = self._paths.daily(instrument, self._model(instrument), year).activity[hours.weekday[rows]]
        volume = self._parameters[instrument].daily_volume * activity * self._share(instrument, spec, hours.days[rows])
        return np.round(volume) + hours.count[rows]

    def _hour_volumes(self, instrument: str, spec: ContractSpec, year: int, *, rows: slice) -> np.ndarray:
        hours = self._hours(instrument, year)
        used = hours.end[rows] > hours.start[rows]
        divided = self._day_volumes(instrument, spec, year, rows=rows) - hours.count[rows]
        traded = np.round(self._intraday(instrument, year).volume[rows] * divided[:, None])
        return np.diff(traded, axis=1, prepend=0.0) + used

    def _share(self, instrument: str, spec: ContractSpec, days: np.ndarray) -> np.ndarray:
        """(days,) the contract's part of the market's volume."""
        rule = self._rule(instrument)
        thin = 0.003 * np.exp((days - np.datetime64(spec.expiry)).astype(float) / 365)
        if contract_letter(spec.contract) not in rule.hold:
            return thin
        width = float(np.clip(365 / len(rule.hold) / 20, 1.5, 4.0))
        still_here = _logistic((self._volume_moves(instrument, spec.contract) - days).astype(float) / width)
        still_in_previous = _logistic(
            (self._volume_moves(instrument, rule.previous_held(spec.contract)) - days).astype(float) / width
        )
        return 0.985 * (still_here - still_in_previous) + thin

    def _volume_moves(self, instrument: str, contract: int) -> np.datetime64:
        """The day on which half of the volume has moved on to the next contract."""
        rule = self._rule(instrument)
        return np.datetime64(rule.desired_roll_date(contract) - 2 * _DAY)

    def _model(self, instrument: str) -> PathModel:
        return self._curve(instrument)[0]

    def _rule(self, instrument: str) -> RollRule:
        return self._curve(instrument)[1]

    def _make_curve(self, code: str) -> tuple[PathModel, RollRule]:
        instrument, parameters = self.instruments.get(code), self._parameters.get(code)
        if instrument is None:
            raise ConfigError(f"{code} is not an instrument of the simulated market")
        if parameters is None:
            raise ConfigError(
                f"{code}: no parameters of a simulated market; add a line to simulated_market.csv of the config folder"
            )
        if instrument.roll_rule is None:
            raise ConfigError(f"{code}: has no roll rule; add a line to rolls.csv of the config folder")
        model = PathModel(parameters.price, parameters.annual_vol, parameters.carry, parameters.factor, parameters.loading)
        return model, instrument.roll_rule

    def _make_spec(self, code: str, contract: int) -> ContractSpec:
        rule, instrument = self._rule(code), self.instruments[code]
        if contract % 100 or contract_letter(contract) not in rule.priced:
            raise UnknownContract(f"{code}: there is no contract {contract}; the months {rule.priced} are listed")
        expiry = rule.approximate_expiry(contract)
        while expiry >= self._first_day and not self._sessions.is_business_day(code, expiry):
            expiry -= _DAY
        if expiry < self._first_day:
            raise UnknownContract(f"{code}: contract {contract} expired before the history begins, on {self._first_day}")
        return ContractSpec(code, contract, expiry, instrument.currency, instrument.point_size, self._step(code))

    def _spec_or_none(self, instrument: str, contract: int) -> ContractSpec | None:
        try:
            return self._spec(instrument, contract)
        except UnknownContract:
            return None

    def _first_trade_date(self, instrument: str, spec: ContractSpec) -> date:
        """First trade date: early enough for `HELD_LISTED` contracts beyond the held one, where that is at most three years."""
        rule = self._rule(instrument)
        ahead = max(400, min(HELD_LISTED * 365 // len(set(rule.hold)), 1100)) + max(0, -rule.roll_offset)
        return max(spec.expiry - timedelta(days=ahead), self._first_day)

    def _require_first_bar(self, instrument: str, spec: ContractSpec, listed: date, *, now: int) -> None:
        hours = self._hours(instrument, listed.year)
        row = int(np.searchsorted(hours.days, np.datetime64(listed)))
        if row < len(hours.days) and hours.end[row, 0] > now:
            raise NoData(f"{instrument}: contract {spec.contract} has not traded yet; its first trading date is {listed}")

    def _hours(self, instrument: str, year: int) -> HoursOfYear:
        key = (self._sessions.session_of(instrument).name, year)
        if key not in self._hours_by_session:
            self._hours_by_session[key] = hours_of_year(self._sessions, instrument, year)
        return self._hours_by_session[key]

    def _draw_intraday(self, instrument: str, year: int) -> IntradayPath:
        return self._paths.intraday(instrument, self._model(instrument), year, hours=self._hours(instrument, year))

    def _draw_daily_bars(self, instrument: str, year: int) -> np.ndarray:
        """(4, rows) open, high, low, final of the path."""
        path = self._intraday(instrument, year)
        return np.stack([path.nodes[:, 0], path.high.max(axis=1), path.low.min(axis=1), path.nodes[:, -1]])

    def _fx_year(self, currency: str, year: int) -> pd.Series:
        path = self._fx_path(currency, year)
        stamps = pd.DatetimeIndex(weekdays_of(year)) + pd.Timedelta(hours=17)
        index = utc_index(stamps.tz_localize("America/New_York").tz_convert("UTC").as_unit("us").asi8)
        return pd.Series(np.exp(path.close) if path else 1.0, index=index, name=f"{currency}USD").round(8)

    def _fx_path(self, currency: str, year: int) -> DailyPath | None:
        if currency == "USD":
            return None
        if currency not in self._fx:
            raise NoData(f"{currency}: the simulated market has no rate; add a line to simulated_fx.csv of the config folder")
        parameters = self._fx[currency]
        return self._paths.daily(
            f"fx:{currency}", PathModel(parameters.rate, parameters.annual_vol, 0.0, FX_FACTOR, FX_LOADING), year
        )


def _logistic(days: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(days / 2)))


def _month_id(day: date) -> int:
    return day.year * 10000 + day.month * 100


def _cycle(letters: str, first: int) -> Iterator[int]:
    """Month ids of the cycle from `first` on, without end."""
    month = month_number(first)
    while True:
        contract = month // 12 * 10000 + (month % 12 + 1) * 100
        if contract_letter(contract) in letters:
            yield contract
        month += 1
