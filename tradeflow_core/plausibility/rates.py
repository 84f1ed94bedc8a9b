"""Rates of currencies: US dollars for one unit, by stamp."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.plausibility.finding import Finding, Floats, in_time, times_off, usual_change

ODD_RATE, NOT_OF_THIS_SIZE = "odd rate", "rate of another size"

LIMIT = 30.0
"""Usual changes that a rate may move and come back."""

LEAST = 0.05
"""A smaller move is never doubtful: some rates are pegged."""

JUMP = 0.45
"""A move of the logarithm in one step by more is doubtful, and all that follows at that level. The largest devaluations are among those
found."""

SHORT = 0.2
"""A share of all rates: rates before a jump are right if they are as many."""

CROSS = 0.15
"""A rate and a future on the currency differ by less (of the logarithm): by the interest of months, that is."""

CROSS_DAYS = 500
"""The newest days on which the two are compared."""

NEIGHBOURS = 11
"""Rates around one, against whose median it is held."""

USUAL = {
    "AUD": (0.4, 1.6),
    "BRL": (0.1, 1.3),
    "CAD": (0.55, 1.1),
    "CHF": (0.3, 1.6),
    "CNH": (0.1, 0.7),
    "CNY": (0.1, 0.7),
    "CZK": (0.02, 0.08),
    "DKK": (0.08, 0.25),
    "EUR": (0.6, 1.7),
    "GBP": (0.95, 2.7),
    "HKD": (0.12, 0.21),
    "HUF": (0.002, 0.03),
    "ILS": (0.18, 0.8),
    "INR": (0.009, 0.14),
    "JPY": (0.002, 0.0145),
    "KRW": (0.0005, 0.0032),
    "MXN": (0.03, 0.35),
    "MXP": (0.03, 0.35),
    "MYR": (0.18, 0.5),
    "NOK": (0.07, 0.25),
    "NZD": (0.35, 1.6),
    "PLN": (0.18, 0.6),
    "SEK": (0.07, 0.3),
    "SGD": (0.3, 0.95),
    "THB": (0.015, 0.06),
    "TRY": (0.01, 1.0),
    "TWD": (0.02, 0.045),
    "ZAR": (0.04, 1.5),
}
"""Between which values the rates of a currency have been since the seventies (the peso's since 1993, the rouble left out), with room."""


def doubtful_rates(currency: str, rates: pd.Series, decided: NDArray[np.bool_] | None = None) -> list[Finding]:
    """Findings about the rates of a currency, in order of time: of another size than they have ever been, jumps, and rates that stand out
    for a few days. Rates have to be above 0.

    `decided`: which of them a person has decided about. These are right, and so are those that follow one at its level.
    """
    marked = np.zeros(len(rates), dtype=bool) if decided is None else decided
    known = in_time(pd.DataFrame({"rate": rates.to_numpy(dtype=float), "decided": marked}, index=rates.index).dropna())
    if known.empty:
        return []
    values, index = known["rate"].to_numpy(dtype=float), pd.DatetimeIndex(known.index)
    accepted = known["decided"].to_numpy(dtype=bool)
    typical = float(np.median(values))
    low, high = USUAL.get(currency, (0.0, np.inf))
    if not low <= typical <= high and not accepted.any():
        turned = " They look like units of the currency for one dollar." if low <= 1 / typical <= high else ""
        detail = (
            f"Rates are about {typical:.6g} dollars for one {currency}, which was always between {low:g} and {high:g}.{turned}"
        )
        return [Finding(NOT_OF_THIS_SIZE, detail, index[0], index[-1], rows=len(values))]
    logs = np.log(values)
    around = pd.Series(logs).rolling(NEIGHBOURS, center=True, min_periods=1).median().to_numpy()
    usual = usual_change(np.diff(logs, prepend=logs[0]))
    away = np.abs(logs - around)
    outside = (values < low / 2) | (values > high * 2)
    odd = (away > LEAST) & (away > LIMIT * np.nan_to_num(usual)) | outside | _of_another_level(logs)
    as_accepted = np.abs(logs - pd.Series(np.where(accepted, logs, np.nan)).ffill().to_numpy()) <= JUMP
    found = []
    for rows in _runs(np.flatnonzero(odd & ~as_accepted)):
        first, last = int(rows[0]), int(rows[-1])
        beside = values[max(first - NEIGHBOURS, 0) : first] if first else values[last + 1 : last + 1 + NEIGHBOURS]
        level = float(np.median(beside)) if len(beside) else typical
        found.append(
            Finding(ODD_RATE, _said(currency, values[rows], level, days=index[rows]), index[first], index[last], rows=len(rows))
        )
    return found


def rates_beside_futures(currency: str, rates: pd.Series, futures: pd.Series) -> Iterator[Finding]:
    """Rates that are another thing than a future on the currency, priced in dollars for one unit, trades at: the cross-check for a series
    that is wrong as a whole."""
    rates, futures = in_time(rates.dropna()), in_time(futures.dropna())
    days = pd.DatetimeIndex(futures.index).normalize()
    closes = futures.groupby(days).last().iloc[-CROSS_DAYS:]
    beside = rates.groupby(pd.DatetimeIndex(rates.index).normalize()).last().reindex(closes.index).dropna()
    if len(beside) < NEIGHBOURS:
        return
    rate, price = float(beside.median()), float(closes[beside.index].median())
    if price <= 0 or abs(np.log(rate / price)) < CROSS:
        return
    turned = abs(np.log(rate * price)) < CROSS
    reason = "the other way round" if turned else times_off(rate / price)
    detail = f"Rates are about {rate:.6g} dollars for one {currency}, while futures on it trade at {price:.6g} ({reason})."
    yield Finding(ODD_RATE, detail, beside.index[0], beside.index[-1], rows=len(beside))


def _of_another_level(logs: Floats) -> NDArray[np.bool_]:
    """The rows of stretches between jumps that do not join what lies beside them, seen from the first stretch that is not short."""
    starts = np.flatnonzero(np.append(True, np.abs(np.diff(logs)) > JUMP))
    stretches = np.split(np.arange(len(logs)), starts[1:])
    enough = min(SHORT * len(logs), max(map(len, stretches)))
    right = next(place for place, rows in enumerate(stretches) if len(rows) >= enough)
    odd = np.zeros(len(logs), dtype=bool)
    for side, near, far in ((stretches[right + 1 :], -1, 0), (stretches[:right][::-1], 0, -1)):
        edge = logs[stretches[right][near]]
        for rows in side:
            if abs(logs[rows[far]] - edge) > JUMP:
                odd[rows] = True
            else:
                edge = logs[rows[near]]
    return odd


def _said(currency: str, values: Floats, before: float, *, days: pd.DatetimeIndex) -> str:
    when = f"{days[0]:%Y-%m-%d}" if len(days) == 1 else f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}"
    typical = float(np.median(values))
    turned = abs(np.log(typical * before)) < abs(np.log(typical / before)) / 4
    reason = "the other way round" if turned else times_off(typical / before)
    return f"{when}: {typical:.6g} dollars for one {currency}, beside rates of about {before:.6g} ({reason})."


def _runs(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Rows that follow each other, together."""
    return np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(rows) else []
