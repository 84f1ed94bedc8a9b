"""Five years of markets with everything that can happen to data, and the same data as known at an earlier moment.

A trades every day. B starts later, trades several times a day, Sundays included, misses days and pauses over a new year. C starts in the
third year. D ends in the fifth, and pays its broker a share of what it trades. E has stamps without prices for ten weeks. C and
E are bonds in euros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from tests.strategy.markets import instrument, multiple_prices
from tradeflow_core.instruments import Costs
from tradeflow_core.strategy import BacktestData

CODES = "ABCDE"
DAYS = 1300
PAUSE = ("2012-12-12", "2013-01-19")
PRICES = ["PRICE", "CARRY", "FORWARD"]
PRICE_AND_VOL = ["daily_price", "daily_returns_volatility"]
OWN_AND_CLASS = ["cumulative_daily_vol_normalised_returns", "normalised_price_for_asset_class"]

RULES: dict[str, dict[str, Any]] = {
    "trend": {"function": "ewmac", "data": PRICE_AND_VOL, "other_args": {"Lfast": 8, "Lslow": 32}, "forecast_scalar": 5.3},
    "carry": {"function": "carry", "data": ["raw_carry"], "other_args": {"smooth_days": 30}, "forecast_scalar": 30},
    "breakout": {"function": "breakout", "data": ["daily_price"], "other_args": {"lookback": 40}},
    "acceleration": {"function": "accel", "data": PRICE_AND_VOL, "other_args": {"Lfast": 8}, "forecast_scalar": 8},
    "extremes": {"function": "mr_wings", "data": PRICE_AND_VOL},
    "ahead_of_class": {"function": "relative_momentum", "data": OWN_AND_CLASS, "other_args": {"horizon": 40}, "forecast_scalar": 100},
    "class_trend": {"function": "ewmac_calc_vol", "data": OWN_AND_CLASS[1:], "other_args": {"Lfast": 8, "Lslow": 32}},
    "class_carry": {
        "function": "relative_carry",
        "data": ["smoothed_carry", "median_carry_for_asset_class"],
        "forecast_scalar": 30,
    },
    "skew": {
        "function": "factor_trading_rule",
        "data": ["demeaned_factor_value"],
        "other_args": {
            "smooth": 30,
            "_demean_method": "average_factor_value_in_asset_class_for_instrument",
            "_lookback_days": 180,
        },
    },
}
HOURLY = {"function": "ewmac_calc_vol", "data": ["hourly_price"], "other_args": {"Lfast": 8, "Lslow": 32}}
ESTIMATES: dict[str, Any] = {
    "use_forecast_scale_estimates": True,
    "forecast_scalar_estimate": {"min_periods": 100},
    "use_forecast_weight_estimates": True,
    "use_forecast_div_mult_estimates": True,
    "use_instrument_weight_estimates": True,
    "use_instrument_div_mult_estimates": True,
}
LIMITS = {
    "max_risk_fraction_normal_risk": 0.7,
    "max_risk_fraction_stdev_risk": 1.5,
    "max_risk_limit_sum_abs_risk": 1.5,
    "max_risk_leverage": 3,
}


def some_rules(*names: str) -> dict[str, Any]:
    """A few of the rules, with equal weights."""
    return {"trading_rules": {name: RULES[name] for name in names}}


@cache
def long_markets() -> BacktestData:
    """All of it; adjusted prices are made from the multiple prices, so that a later roll moves all earlier ones."""
    tables = {code: multiple_prices(place, DAYS) for place, code in enumerate(CODES)}
    tables["B"] = _busy(tables["B"].iloc[180:])
    tables["C"] = tables["C"].iloc[560:]
    tables["D"] = tables["D"].iloc[:1050]
    tables["E"].loc[tables["E"].index[330:380], PRICES] = np.nan
    facts = {code: instrument(code) for code in "AB"} | {
        "C": replace(instrument("C", "EUR"), asset_class="Bond"),
        "D": replace(instrument("D"), costs=Costs(spread_cost=0.02, percentage=0.0004)),
        "E": replace(instrument("E", "EUR"), asset_class="Bond"),
    }
    moves = 0.003 * np.cumsum(np.random.default_rng(99).normal(0, 1, DAYS))
    euros = pd.Series(1.1 + moves, index=pd.bdate_range("2010-01-04", periods=DAYS))
    return BacktestData.from_frames(tables, {"EURUSD": euros}, facts)


def _busy(closes: pd.DataFrame) -> pd.DataFrame:
    kept = closes[np.random.default_rng(5).random(len(closes)) < 0.9]
    days = pd.DatetimeIndex(kept.index)
    kept = kept[~((days >= PAUSE[0]) & (days < PAUSE[1]))]
    morning = kept.set_axis(kept.index - pd.Timedelta(hours=12, minutes=30))
    mondays = kept[pd.DatetimeIndex(kept.index).day_of_week == 0]
    sunday = mondays.set_axis(mondays.index - pd.Timedelta(hours=25))
    for table, change in ((morning, 0.25), (sunday, -0.25)):
        table[PRICES] += change
    return pd.concat([kept, morning, sunday]).sort_index()


def known_at(data: BacktestData, moment: pd.Timestamp, codes: list[str] | None = None) -> BacktestData:
    """The data as it was: everything stamped before the moment. Adjusted prices are stitched anew, unless they are given (`codes`)."""

    def before(tables: Mapping[str, Any]) -> dict[str, Any]:
        return {name: tables[name][tables[name].index < moment] for name in codes or tables}

    rates = {pair: rate[rate.index < moment] for pair, rate in data.fx.items()}
    adjusted = None if codes is None else before(data.adjusted_prices)
    return BacktestData.from_frames(before(data.multiple_prices), rates, data.instruments, adjusted_prices=adjusted)
