"""Trading rules: what they say of simple price paths, and that they give the reference's figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tests.conftest import SHARED, needs_shared
from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.rules import RULES

PRICES = "daily_prices"
VOL = "daily_returns_volatility"
OWN = "cumulative_daily_vol_normalised_returns"
CLASS = "normalised_price_for_asset_class"
GOLDEN: dict[str, tuple[str, tuple[str, ...], dict[str, int]]] = {
    "ewmac(2,8)": ("ewmac", (PRICES, VOL), {"Lfast": 2, "Lslow": 8}),
    "ewmac(16,64)": ("ewmac", (PRICES, VOL), {"Lfast": 16, "Lslow": 64}),
    "ewmac(64,256)": ("ewmac", (PRICES, VOL), {"Lfast": 64, "Lslow": 256}),
    "ewmac_calc_vol(16,64) on cum_norm_returns": ("ewmac_calc_vol", (OWN,), {"Lfast": 16, "Lslow": 64}),
    "ewmac_calc_vol(32,128) on asset class price": ("ewmac_calc_vol", (CLASS,), {"Lfast": 32, "Lslow": 128}),
    "ewmac_forecast_with_defaults": ("ewmac_calc_vol", (PRICES,), {}),
    "ewmac_forecast_with_defaults_no_vol": ("ewmac_with_defaults", (PRICES, VOL), {}),
    "breakout(10)": ("breakout", (PRICES,), {"lookback": 10}),
    "breakout(40)": ("breakout", (PRICES,), {"lookback": 40}),
    "breakout(320)": ("breakout", (PRICES,), {"lookback": 320}),
    "breakout(40,smooth=5)": ("breakout", (PRICES,), {"lookback": 40, "smooth": 5}),
    "carry(90)": ("carry", ("raw_carry",), {"smooth_days": 90}),
    "carry(10)": ("carry", ("raw_carry",), {"smooth_days": 10}),
    "accel(4)": ("accel", (PRICES, VOL), {"Lfast": 4}),
    "accel(32)": ("accel", (PRICES, VOL), {"Lfast": 32}),
    "mr_wings(4)": ("mr_wings", (PRICES, VOL), {"Lfast": 4}),
    "cs_mr(250)": ("cross_sectional_mean_reversion", (OWN, CLASS), {"horizon": 250}),
    "cs_mr(1000)": ("cross_sectional_mean_reversion", (OWN, CLASS), {"horizon": 1000}),
    "relmom(20)": ("relative_momentum", (OWN, CLASS), {"horizon": 20}),
    "relmom(250)": ("relative_momentum", (OWN, CLASS), {"horizon": 250}),
}


def golden(name: str) -> pd.DataFrame:
    return pd.read_parquet(SHARED / "golden" / "rules" / f"{name}.parquet")


@needs_shared("golden", "rules")
@pytest.mark.parametrize("call", GOLDEN)
def test_a_rule_equals_the_reference(call: str) -> None:
    name, inputs, arguments = GOLDEN[call]
    tables = [golden(f"input_{item}").set_index("date") for item in inputs]
    output = golden("output_functions_head300_tail600")
    wanted = output[output["rule"] == call].pivot(index="date", columns="instrument", values="forecast")
    ours = RULES[name](*tables, **arguments).reindex(wanted.index)[wanted.columns]
    known = wanted.notna()
    floor = 1e-6 * wanted.abs().max()
    error = (ours - wanted).abs() / wanted.abs().clip(lower=floor, axis=1)
    assert (ours.notna() | ~known).all(axis=None)
    assert error.where(known).max().max() < 1e-8


def series(path: Callable[[np.ndarray], np.ndarray], days: int = 600) -> pd.Series:
    return pd.Series(path(np.arange(days, dtype=float)), index=pd.bdate_range("2020-01-01", periods=days))


def test_a_rising_price_is_a_long_trend_and_a_falling_one_short() -> None:
    vol = series(np.ones_like)
    assert RULES["ewmac"](series(lambda day: 100 + day), vol).iloc[-1] > 0
    assert RULES["ewmac"](series(lambda day: 1000 - day), vol).iloc[-1] < 0


def test_breakout_is_twenty_at_the_top_of_the_range() -> None:
    top = RULES["breakout"](series(lambda day: 100 + day), lookback=40, smooth=1)
    assert top.iloc[-1] == pytest.approx(20.0)


def test_breakout_of_a_price_that_never_moved_says_nothing() -> None:
    assert RULES["breakout"](series(lambda day: 0 * day + 100), lookback=40).isna().all()


def test_breakout_must_be_smoothed_over_less_than_its_window() -> None:
    with pytest.raises(ConfigError, match="smooth 10 must be shorter than lookback 10"):
        RULES["breakout"](series(np.ones_like), lookback=10, smooth=10)


def test_a_market_that_is_its_whole_class_has_no_relative_carry() -> None:
    carry = series(np.sin)
    assert (RULES["relative_carry"](carry, carry) == 0.0).all()
