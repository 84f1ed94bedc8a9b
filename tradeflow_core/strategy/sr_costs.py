"""Costs in Sharpe-ratio units (Carver, Systematic Trading, chapter 12): a constant drain in proportion to risk."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.instruments import Instrument
from tradeflow_core.strategy.cash_costs import fill_costs
from tradeflow_core.strategy.panel import Floats, Panel, nanoseconds

BUSINESS_DAYS = 256
ROOT_DAYS = 16.0
SECONDS_PER_YEAR = 365.25 * 86_400


def turnover(positions: Panel, average_position: Panel) -> pd.Series:
    """Average positions traded a year, by instrument. The average position is smoothed over about a year and a half."""
    average = average_position.asof(average_position.span | positions.span)
    smooth = average.map(lambda values: values.ewm(com=250, min_periods=2).mean()).ffill()
    relative = positions.values / smooth.asof(positions.span).values
    return BUSINESS_DAYS * relative.diff().abs().mean()


def cost_per_trade(price: pd.Series, vol: pd.Series, instrument: Instrument) -> float:
    """Cost of one contract in units of annual risk, at the average price and volatility of the last year of the series."""
    known = price.last_valid_index()
    if known is None:
        return 0.0
    since = pd.Timestamp(str(known)) - pd.DateOffset(years=1)
    average = float(price[price.index >= since].mean())
    risk = ROOT_DAYS * float(vol[vol.index >= since].mean()) * instrument.point_size
    return float(fill_costs(np.array([1.0]), np.array([average]), instrument)[0]) / risk


def daily_costs(per_year: float, average_position: Panel, vol: Panel, held: Panel, place: int) -> Floats:
    """Costs of instrument number `place` on all days, in price points, negative.

    They accrue with calendar time, from the first position on.
    """
    points = -per_year * average_position.asof(vol.span).array[:, place] * vol.array[:, place] * ROOT_DAYS
    drain = vol.like(np.tile(points[:, None], vol.array.shape[1])).asof(held.span).values.iloc[:, place].bfill()
    drain = drain.where(held.ffill().values.iloc[:, place].notna())
    stamps = nanoseconds(held.index)
    years = np.diff(stamps, prepend=stamps[0]) / 1e9 / SECONDS_PER_YEAR
    return drain.to_numpy(dtype=float) * years
