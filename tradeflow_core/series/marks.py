"""Manual corrections of bars and rates, applied on read, and the suspected spikes that still need a decision.

What the broker sent is never edited. A decision is a mark in the ledger: a price (the broker's own where it was accepted, another where it
was replaced) or none (rejected). A price with a decision is not checked for spikes again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.series.bars import spike_units

MANUAL = "manual"
_SHIFTED = ["OPEN", "HIGH", "LOW"]


def bar_times(bars: pd.DataFrame) -> pd.Series:
    """The time of each bar, by which it is dated and named: its end if daily, its start if intraday (UTC)."""
    return bars["end"].where(bars["frequency"] == "D", bars["start"])


def apply_marks(bars: pd.DataFrame, marks: pd.DataFrame) -> pd.DataFrame:
    """The bars with manual corrections applied, and a column `decided`: True where a bar has a manual mark.

    `marks`: columns contract, time, price, source. Rejected bars are left out. Where FINAL is replaced, OPEN, HIGH and LOW shift by the same
    amount; VOLUME stays.
    """
    manual = marks[marks["source"] == MANUAL]
    keys = pd.MultiIndex.from_frame(manual[["contract", "time"]])
    mark_rows = keys.get_indexer(pd.MultiIndex.from_arrays([bars["contract"], bar_times(bars)]))
    decided = mark_rows >= 0
    prices = np.append(manual["price"].to_numpy(dtype=float), np.nan)
    final = np.where(decided, prices[mark_rows], bars["FINAL"])
    shift = final - bars["FINAL"].to_numpy()
    shifted = {name: bars[name] + shift for name in _SHIFTED if name in bars}
    return bars.assign(FINAL=final, **shifted, decided=decided)[~(decided & np.isnan(final))]


def apply_rate_marks(rates: pd.Series, marks: pd.DataFrame) -> pd.Series:
    """The rates with manual corrections applied: rejected ones are left out. `marks`: columns time, price."""
    marked_prices = marks.set_index("time")["price"]
    common = rates.index.intersection(pd.DatetimeIndex(marked_prices.index))
    corrected = rates.copy()
    corrected.loc[common] = marked_prices.loc[common]
    return corrected.drop(common[marked_prices.loc[common].isna()])


def suspected_spikes(
    prices: pd.Series, limit: float, since: pd.Timestamp | None = None, *, decided: np.ndarray | None = None
) -> pd.Series:
    """Every change of more than `limit` average daily changes at or after `since` that nobody has decided about: its size by stamp.

    `prices`: by stamp, sorted; `decided`: for each price, whether it has a manual mark.
    """
    if len(prices) < 2:
        return pd.Series([], dtype="float64", index=pd.DatetimeIndex(prices.index[:0]))
    units = spike_units(prices)
    beyond = units > limit
    if since is not None:
        beyond &= units.index >= since
    if decided is not None:
        beyond &= ~decided[1:]
    return units[beyond]
