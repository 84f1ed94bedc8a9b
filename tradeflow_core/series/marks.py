"""A person's word about prices: corrections laid over bars and rates, and which prices still need a word.

What the broker sent is never edited. A decision is a mark in the ledger: a price (the broker's own where it was accepted, another where it
was replaced) or none (rejected). A price that a person has spoken about is not checked for spikes again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.series.bars import spike_units

MANUAL = "manual"
_MOVED = ["OPEN", "HIGH", "LOW"]


def bar_times(bars: pd.DataFrame) -> pd.Series:
    """By what time each bar counts, and is named: its end if daily, its start if intraday (UTC)."""
    return bars["end"].where(bars["frequency"] == "D", bars["start"])


def lay_over(bars: pd.DataFrame, marks: pd.DataFrame) -> pd.DataFrame:
    """The bars as a person corrected them, with a column `spoken`: True where somebody has decided.

    `marks`: columns contract, time, price, source. Rejected bars are left out. Where FINAL is replaced OPEN, HIGH and LOW move by as much;
    VOLUME stays.
    """
    manual = marks[marks["source"] == MANUAL]
    said = pd.MultiIndex.from_frame(manual[["contract", "time"]])
    place = said.get_indexer(pd.MultiIndex.from_arrays([bars["contract"], bar_times(bars)]))
    spoken = place >= 0
    prices = np.append(manual["price"].to_numpy(dtype=float), np.nan)
    final = np.where(spoken, prices[place], bars["FINAL"])
    shift = final - bars["FINAL"].to_numpy()
    moved = {name: bars[name] + shift for name in _MOVED if name in bars}
    return bars.assign(FINAL=final, **moved, spoken=spoken)[~(spoken & np.isnan(final))]


def lay_over_rates(rates: pd.Series, marks: pd.DataFrame) -> pd.Series:
    """Rates as a person corrected them: replaced ones in place, rejected ones left out. `marks`: columns time, price."""
    said = marks.set_index("time")["price"]
    common = rates.index.intersection(pd.DatetimeIndex(said.index))
    laid = rates.copy()
    laid.loc[common] = said.loc[common]
    return laid.drop(common[said.loc[common].isna()])


def suspicious(
    prices: pd.Series, limit: float, since: pd.Timestamp | None = None, *, spoken: np.ndarray | None = None
) -> pd.Series:
    """Every change of more than `limit` average daily changes at or after `since` that nobody has spoken about: its size by stamp.

    `prices`: by stamp, sorted; `spoken`: for each of them, whether a person has decided.
    """
    if len(prices) < 2:
        return pd.Series([], dtype="float64", index=pd.DatetimeIndex(prices.index[:0]))
    units = spike_units(prices)
    beyond = units > limit
    if since is not None:
        beyond &= units.index >= since
    if spoken is not None:
        beyond &= ~spoken[1:]
    return units[beyond]
