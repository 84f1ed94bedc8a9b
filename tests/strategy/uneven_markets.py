"""A strategy of every rule, and markets with late starts, gaps, several stamps a day and another asset class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from tests.strategy.markets import instrument, market, multiple_prices
from tradeflow_core.strategy import Backtest, BacktestData, run_backtest, strategy_from_dict

OWN_AND_CLASS = ["cumulative_daily_vol_normalised_returns", "normalised_price_for_asset_class"]
PRICE_AND_VOL = ["daily_price", "daily_returns_volatility"]
RULE_DATA: dict[str, list[str]] = {
    "ewmac": PRICE_AND_VOL,
    "ewmac_calc_vol": OWN_AND_CLASS[:1],
    "ewmac_with_defaults": PRICE_AND_VOL,
    "breakout": ["daily_price"],
    "accel": PRICE_AND_VOL,
    "mr_wings": PRICE_AND_VOL,
    "carry": ["raw_carry"],
    "relative_carry": ["smoothed_carry", "median_carry_for_asset_class"],
    "cross_sectional_mean_reversion": OWN_AND_CLASS,
    "relative_momentum": OWN_AND_CLASS,
    "factor_trading_rule": ["neg_skew"],
    "conditioned_factor_trading_rule": ["kurtosis", "demeaned_factor_value"],
    "long_bias": ["daily_price"],
    "short_bias": ["daily_price"],
}
DAYS = 420


def strategy(data: BacktestData, compat: Any = "fixed", **more: Any) -> Backtest:
    """Every rule, on the instruments A, B and C."""
    rules = {name: {"function": name, "data": items} for name, items in RULE_DATA.items()}
    return run_backtest(strategy_from_dict({"compat": compat, "trading_rules": rules, "instruments": list("ABC"), **more}), data)


def fixed_prices(data: BacktestData) -> BacktestData:
    """The same data with its adjusted prices as they are now, so that a later roll does not move them."""
    return BacktestData.from_frames(data.multiple_prices, data.fx, data.instruments, adjusted_prices=dict(data.adjusted_prices))


def with_prices(data: BacktestData, code: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> BacktestData:
    """The data with the multiple prices of one instrument changed."""
    tables = {**data.multiple_prices, code: change(data.multiple_prices[code])}
    return BacktestData.from_frames(tables, data.fx, data.instruments)


@cache
def three_markets() -> BacktestData:
    return market("ABC", DAYS)


@cache
def uneven_markets() -> BacktestData:
    """A by the day; B from later on, with gaps and several stamps a day, some on Sundays; C of another class; D not traded."""
    tables = {code: multiple_prices(place, DAYS) for place, code in enumerate("ABCD")}
    keep = np.random.default_rng(5).random(DAYS) < 0.8
    late = tables["B"][keep].iloc[60:]
    morning = late.set_axis(late.index - pd.Timedelta(hours=40)) + 0.25
    tables["B"] = pd.concat([late, morning]).sort_index()
    tables["B"][["PRICE_CONTRACT", "CARRY_CONTRACT"]] = tables["B"][["PRICE_CONTRACT", "CARRY_CONTRACT"]].round()
    facts = {code: instrument(code) for code in "ABD"} | {"C": replace(instrument("C"), asset_class="Bond")}
    return fixed_prices(BacktestData.from_frames(tables, market("A", DAYS).fx, facts))


@cache
def uneven(compat: str) -> Backtest:
    return strategy(uneven_markets(), compat)
