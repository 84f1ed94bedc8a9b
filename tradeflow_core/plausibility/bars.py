"""Bars of contracts: those that must not be stored before a person has looked, and those that only deserve a look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.plausibility.finding import Finding, Floats, times_off

OTHER_UNITS, SPIKE, WRONG_TIME = "other units", "suspected spike", "time without the contract"
STANDS_STILL, NO_VOLUME, DISORDER = "repeated price", "no volume", "prices of a bar in disorder"

YOUNG = 20
"""Rows of a contract that are judged by the others: its own average is too young, or too much its own spike, to refuse anything."""

FEWEST = 10
"""Changes from which a usual one is taken."""

MEAN_OF_MEDIAN = 1.5
"""The average change is about this many times the median one, as prices move."""

UNITS_OFF = 3.0
"""A contract may cost so many times as much as its neighbours."""

NEAR = 30
"""Days within which a neighbour's price counts."""

BESIDE = 3
"""Days within which another contract's price tells how the market has moved."""

YEARS_LISTED = 12
"""No contract is listed longer before its month."""

DAYS_AFTER_EXPIRY = 10
"""An expiry may be off by this much: not every source tells it."""

DAYS_STILL = 5
"""Daily closes in a row that are the same, while other contracts move."""

DAYS_QUIET = 5
"""Daily bars in a row without volume, after days with one."""

_DAY = 86_400 * 10**6
"""Microseconds."""


@dataclass(frozen=True, slots=True)
class Series:
    """Closes of one contract and frequency in order of time: `end` in microseconds since 1970; `decided`: a person has decided about it."""

    contract: int
    end: NDArray[np.int64]
    final: Floats
    decided: NDArray[np.bool_]

    def changes(self) -> Floats:
        """The sizes of its changes, by the square root of the days between."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(np.diff(self.final)) / np.sqrt(np.diff(self.end) / _DAY)


def refused_batch(own: Series, first_new: int, others: Sequence[Series], *, limit: float) -> Finding | None:
    """Why the new bars of a young contract must not be stored; None where nothing speaks against them.

    `own`: its bars, those from row `first_new` on are new; `others`: other contracts of the instrument, of the same frequency. In other
    units than these: more than three times as dear or cheap. A spike: a change that differs from theirs by more than `limit` usual ones.
    """
    if first_new >= YOUNG or not len(own.end):
        return None
    return _other_units(own, first_new, others) or _early_spike(own, first_new, others, limit=limit)


def _other_units(own: Series, first_new: int, others: Sequence[Series]) -> Finding | None:
    new = first_new + np.flatnonzero(~own.decided[first_new : first_new + YOUNG])
    if not len(new):
        return None
    price, time = float(np.median(own.final[new])), int(np.median(own.end[new]))
    near = []
    for other in others:
        row = int(other.end.searchsorted(time, side="right")) - 1
        rows = [place for place in (row, row + 1) if 0 <= place < len(other.end) and abs(other.end[place] - time) < NEAR * _DAY]
        near += [float(other.final[place]) for place in rows]
    level = float(np.median(near)) if near else 0.0
    if price <= 0 or level <= 0 or max(price / level, level / price) <= UNITS_OFF:
        return None
    detail = f"prices of about {price:g} are {times_off(price / level)} for other contracts, at {level:g}"
    return Finding(OTHER_UNITS, detail, _stamp(own.end[first_new]), _stamp(own.end[-1]), len(own.end) - first_new, own.contract)


def _early_spike(own: Series, first_new: int, others: Sequence[Series], *, limit: float) -> Finding | None:
    usual = [float(np.median(moved)) for each in (*others, own) if len(moved := _moved(each)) >= FEWEST]
    if not usual:
        return None
    unit = MEAN_OF_MEDIAN * float(np.median(usual))
    first = max(first_new - 1, 0)
    own_moves = np.diff(own.final[: YOUNG + 1])[first:]
    with np.errstate(divide="ignore", invalid="ignore"):
        units = (
            np.abs(own_moves - _moves_beside(own, first, others)) / np.sqrt(np.diff(own.end[: YOUNG + 1])[first:] / _DAY) / unit
        )
    beyond = np.flatnonzero((units > limit) & ~own.decided[first + 1 :][: len(units)])
    if not len(beyond):
        return None
    row = first + int(beyond[0]) + 1
    detail = f"FINAL moves {units[beyond[0]]:.1f} average days at {_stamp(own.end[row]):%Y-%m-%d %H:%M} UTC more than the other contracts do"
    return Finding(SPIKE, detail, _stamp(own.end[row]), _stamp(own.end[row]), 1, own.contract)


def _moves_beside(own: Series, first: int, others: Sequence[Series]) -> Floats:
    """How the other contracts moved (the median) from each of the young rows to the next, from row `first` on; 0 where none is known."""
    ends = own.end[: YOUNG + 1][first:]
    moves = []
    for other in others:
        if not len(other.end):
            continue
        rows = other.end.searchsorted(ends, side="right") - 1
        known = (rows >= 0) & (ends - other.end[np.maximum(rows, 0)] < BESIDE * _DAY)
        moves.append(np.diff(np.where(known, other.final[np.maximum(rows, 0)], np.nan)))
    if not moves:
        return np.zeros(max(len(ends) - 1, 0))
    table = np.array(moves)
    known_moves = np.isfinite(table).any(axis=0)
    found = np.zeros(table.shape[1])
    found[known_moves] = np.nanmedian(table[:, known_moves], axis=0)
    return found


def _moved(series: Series) -> Floats:
    """Its latest changes that are not zero."""
    changes = series.changes()[-250:]
    return changes[np.isfinite(changes) & (changes > 0)]


def wrong_times(contract: int, ends: NDArray[np.int64], expiry: date | None) -> Finding | None:
    """Bars that end (microseconds since 1970) after the contract has expired, or years before it can have been listed."""
    if not len(ends):
        return None
    month = np.datetime64(f"{contract // 10000:04d}-{contract // 100 % 100:02d}", "D")
    first = month - np.timedelta64(YEARS_LISTED * 366, "D")
    last = np.datetime64(expiry, "D") if expiry else month + np.timedelta64(31, "D")
    days = ends.view("M8[us]").astype("M8[D]")
    late, early = days > last + np.timedelta64(DAYS_AFTER_EXPIRY, "D"), days < first
    for wrong, why in ((late, f"after it has expired ({last})"), (early, f"more than {YEARS_LISTED} years before its month")):
        if wrong.any():
            found = ends[wrong]
            detail = f"{len(found):,} bars of it end {why}, the first on {_stamp(found[0]):%Y-%m-%d}"
            return Finding(WRONG_TIME, detail, _stamp(found[0]), _stamp(found[-1]), len(found), contract)
    return None


def doubtful_bars(bars: pd.DataFrame) -> list[Finding]:
    """What deserves a look among bars (columns of a broker's bars with `time`, in any order), though they can be stored: prices of a bar in
    disorder, daily closes that repeat while others move, volume that falls to nothing. Bars with True in a column `decided` do not count."""
    if "decided" in bars:
        bars = bars[~bars["decided"]]
    daily = bars[(bars["frequency"] == "D").to_numpy()]
    daily = daily.iloc[np.lexsort((pd.DatetimeIndex(daily["end"]).asi8, daily["contract"].to_numpy()))]
    return [*_disorder(bars), *_still(daily), *_quiet(daily)]


def _disorder(bars: pd.DataFrame) -> Iterator[Finding]:
    opened, high, low, final = (bars[name].to_numpy(dtype=float) for name in ("OPEN", "HIGH", "LOW", "FINAL"))
    slack = 1e-9 * np.abs(final)
    with np.errstate(invalid="ignore"):
        wrong = (high < low - slack) | (np.maximum(opened, final) > high + slack) | (np.minimum(opened, final) < low - slack)
    if not wrong.any():
        return
    for (contract, frequency), rows in bars[wrong].groupby(["contract", "frequency"], observed=True):
        detail = f"{len(rows):,} {frequency} bars have a first or last price outside of lowest to highest, or these turned round."
        yield Finding(DISORDER, detail, rows["time"].min(), rows["time"].max(), len(rows), int(contract))


def _still(daily: pd.DataFrame) -> Iterator[Finding]:
    """Closes of sorted daily bars that repeat while other contracts move."""
    contract, final = daily["contract"].to_numpy(), daily["FINAL"].to_numpy(dtype=float)
    is_next = contract[1:] == contract[:-1]
    moved = np.append(False, is_next & (final[1:] != final[:-1]))[: len(final)]
    starts = np.flatnonzero(np.append(True, moved[1:] | ~is_next)[: len(final)])
    lengths = np.diff(starts, append=len(final))
    long = lengths > DAYS_STILL
    if not long.any():
        return
    days = daily["end"].dt.floor("D")
    days_of_moves = set(days[moved])
    for start, length in zip(starts[long].tolist(), lengths[long].tolist(), strict=True):
        part = slice(start, start + length)
        others = sum(day in days_of_moves for day in days.iloc[start + 1 : start + length])
        if others >= DAYS_STILL:
            detail = f"The same close, {final[start]:g}, on {length} days, while other contracts moved on {others} of them."
            times = daily["time"].iloc[part]
            yield Finding(STANDS_STILL, detail, times.iloc[0], times.iloc[-1], length, int(contract[start]))


def _quiet(daily: pd.DataFrame) -> Iterator[Finding]:
    """Contracts of sorted daily bars whose volume falls to nothing."""
    contract, volume = daily["contract"].to_numpy(), daily["VOLUME"].to_numpy(dtype=float)
    traded = np.nan_to_num(volume) > 0
    ends = np.flatnonzero(np.append(contract[1:] != contract[:-1], True)[: len(contract)]) + 1
    for start, end in pairwise([0, *ends.tolist()]):
        if traded[end - 1] or not traded[start:end].any():
            continue
        last = start + int(np.flatnonzero(traded[start:end])[-1]) + 1
        if end - last >= DAYS_QUIET and traded[max(last - 2 * DAYS_QUIET, start) : last].sum() == 2 * DAYS_QUIET:
            times = daily["time"].iloc[last:end]
            detail = f"No volume on its last {end - last} days, after {2 * DAYS_QUIET} days with volume."
            yield Finding(NO_VOLUME, detail, times.iloc[0], times.iloc[-1], end - last, int(contract[start]))


def _stamp(microseconds: int) -> pd.Timestamp:
    return pd.Timestamp(int(microseconds), unit="us", tz="UTC")
