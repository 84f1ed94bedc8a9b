"""Every estimator of volatility gives the reference's figures, for quiet, wild and unmoved prices."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from tests.conftest import needs_shared
from tests.parity.figures import assert_same, read
from tradeflow_core.strategy.common.panel import Calendar
from tradeflow_core.strategy.common.volatility import mixed_vol, robust_vol, simple_ewvol, simple_vol

pytestmark = needs_shared("golden", "vol")



def daily(price: pd.Series) -> pd.Series:
    """The last price of each business day."""
    return Calendar.spanning([price.index]).last({"price": price}).values["price"]


DEFAULTS_FILE = {"days": 35, "min_periods": 10, "slow_vol_years": 10, "proportion_of_slow_vol": 0.3, "vol_abs_min": 1e-10}
ROB = {**DEFAULTS_FILE, "slow_vol_years": 20, "proportion_of_slow_vol": 0.35, "backfill": True}
ESTIMATES: dict[str, Callable[[pd.Series], pd.Series]] = {
    "simple_ew": lambda price: simple_ewvol(price.diff()),
    "robust": lambda price: robust_vol(price.diff()),
    "robust_given_price": lambda price: robust_vol(daily(price).diff()),
    "mixed_default": lambda price: mixed_vol(price.diff()),
    "mixed_defaults_yaml": lambda price: mixed_vol(price.diff(), **DEFAULTS_FILE),
    "mixed_rob": lambda price: mixed_vol(price.diff(), **ROB),
    "simple_rolling": lambda price: simple_vol(price.diff()),
}
SERIES = ("SOFR", "US10", "CORN", "V2X", "KR3", "ETHEREUM", "BB3M", "SYNTH_FLAT")


@pytest.fixture(scope="module")
def figures() -> pd.DataFrame:
    return read("vol", "vol_functions")


@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize("code", SERIES)
def test_an_estimator_equals_the_reference(code: str, estimate: str, figures: pd.DataFrame) -> None:
    table = figures[figures["instrument"] == code].set_index("date")
    if code == "SYNTH_FLAT":
        more = read("more", "vol_SYNTH_FLAT_missing_columns").set_index("date")
        table = table.assign(**more.drop(columns="daily_price"))
    ours = ESTIMATES[estimate](table["daily_price"]).to_frame(estimate)
    assert_same(ours, table[[estimate]])
