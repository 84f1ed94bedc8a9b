"""Spot foreign exchange: any rate, out of stored series of US dollars for one unit of each currency."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError, DataError

log = logging.getLogger(__name__)

BASE = "USD"
FIRST_DAY = pd.Timestamp("1970-01-01")


def cross_rate(series_by_code: Mapping[str, pd.Series], code: str, today: date | None = None) -> pd.Series:
    """The rate `AAABBB`: units of BBB for one AAA, at every stamp at which either source has a quote.

    `series_by_code`: stored series by their code `CCCUSD`, US dollars for one CCC. A rate between two other currencies fills
    both sources forward and is NaN until both have begun. `AAAAAA` is 1.0 on every business day from 1970 to
    `today` (to the last stored stamp where not given). Where a source is missing: a logged warning and an empty series.
    Raises ConfigError for a code that is not six letters.
    """
    if not (isinstance(code, str) and len(code) == 6 and code.isalpha() and code.isupper()):
        raise ConfigError(f"FX code {code!r}: give six capital letters, such as GBPUSD")
    bought, sold = code[:3], code[3:]
    if bought == sold:
        return _rate_of_one(series_by_code, today)
    needed = [f"{currency}{BASE}" for currency in (bought, sold) if currency != BASE]
    if absent := [name for name in needed if name not in series_by_code]:
        log.warning("no FX series %s, so no rate %s", " and ".join(absent), code)
        return pd.Series(dtype=float, index=pd.DatetimeIndex([], name="date"), name=code)
    sources = [series_by_code[name].sort_index() for name in needed]
    if sold == BASE:
        return sources[0].rename(code)
    if bought == BASE:
        return (1.0 / sources[0]).rename(code)
    stamps = sources[0].index.union(sources[1].index).sort_values()
    numerator, denominator = (source.reindex(stamps).ffill() for source in sources)
    return (numerator / denominator).rename(code)


def _rate_of_one(series_by_code: Mapping[str, pd.Series], today: date | None) -> pd.Series:
    ends = [series.index.max() for series in series_by_code.values() if len(series)]
    if today is None and not ends:
        raise DataError("no FX series and no day given, so the rate of a currency against itself has no last day: give `today`")
    zone = ends[0].tz if ends else None
    last = pd.Timestamp(today) if today is not None else max(ends)
    last = last.tz_localize(zone) if last.tz is None else last
    days = pd.bdate_range(FIRST_DAY if zone is None else FIRST_DAY.tz_localize(zone), last.normalize(), name="date")
    return pd.Series(np.ones(len(days)), index=days)
