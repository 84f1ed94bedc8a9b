"""Spot FX of the desk: one append-only series for each currency, US dollars for one unit of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, StateError
from tradeflow_core.ledger import rate_marks_of
from tradeflow_core.parquet import DamagedFile
from tradeflow_core.plausibility import doubtful_rates
from tradeflow_core.prices.damage import lock_without_rates
from tradeflow_core.series import apply_rate_marks, cross_rate, suspected_spikes

DATASET = "spot_fx"
HISTORY = timedelta(days=366 * 5)
"""How far back the rates of a currency reach at least; further where prices do that need them."""

MARGIN = timedelta(days=7)
"""Rates that begin so much later than prices are not looked for again: the first days may be a holiday."""


def update_rates(desk: Desk) -> tuple[dict[str, pd.Series], dict[str, str]]:
    """Update the rate of every currency that the desk needs; returns the rates by FX code, and the reasons where a file is damaged.

    The instruments that need a damaged rate are locked until it is repaired. Raises DataError as `update_spot_fx`.
    """
    rates, damaged = dict[str, pd.Series](), dict[str, str]()
    for currency in desk.home.currencies:
        try:
            rates[f"{currency}USD"] = update_spot_fx(desk, currency)
        except DamagedFile as error:
            damaged[f"{currency}USD"] = str(error)
    lock_without_rates(desk, damaged)
    return rates, damaged


def update_spot_fx(desk: Desk, currency: str) -> pd.Series:
    """Fetch new daily rates of `currency` against the dollar and append them; returns all of them (index UTC instants), with corrections applied.

    Raises DataError, and stores nothing, for a rate that is not a positive number, or for suspected spikes and odd rates that nobody has accepted.
    """
    code = f"{currency}USD"
    old, new = fetch_rates(desk, currency)
    with desk.ledger.read() as view:
        marks = rate_marks_of(view, code)
    if old is not None and not len(new):
        return apply_rate_marks(old, marks)
    rates = (new if old is None else pd.concat([old, new]).sort_index()).rename("rate")
    corrected = apply_rate_marks(rates, marks)
    since = None if old is None else new.index[0]
    decided = np.asarray(corrected.index.isin(marks["time"]))
    spikes = suspected_spikes(corrected, desk.settings.prices.max_price_spike, since, decided=decided)
    if len(spikes):
        raise DataError(
            f"{code}: the rate moves {spikes.iloc[0]:.1f} average days at {spikes.index[0]:%Y-%m-%d %H:%M} UTC; nothing was stored: "
            f"check with `tradeflow prices check --fx {currency}`"
        )
    if odd := [finding for finding in doubtful_rates(currency, corrected, decided) if since is None or finding.last >= since]:
        raise DataError(f"{code}: {odd[0].detail} Nothing was stored: check with `tradeflow prices check --fx {currency}`")
    desk.store.write(DATASET, code, rates.to_frame())
    return corrected


def fetch_rates(desk: Desk, currency: str) -> tuple[pd.Series | None, pd.Series]:
    """The stored rates of a currency (None: there are none) and those of the broker that are missing among them, in order: later ones, and
    earlier ones as far as prices reach back that need them. Writes nothing.

    Raises DataError for a rate that is not a positive number.
    """
    code = f"{currency}USD"
    old = desk.store.read(DATASET, code)["rate"] if desk.store.exists(DATASET, code) else None
    since = _needed_since(desk, currency)
    if old is None:
        return None, rates_since(desk, currency, since)
    first, last = old.index[0], old.index[-1]
    later = rates_since(desk, currency, last.to_pydatetime())
    later = later[later.index > last]
    if first - since <= MARGIN:
        return old, later
    earlier = rates_since(desk, currency, since, until=first.to_pydatetime())
    return old, pd.concat([earlier[earlier.index < first], later])


def _needed_since(desk: Desk, currency: str) -> datetime:
    """When rates of a currency have to begin: with the first price of an instrument in it, and of any one if it is the base currency."""
    since = desk.now() - HISTORY
    for instrument in desk.universe:
        if currency in (desk.instrument(instrument).currency, desk.settings.base_currency):
            with suppress(DamagedFile, StateError):  # a price file that is missing or damaged needs none yet
                since = min(since, *desk.store.read("adjusted_prices", instrument, []).index[:1])
    return since


def rates_since(desk: Desk, currency: str, since: datetime, *, until: datetime | None = None) -> pd.Series:
    """The rates of the broker after `since` (up to `until`), in order. Raises DataError for a rate that is not a positive number."""
    code = f"{currency}USD"
    fetched = desk.broker.fx_rates(currency, since, until or desk.now()).astype("float64").sort_index()
    if bad := list(fetched.index[~(np.isfinite(fetched) & (fetched > 0))]):
        raise DataError(f"{code}: the rate of {bad[0]:%Y-%m-%d %H:%M} UTC is not a positive number; nothing was stored")
    fetched.index = pd.DatetimeIndex(fetched.index, name="time").as_unit("us")
    return fetched.rename("rate")


def stored_fx(desk: Desk) -> dict[str, pd.Series]:
    """All stored rates by FX code (`EURUSD`), index UTC instants, with manual corrections applied; without those whose file is damaged."""
    rates = {}
    for code in desk.store.names(DATASET):
        with suppress(DamagedFile):
            rates[code] = desk.store.read(DATASET, code)["rate"]
    with desk.ledger.read() as view:
        return {code: apply_rate_marks(stored, rate_marks_of(view, code)) for code, stored in rates.items()}


def latest_rate(fx: dict[str, pd.Series], currency: str, base: str) -> float:
    """The newest rate: units of `base` for one unit of `currency`. Raises DataError where there is none."""
    if currency == base:
        return 1.0
    rates = cross_rate(fx, currency + base).dropna()
    if rates.empty:
        raise DataError(
            f"no FX rate of {currency} in {base} is stored; materialize the asset spot_fx, or see `tradeflow check` if it was there"
        )
    return float(rates.iloc[-1])
