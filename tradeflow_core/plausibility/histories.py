"""A whole history of an instrument, as a data folder or a backtest has it: multiple prices, and the adjusted prices made of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.model import contract_label
from tradeflow_core.plausibility.bars import SPIKE, UNITS_OFF, WRONG_TIME, YEARS_LISTED
from tradeflow_core.plausibility.finding import Finding, Floats, in_time, usual_change

NO_CARRY, NOT_OF_ITS_PRICES = "no carry price", "adjusted prices differ"
ODD_NEIGHBOUR = "odd {} price"

LIMIT, LIMIT_OF_JUMP = 30.0, 100.0
"""Usual changes above which a price is doubtful: where the next prices go back, and where they stay. A price ten times too high is some
hundreds of them; a market's worst days are below the second limit, mostly."""

BACK_WITHIN = 3
"""Rows in which a price goes back that was only wrong."""

EQUAL = 0.01
"""Usual changes: adjusted prices may differ by this much, from rounding, in how they move."""

NAMED = 3
"""So many places are named in one sentence; the others are counted."""


def doubtful_history(multiple: pd.DataFrame, adjusted: pd.Series | None = None) -> list[Finding]:
    """Findings about multiple prices (PRICE, CARRY, FORWARD and their _CONTRACT ids, by stamp) and the adjusted series.

    `adjusted` None: it was made of them, so that nothing can differ.
    """
    multiple = in_time(multiple)
    price, contracts = multiple["PRICE"].to_numpy(dtype=float), _ids(multiple["PRICE_CONTRACT"])
    index = pd.DatetimeIndex(multiple.index)
    rows = np.flatnonzero(~np.isnan(price))
    if len(rows) < 2:
        return []
    known, of_contract = price[rows], contracts[rows]
    same = of_contract[1:] == of_contract[:-1]
    changes = np.where(same, np.diff(known), np.nan)
    usual = usual_change(changes)
    findings = [*_other_times(index[rows], of_contract), *_spikes(index[rows], known, changes / usual)]
    beside = np.interp(np.arange(len(price)), rows[1:], usual)
    for name in ("CARRY", "FORWARD"):
        findings += _odd_neighbours(multiple, name, contracts=contracts, usual=beside)
    findings += _without_carry(multiple)
    if adjusted is not None:
        moves = usual[np.isfinite(usual)]
        tolerance = 1e-9 * float(np.max(np.abs(known))) + (EQUAL * float(np.median(moves)) if len(moves) else 0.0)
        findings += _differences(index[rows], known, in_time(adjusted.dropna()), contracts=of_contract, tolerance=tolerance)
    return findings


def _ids(contracts: pd.Series) -> NDArray[np.int64]:
    """Contract ids as numbers; 0 where there is none."""
    numbers = pd.to_numeric(contracts, errors="coerce").to_numpy(dtype=float)
    return np.nan_to_num(numbers).astype("int64")


def _other_times(index: pd.DatetimeIndex, contracts: NDArray[np.int64]) -> Iterator[Finding]:
    """Prices of a contract after its month, or years before it."""
    months = index.year * 12 + index.month - 1
    ahead = contracts // 10000 * 12 + contracts // 100 % 100 - 1 - months.to_numpy()
    found = np.flatnonzero((contracts > 0) & ((ahead < -1) | (ahead > YEARS_LISTED * 12)))
    if len(found):
        detail = f"The prices of {_stamp(index[found[0]])} are of {contract_label(int(contracts[found[0]]))}, which was not traded then"
        yield Finding(WRONG_TIME, f"{detail}{_more(len(found), 1)}.", index[found[0]], index[found[-1]], rows=len(found))


def _spikes(index: pd.DatetimeIndex, price: Floats, units: Floats) -> Iterator[Finding]:
    beyond = np.flatnonzero(np.abs(units) > LIMIT) + 1
    beyond = beyond[_goes_back(price, beyond) | (np.abs(units[beyond - 1]) > LIMIT_OF_JUMP)]
    not_positive = np.flatnonzero(price <= 0) if np.mean(price <= 0) < 0.01 else beyond[:0]
    found = np.union1d(beyond, not_positive)
    if len(found):
        places = ", ".join(f"{price[row]:g} after {price[row - 1]:g} at {_stamp(index[row])}" for row in found[:NAMED])
        yield Finding(
            SPIKE,
            f"Prices jump or are not above 0: {places}{_more(len(found))}.",
            index[found[0]],
            index[found[-1]],
            rows=len(found),
        )


def _goes_back(price: Floats, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether the prices after each of the rows come back by more than half of the change, or the change itself is the way back."""
    change = np.abs(price[rows] - price[rows - 1])
    back = np.zeros(len(rows), dtype=bool)
    for step in range(1, BACK_WITHIN + 1):
        after, before = np.minimum(rows + step, len(price) - 1), np.maximum(rows - 1 - step, 0)
        back |= (np.abs(price[after] - price[rows - 1]) < change / 2) & (rows + step < len(price))
        back |= (np.abs(price[before] - price[rows]) < change / 2) & (rows - 1 - step >= 0)
    return back


def _odd_neighbours(multiple: pd.DataFrame, name: str, *, contracts: NDArray[np.int64], usual: Floats) -> Iterator[Finding]:
    """Carry or forward prices whose distance from the price changes at once, as no two contracts of one market do."""
    price, other = multiple["PRICE"].to_numpy(dtype=float), multiple[name].to_numpy(dtype=float)
    rows = np.flatnonzero(~np.isnan(price) & ~np.isnan(other))
    if len(rows) < 2:
        return
    others = _ids(multiple[f"{name}_CONTRACT"])[rows]
    spread = other[rows] - price[rows]
    same = (contracts[rows][1:] == contracts[rows][:-1]) & (others[1:] == others[:-1])
    changes = np.where(same, np.diff(spread), np.nan)
    found = rows[1:][np.abs(changes) > LIMIT * usual[rows[1:]]]
    # From the first row of a pair of contracts on: a whole pair in other units has no change within it.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((other[rows] > 0) & (price[rows] > 0), other[rows] / price[rows], 1.0)
    level = (np.maximum(ratio, 1 / ratio) > UNITS_OFF) & (np.abs(spread) > LIMIT * usual[rows])
    found = np.union1d(found, rows[level] if level.mean() < 0.5 else rows[:0])
    if len(found):
        index, word = pd.DatetimeIndex(multiple.index), name.lower()
        places = ", ".join(f"{other[row]:g} beside a price of {price[row]:g} at {_stamp(index[row])}" for row in found[:NAMED])
        detail = f"{word.capitalize()} prices do not fit: {places}{_more(len(found))}."
        yield Finding(ODD_NEIGHBOUR.format(word), detail, index[found[0]], index[found[-1]], rows=len(found))


def _without_carry(multiple: pd.DataFrame) -> Iterator[Finding]:
    """Days with a price on which no carry price is known."""
    days = pd.DatetimeIndex(multiple.index).normalize()
    known = multiple[["PRICE", "CARRY"]].notna().groupby(days).any()
    missing = pd.DatetimeIndex(known.index[known["PRICE"] & ~known["CARRY"]])
    if len(missing) and known["CARRY"].any():
        detail = f"No carry price on {len(missing):,} of {int(known['PRICE'].sum()):,} days with a price, the first {_stamp(missing[0])}."
        yield Finding(NO_CARRY, detail, missing[0], missing[-1], rows=len(missing))


def _differences(
    index: pd.DatetimeIndex, price: Floats, adjusted: pd.Series, *, contracts: NDArray[np.int64], tolerance: float
) -> Iterator[Finding]:
    """Where the adjusted series does not move as the prices it is made of: between rolls their distance, or their ratio, stays."""
    theirs = pd.DatetimeIndex(adjusted.index)
    lone = theirs.difference(index).union(index.difference(theirs))
    places = index.get_indexer(theirs)
    both = places >= 0
    values, rows = adjusted.to_numpy(dtype=float)[both], places[both]
    if len(rows) > 1:
        same = contracts[rows][1:] == contracts[rows][:-1]
        moves, own = np.diff(values), np.diff(price[rows])
        off = same & (np.abs(moves - own) > tolerance)
        if off.mean() > 0.2:  # not by differences: by ratios?
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = values / price[rows]
                off = same & ~(np.abs(np.diff(ratio) / ratio[:-1]) < 1e-6)
        if off.mean() > 0.2:
            detail = "The adjusted prices do not follow from the multiple prices, neither by differences nor by ratios."
            yield Finding(NOT_OF_ITS_PRICES, detail, theirs[0], theirs[-1], rows=len(theirs))
            return
        if off.any():
            found = np.flatnonzero(off) + 1
            named = ", ".join(
                f"{moves[row - 1]:+g} instead of {own[row - 1]:+g} at {_stamp(index[rows[row]])}" for row in found[:NAMED]
            )
            detail = f"The adjusted price moves otherwise than the price it is made of: {named}{_more(len(found))}."
            yield Finding(NOT_OF_ITS_PRICES, detail, index[rows[found[0]]], index[rows[found[-1]]], rows=len(found))
    if len(lone):
        detail = (
            f"Only one of adjusted and multiple prices has a price at {', '.join(map(_stamp, lone[:NAMED]))}{_more(len(lone))}."
        )
        yield Finding(NOT_OF_ITS_PRICES, detail, lone[0], lone[-1], rows=len(lone))


def _stamp(stamp: pd.Timestamp) -> str:
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else f"{stamp:%Y-%m-%d %H:%M}"


def _more(count: int, named: int = NAMED) -> str:
    return f" and at {count - named:,} more" if count > named else ""
