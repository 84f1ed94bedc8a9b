"""Spot FX of the desk: one append-only series for each currency, US dollars for one unit of it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.prices.bars import find_spike
from tradeflow_core.prices.fx import cross_rate

DATASET = "spot_fx"


def update_spot_fx(desk: Desk, currency: str) -> pd.Series:
    """Fetch new daily rates of `currency` against the dollar and append them; returns the whole series (index UTC instants).

    Raises DataError, with nothing stored, for a rate that is not a positive number or a change that looks like a spike.
    """
    code, now = f"{currency}USD", desk.now()
    old = desk.store.read(DATASET, code)["rate"] if desk.store.exists(DATASET, code) else None
    since = now - timedelta(days=366 * 5) if old is None else old.index[-1].to_pydatetime()
    fetched = desk.broker.fx_rates(currency, since, now).astype("float64").sort_index()
    if bad := list(fetched.index[~(np.isfinite(fetched) & (fetched > 0))]):
        raise DataError(f"{code}: the rate of {bad[0]:%Y-%m-%d %H:%M} UTC is not a positive number; nothing was stored")
    new = fetched if old is None else fetched[fetched.index > old.index[-1]]
    if old is not None and not len(new):
        return old
    rates = (new if old is None else pd.concat([old, new])).rename("rate")
    rates.index = pd.DatetimeIndex(rates.index, name="time").as_unit("us")
    spike = find_spike(rates, None if old is None else new.index[0], desk.settings.prices.max_price_spike)
    if spike is not None:
        raise DataError(
            f"{code}: the rate moves {spike.units:.1f} average days at {spike.date:%Y-%m-%d %H:%M} UTC; nothing was stored, check it at the broker"
        )
    desk.store.write(DATASET, code, rates.to_frame())
    return rates


def stored_fx(desk: Desk) -> dict[str, pd.Series]:
    """All stored rates by code (`EURUSD`), index UTC instants."""
    return {code: desk.store.read(DATASET, code)["rate"] for code in desk.store.names(DATASET)}


def latest_rate(fx: dict[str, pd.Series], currency: str, base: str) -> float:
    """The newest rate: units of `base` for one unit of `currency`. Raises DataError where there is none."""
    if currency == base:
        return 1.0
    rates = cross_rate(fx, currency + base).dropna()
    if rates.empty:
        raise DataError(f"no FX rate of {currency} in {base} is stored; materialize the asset spot_fx")
    return float(rates.iloc[-1])
