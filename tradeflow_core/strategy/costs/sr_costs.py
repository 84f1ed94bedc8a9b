"""Costs in Sharpe-ratio units (Carver, Systematic Trading, chapter 12): a constant drain in proportion to risk."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.instruments import Instrument
from tradeflow_core.strategy.common.panel import Floats, Ints, Panel, nanoseconds
from tradeflow_core.strategy.common.volatility import changes_over_gaps
from tradeflow_core.strategy.common.years import BUSINESS_DAYS_PER_YEAR, CALENDAR_DAYS_PER_YEAR, ROOT_BUSINESS_DAYS_PER_YEAR
from tradeflow_core.strategy.costs.cash_costs import fill_costs

SECONDS_PER_YEAR = CALENDAR_DAYS_PER_YEAR * 86_400


def turnover(positions: Panel, average_position: Panel) -> pd.Series:
    """Average positions traded a year, by instrument. The average position is smoothed over about a year and a half."""
    return BUSINESS_DAYS_PER_YEAR * _relative(positions, average_position).diff().abs().mean()


def turnover_before(positions: Panel, average_position: Panel, rows: list[int], *, counted: NDArray[np.bool_]) -> Floats:
    """The same from the rows before each of `rows` of the calendar (ascending), of the days that are `counted` (business days,
    instruments): (rows, instruments)."""
    trades = changes_over_gaps(_relative(positions, average_position).where(counted)).abs().to_numpy()
    ends = np.asarray(rows, dtype=np.int64)
    known = ~np.isnan(trades)
    total, count = sums_before(np.where(known, trades, 0.0), ends), sums_before(known.astype(float), ends)
    with np.errstate(invalid="ignore"):
        return np.asarray(BUSINESS_DAYS_PER_YEAR * total / count, dtype=float)


def _relative(positions: Panel, average_position: Panel) -> pd.DataFrame:
    """Positions in average positions."""
    average = average_position.asof(average_position.span | positions.span)
    smooth = average.map(lambda values: values.ewm(com=250, min_periods=2).mean()).ffill()
    return positions.values / smooth.asof(positions.span).values


def sums_before(values: Floats, ends: Ints) -> Floats:
    """Sums of the rows before each of `ends` (ascending), by column."""
    result = np.empty((len(ends), values.shape[1]))
    total, start = np.zeros(values.shape[1]), 0
    for place, end in enumerate(ends):
        total = total + values[start:end].sum(axis=0)
        result[place], start = total, end
    return result


def costs_per_trade(price: Panel, vol: Panel, instruments: list[Instrument], *, before: int | None = None) -> Floats:
    """Cost of one contract of each instrument in units of annual risk, at the average price and volatility of its last year.

    Infinite where the price did not move, missing without price or volatility.

    `before`: a row of the calendar; only figures of earlier rows are known, and the year ends with the last price among them.
    """
    result = np.full(len(instruments), np.nan)
    for place, instrument in enumerate(instruments):
        last = int(price.span.last[place]) if before is None else _last_known(price.array[:before, place])
        if last < int(price.span.first[place]):
            continue
        since = price.index.searchsorted(price.index[last] - pd.DateOffset(years=1))
        rows = slice(since, None if before is None else last + 1)
        average, risk = (_mean(panel.array[rows, place]) for panel in (price, vol))
        cost = fill_costs(np.array([1.0]), np.array([average]), instrument)[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            result[place] = np.divide(cost, ROOT_BUSINESS_DAYS_PER_YEAR * risk * instrument.point_size)
    return result


def _last_known(values: Floats) -> int:
    rows = np.flatnonzero(~np.isnan(values))
    return int(rows[-1]) if len(rows) else -1


def rolls_per_year(instruments: list[Instrument]) -> Floats:
    """How often each instrument is rolled."""
    return np.array([len(instrument.roll_rule.hold) if instrument.roll_rule else 0 for instrument in instruments], dtype=float)


def daily_costs(per_year: Floats, average_position: Panel, vol: Panel, *, held: Panel) -> Floats:
    """Costs of all instruments on all days, in price points, negative; `per_year` in Sharpe-ratio units, by instrument.

    They accrue with calendar time, from the first position on.
    """
    points = vol.like(-per_year * average_position.asof(vol.span).array * vol.array * ROOT_BUSINESS_DAYS_PER_YEAR)
    drain = points.asof(held.span).values.bfill().to_numpy()
    stamps = nanoseconds(held.index)
    years = np.diff(stamps, prepend=stamps[0]) / 1e9 / SECONDS_PER_YEAR
    costs = np.where(np.isnan(held.ffill().array), np.nan, drain * years[:, None])
    started = np.flatnonzero(~held.span.empty)
    costs[held.span.first[started], started] = np.nan
    return np.asarray(held.like(costs).array, dtype=float)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan
