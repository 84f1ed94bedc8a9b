"""Costs in money: every trade pays spread and commission, every roll twice the commission and once the spread."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.instruments import Instrument
from tradeflow_core.strategy.common.panel import NANOSECONDS_PER_DAY, Floats, nanoseconds
from tradeflow_core.strategy.common.years import CALENDAR_DAYS_PER_YEAR

DEFLATOR_DAYS = 180


def cash_costs(
    *,
    days: pd.DatetimeIndex,
    held: Floats,
    price: Floats,
    charged: Floats,
    instrument: Instrument,
    roll_multiplier: float,
    deflated: bool,
) -> pd.Series:
    """Costs of holding `held` contracts on `days` at `price`: negative, instrument currency, by date of the fill.

    Commissions in percent are of the price `charged`. Rolls may fall on weekends.

    `deflated`: costs of the past are scaled by its volatility relative to today's, since today's spreads would not have
    been those of a calmer or wilder market.
    """
    if not len(days):
        return pd.Series(dtype=float, index=pd.DatetimeIndex([]))
    filled = pd.Series(price, index=days).ffill()
    rows, trades = _trades(held)
    traded = pd.Series(-fill_costs(trades, charged[rows], instrument), index=days[rows])
    at_rolls = pd.Series(charged, index=days).ffill()
    costs = pd.concat([traded, roll_costs(pd.Series(held, index=days), at_rolls, instrument, roll_multiplier=roll_multiplier)])
    return (costs * deflator_at(costs.index, filled) if deflated else costs).sort_index(kind="stable")


def paid_on(costs: pd.Series, days: pd.DatetimeIndex) -> pd.Series:
    """Costs moved to the first of `days` at or after their own date; those after the last day are not paid yet."""
    place = days.searchsorted(pd.DatetimeIndex(costs.index))
    paid = place < len(days)
    return pd.Series(costs.to_numpy()[paid], index=days[place[paid]], dtype=float)


def roll_costs(held: pd.Series, price: pd.Series, instrument: Instrument, *, roll_multiplier: float) -> pd.Series:
    """Costs of rolling what is `held`, at the last `price` (filled forward) before each roll: negative, by date of the roll."""
    dates, rolled = _rolls(pd.DatetimeIndex(held.index), held.to_numpy(dtype=float), _rolls_a_year(instrument))
    rolled = rolled * roll_multiplier
    before = np.searchsorted(nanoseconds(price.index), dates, side="left") - 1
    at = np.where(before >= 0, price.to_numpy(dtype=float)[np.maximum(before, 0)], np.nan)
    money = fill_costs(rolled, at, instrument) + fill_costs(rolled, at, instrument, spread=False)
    return pd.Series(-money, index=pd.DatetimeIndex(dates.astype("datetime64[ns]")))


def deflator(price: Floats) -> Floats:
    """Volatility of the 180 business days up to each day, relative to that of the last day with some; `price` filled forward.

    1 where the price never moved.
    """
    vol = pd.Series(price).diff().rolling(DEFLATOR_DAYS, min_periods=3).std().ffill().to_numpy(dtype=float)
    moving = vol[vol > 0]
    return vol / moving[-1] if len(moving) else np.where(np.isnan(vol), np.nan, 1.0)


def deflator_at(stamps: pd.Index, price: pd.Series) -> Floats:
    """The same at any stamps: that of the latest day of `price`; missing before its first one."""
    place = np.searchsorted(nanoseconds(price.index), nanoseconds(stamps), side="right") - 1
    return np.where(place >= 0, deflator(price.to_numpy(dtype=float))[np.maximum(place, 0)], np.nan)


def _rolls_a_year(instrument: Instrument) -> int:
    return len(instrument.roll_rule.hold) if instrument.roll_rule else 0


def fill_costs(quantity: Floats, price: Floats, instrument: Instrument, *, spread: bool = True) -> Floats:
    """Cost, positive, of fills of `quantity` contracts: half the spread, plus the largest of the three commissions."""
    costs, size = instrument.costs, np.abs(quantity)
    value = np.nan_to_num(costs.percentage * size * price * instrument.point_size)
    commission = np.maximum(np.maximum(size * costs.per_block, costs.per_trade), value)
    slippage = size * costs.spread_cost * instrument.point_size if spread else 0.0
    return np.asarray(commission + slippage, dtype=float)


def _trades(held: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Rows with a trade, and its size. The first position that is held counts as already there."""
    change = np.diff(held, prepend=np.nan)
    rows = np.flatnonzero(~np.isnan(change) & (change != 0.0))
    return rows.astype(np.int64), change[rows]


def _rolls(days: pd.DatetimeIndex, held: Floats, per_year: int) -> tuple[NDArray[np.int64], Floats]:
    """Dates of rolls, evenly spread over each year, and the average number of contracts held since the roll before."""
    nothing = np.array([], dtype=np.int64), np.array([], dtype=float)
    if not per_year or not len(days):
        return nothing
    years = np.arange(days[0].year, days[-1].year + 1)
    gap = int(CALENDAR_DAYS_PER_YEAR // per_year)
    starts = _first_of_january(years) + gap // 2
    dates = (starts[:, None] + gap * np.arange(per_year)).ravel()
    first_of_year = np.arange(len(dates)) % per_year == 0
    last_of_year_before = _first_of_january(years - 1) + gap // 2 + gap * (per_year - 1)
    previous = np.where(first_of_year, np.repeat(last_of_year_before, per_year), dates - gap)
    dates, previous, rows = dates * NANOSECONDS_PER_DAY, previous * NANOSECONDS_PER_DAY, nanoseconds(days)
    known = ~np.isnan(held)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, np.abs(held), 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    low, high = np.searchsorted(rows, previous, side="left"), np.searchsorted(rows, dates, side="right")
    counted = count[high] - count[low]
    quantity = np.where(counted > 0, (total[high] - total[low]) / np.maximum(counted, 1), 0.0)
    real = (dates <= rows[-1]) & (quantity > 0)
    return dates[real], quantity[real]


def _first_of_january(years: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970-01-01."""
    return (years - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
