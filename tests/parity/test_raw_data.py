"""Figures before any rule: bins of days and hours, exchange rates."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.conftest import SHARED, needs_shared
from tests.parity.figures import GOLDEN, assert_same, read
from tradeflow_core.strategy import BacktestData, load_strategy, run_backtest
from tradeflow_core.strategy.common.panel import Calendar, by_business_day

pytestmark = needs_shared("golden", "more")

STAMPED = pd.Series(
    [1.0, 2.0, 3.0, 4.0, float("nan"), 6.0, 7.0, 8.0],
    index=pd.DatetimeIndex(
        [
            "2024-06-01 10:00",
            "2024-06-02 20:00",
            "2024-06-03 09:00",
            "2024-06-07 23:00",
            "2024-06-08 11:00",
            "2024-06-11 08:00",
            "2024-06-14 23:00",
            "2024-06-16 18:00",
        ]
    ),
)


@pytest.fixture(scope="module")
def data() -> BacktestData:
    return BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")


def test_weekends_gaps_and_missing_values_fall_into_the_bins_of_the_reference() -> None:
    theirs = read("more", "business_day_bins").set_index("date")
    calendar = Calendar.spanning([STAMPED.index])
    ours = pd.DataFrame(
        {
            "last": calendar.last({"A": STAMPED}).values["A"],
            "mean": calendar.mean({"A": STAMPED}).values["A"],
            "sum": by_business_day(STAMPED.index, STAMPED.to_numpy()),
        }
    )
    assert len(ours) == len(theirs)
    assert_same(ours, theirs[["last", "mean", "sum"]])


def test_hourly_prices_equal_the_reference(data: BacktestData) -> None:
    raw_data = run_backtest(load_strategy(GOLDEN / "system_a" / "futuresconfig.yaml"), data).raw_data
    theirs = read("system_a", "rawdata_hourly_prices")
    for code, table in theirs.groupby("instrument"):
        ours = raw_data.hourly_price[str(code)]
        wanted = table.set_index("date")["price"]
        assert ours.index.equals(wanted.index)
        assert_same(ours.to_frame("price"), wanted.to_frame("price"))
        assert_same(raw_data.hourly_returns[str(code)].to_frame("price"), wanted.diff().to_frame("price"))


@pytest.mark.parametrize("pair", ["GBPEUR", "USDJPY", "KRWGBP", "EURUSD"])
def test_cross_rates_equal_the_reference(pair: str, data: BacktestData) -> None:
    theirs = read("more", "fx_crosses_every40rows")
    wanted = theirs[theirs["code"] == pair].set_index("date")[["rate"]]
    rate = data.fx_rate(pair[:3], pair[3:])
    assert rate is not None
    assert set(wanted.index) <= set(rate.index)
    assert_same(rate.to_frame("rate"), wanted)
