"""The time between two contracts, which turns a difference of prices into a carry a year."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.common.years import CALENDAR_DAYS_PER_YEAR

ONE_DAY_IN_YEARS = 1 / CALENDAR_DAYS_PER_YEAR
MONTHS = 12


def years_apart(near: pd.Series, far: pd.Series, *, by_date: bool) -> Floats:
    """Years from the contracts `near` to the contracts `far`, row by row; negative where `far` comes first.

    Ids are `YYYYMMDD`, numbers or text, with day 00 where only the month is known; a missing id gives a missing time. Two
    contracts that differ are at least a day apart. `by_date` counts days (from the first of the month where there is no day);
    otherwise a month is a twelfth of a year, and a day a hundredth of a month, as pysystemtrade counts.
    """
    years = _years(far, by_date=by_date) - _years(near, by_date=by_date)
    tiny = (years != 0) & (np.abs(years) < ONE_DAY_IN_YEARS)
    return np.where(tiny, np.sign(years) * ONE_DAY_IN_YEARS, years)


def _years(contracts: pd.Series, *, by_date: bool) -> Floats:
    """When each contract is, in years; missing where there is no id (0 stands for none too)."""
    place, known = pd.factorize(contracts)
    ids = np.append(pd.to_numeric(pd.Series(known), errors="coerce").to_numpy(dtype=float, na_value=np.nan), np.nan)
    ids = np.where(ids > 0, ids, np.nan)
    return np.asarray((_by_date(ids) if by_date else _by_month(ids))[place], dtype=float)


def _by_month(ids: Floats) -> Floats:
    years = np.floor(ids / 10_000)
    return np.asarray(years + (ids - years * 10_000) / 100.0 / MONTHS, dtype=float)


def _by_date(ids: Floats) -> Floats:
    years, rest = np.divmod(ids, 10_000)
    month, day = np.divmod(rest, 100)
    known = (month >= 1) & (month <= MONTHS)
    months = np.where(known, (years - 1970) * MONTHS + month - 1, 0.0).astype(np.int64)
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return np.where(known, (first + np.maximum(day, 1.0) - 1.0) / CALENDAR_DAYS_PER_YEAR, np.nan)
