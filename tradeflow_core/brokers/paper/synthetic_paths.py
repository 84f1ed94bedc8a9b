"""The random paths of the simulated market.

The model of the underlying of a market, on a grid of Mondays to Fridays (d), with 256 steps to the year:

    x(d) = (1 - pull/256) x(d-1) + s(d) [ m(d)/16 + L f(d) + sqrt(1 - L^2) e(d) ]    log level less its long-run line
    s(d) = vol/16 exp(h(d) - sd^2)               daily volatility, h an autoregression of standard deviation 0.18
    m(d)                                         drift as an annual Sharpe ratio, an autoregression of half-life 90 days
    f(d) = w g(d) + sqrt(1 - w^2) k(d)           the factor of the asset class; g is common to all of them
    c(d) = carry + an autoregression             annual roll yield of a long position

e, g, k are independent standard normals; the last two terms in the bracket together are cut at 3. Trend rules earn from the
slow drift m; the pull keeps levels plausible over decades. The long-run line gives back 70% of a moderate carry, so
that holding a market in contango does not lose all of it.

Inside a day the path is a Brownian bridge from close to close, with the exact law of the highest and lowest point of each
hour. The move from close to open takes 35% of the variance, times the part of 24 hours in which the market is closed.

Every block of numbers is drawn by a counter-based generator keyed by (seed, name, year, purpose), so a market's path depends
neither on the time window of a call nor on the other markets.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from scipy.signal import lfilter

from tradeflow_core.brokers.paper.synthetic_hours import DAY_MICROS, MAX_BARS, HoursOfYear, weekdays_of

STEPS_A_YEAR = 256
MAX_SHOCK = 3.0
DRIFT_SHARPE, DRIFT_HALF_LIFE = 0.65, 90.0
VOL_DEVIATION, VOL_HALF_LIFE = 0.18, 30.0
CARRY_DEVIATION, CARRY_HALF_LIFE = 0.1, 85.0
ACTIVITY_DEVIATION, ACTIVITY_HALF_LIFE = 0.2, 5.0
OVERNIGHT = 0.35
GLOBAL_WEIGHT = {
    "Equity": 0.6,
    "Rates": -0.3,
    "Dollar": 0.35,
    "Metals": 0.35,
    "Energy": 0.35,
    "Ags": 0.2,
    "Vol": -0.75,
    "Crypto": 0.35,
}
_DAILY, _INTRADAY, _START = 0, 1, 2


@dataclass(frozen=True, slots=True)
class PathModel:
    """Parameters of one path: `level` on the first day; `annual_vol`, `carry` as fractions a year; `loading` on its `factor`."""

    level: float
    annual_vol: float
    carry: float
    factor: str
    loading: float


@dataclass(frozen=True, slots=True)
class DailyPath:
    """One year on its grid of weekdays: `before` and `close` log levels, `sigma` of the day, `carry`, `activity` (a multiplier of
    volume); `end` the state that the next year begins with."""

    before: np.ndarray
    close: np.ndarray
    sigma: np.ndarray
    carry: np.ndarray
    activity: np.ndarray
    end: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class IntradayPath:
    """One year by trade date: log level at the `nodes` between bars (rows, bars + 1), `high` and `low` of the bars (rows, bars),
    `volume` (rows, bars) the part of the day's volume traded by the end of each bar."""

    nodes: np.ndarray
    high: np.ndarray
    low: np.ndarray
    volume: np.ndarray


class Paths:
    """All paths of one seed that begin on 1 January of `first_year`."""

    def __init__(self, seed: int, first_year: int) -> None:
        self._seed, self._first_year = seed, first_year
        self._daily: dict[tuple[str, int], DailyPath] = {}
        self._factor_shocks = lru_cache(maxsize=None)(self._draw_factor)

    def daily(self, name: str, model: PathModel, year: int) -> DailyPath:
        """The path of `name` (an instrument, or `fx:` and a currency) in `year`, which is not before the first year."""
        for drawn_year in range(self._first_year, year + 1):
            if (name, drawn_year) not in self._daily:
                self._daily[name, drawn_year] = self._draw_year(name, model, drawn_year)
        return self._daily[name, year]

    def intraday(self, name: str, model: PathModel, year: int, *, hours: HoursOfYear) -> IntradayPath:
        """The hours of the trade dates of `year`; the last node of a date is its daily close."""
        daily, weekday = self.daily(name, model, year), hours.weekday
        bars = hours.start.shape[1]
        random = self._generator(name, year, _INTRADAY)
        shape = (len(daily.close), MAX_BARS)
        shocks = _cut(random.standard_normal((len(daily.close), MAX_BARS + 1)))[weekday, : bars + 1]
        up, down, activity = (random.random(shape)[weekday, :bars] for _ in range(3))
        sigma = daily.sigma[weekday][:, None]
        overnight = OVERNIGHT * (1 - (hours.end - hours.start).sum(axis=1, keepdims=True) / DAY_MICROS)
        elapsed = overnight + (1 - overnight) * hours.fraction
        step = np.diff(elapsed, axis=1, prepend=0.0)
        walk = np.cumsum(np.sqrt(step) * shocks, axis=1)
        bridge = sigma * (walk - elapsed * walk[:, -1:])
        nodes = daily.before[weekday][:, None] + (daily.close - daily.before)[weekday][:, None] * elapsed + bridge
        first, last = nodes[:, :-1], nodes[:, 1:]
        variance = sigma**2 * step[:, 1:]
        high = (first + last + np.sqrt((last - first) ** 2 - 2 * variance * np.log1p(-up))) / 2
        low = (first + last - np.sqrt((last - first) ** 2 - 2 * variance * np.log1p(-down))) / 2
        middle = (hours.fraction[:, 1:] + hours.fraction[:, :-1]) / 2
        weight = np.diff(hours.fraction, axis=1) * (0.6 + 1.6 * (2 * middle - 1) ** 2) * (0.7 + 0.6 * activity)
        volume = np.cumsum(weight, axis=1)
        return IntradayPath(nodes, high, low, volume / volume[:, -1:])

    def _draw_year(self, name: str, model: PathModel, year: int) -> DailyPath:
        if year == self._first_year:
            start = self._generator(name, year, _START).standard_normal(4)
            drift, vol, premium, activity = start * (DRIFT_SHARPE, VOL_DEVIATION, CARRY_DEVIATION, ACTIVITY_DEVIATION)
            level = 0.0
        else:
            level, drift, vol, premium, activity = self._daily[name, year - 1].end
        days = weekdays_of(year)
        shocks = self._generator(name, year, _DAILY).standard_normal((5, len(days)))
        drifts = _autoregression(drift, shocks[1], DRIFT_SHARPE, half_life=DRIFT_HALF_LIFE)
        vols = _autoregression(vol, shocks[2], VOL_DEVIATION, half_life=VOL_HALF_LIFE)
        premiums = _autoregression(premium, shocks[3], CARRY_DEVIATION, half_life=CARRY_HALF_LIFE)
        activities = _autoregression(activity, shocks[4], ACTIVITY_DEVIATION, half_life=ACTIVITY_HALF_LIFE)
        sigma = model.annual_vol / np.sqrt(STEPS_A_YEAR) * np.exp(vols - VOL_DEVIATION**2)
        mixed = model.loading * self._factor_shocks(model.factor, year) + np.sqrt(1 - model.loading**2) * shocks[0]
        moves = sigma * (drifts / np.sqrt(STEPS_A_YEAR) + _cut(mixed))
        persistence = 1 - max(0.15, model.annual_vol**2) / STEPS_A_YEAR
        levels, _ = lfilter([1.0], [1.0, -persistence], moves, zi=[persistence * level])
        elapsed = (days - np.datetime64(date(self._first_year, 1, 1))).astype(float) / 365.25
        long_run = np.log(model.level) + self._growth(model) * elapsed
        # Both ends of a day take that day's value of the long-run line, so the line does not move within a day.
        before = np.concatenate([[level], levels[:-1]]) + long_run
        end = (float(levels[-1]), float(drifts[-1]), float(vols[-1]), float(premiums[-1]), float(activities[-1]))
        carry = model.carry + model.annual_vol * premiums
        return DailyPath(before, levels + long_run, sigma, carry, np.exp(activities), end)

    @staticmethod
    def _growth(model: PathModel) -> float:
        return float(np.clip(-0.7 * model.carry, -0.03, 0.03)) if abs(model.carry) < 0.15 else 0.0

    def _draw_factor(self, factor: str, year: int) -> np.ndarray:
        days = len(weekdays_of(year))
        weight = GLOBAL_WEIGHT.get(factor, 0.25)
        common = self._generator("factor:global", year, _DAILY).standard_normal(days)
        specific = self._generator(f"factor:{factor}", year, _DAILY).standard_normal(days)
        return np.asarray(weight * common + np.sqrt(1 - weight**2) * specific)

    def _generator(self, name: str, year: int, purpose: int) -> np.random.Generator:
        key = np.random.SeedSequence([self._seed, zlib.crc32(name.encode()), year, purpose])
        return np.random.Generator(np.random.Philox(key))


def _cut(shocks: np.ndarray) -> np.ndarray:
    """Shocks cut at `MAX_SHOCK`: the check for price spikes would take larger moves for errors of the data."""
    return np.clip(shocks, -MAX_SHOCK, MAX_SHOCK)


def _autoregression(before: float, shocks: np.ndarray, deviation: float, *, half_life: float) -> np.ndarray:
    """A first-order autoregression from the value `before` on, of that stationary standard deviation; half-life in steps."""
    persistence = 0.5 ** (1 / half_life)
    values, _ = lfilter([deviation * np.sqrt(1 - persistence**2)], [1.0, -persistence], shocks, zi=[persistence * before])
    return np.asarray(values)
