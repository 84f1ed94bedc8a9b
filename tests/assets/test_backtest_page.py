"""What the page of the backtest asset shows: capital, curve, statistics, positions, and where the tear sheet lies."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from dagster import MarkdownMetadataValue, PathMetadataValue, TableMetadataValue
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from tradeflow_assets.charts import HEIGHT, bar_chart, line_chart, small_bars
from tradeflow_assets.strategy import backtest_metadata, position_risk
from tradeflow_core.desk import Desk
from tradeflow_core.home import SETTINGS_FILE, Home
from tradeflow_core.nightly import latest_optimal, run_strategy, save_run

SVG = "{http://www.w3.org/2000/svg}"
VALUES = st.floats(-1e9, 1e9) | st.just(math.nan)


def drawing(markdown: MarkdownMetadataValue) -> ElementTree.Element:
    """The picture inside the markdown."""
    text = markdown.value or ""
    return ElementTree.fromstring(base64.b64decode(text.split("base64,")[1].rstrip(")")))


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(float, st.tuples(st.integers(0, 400), st.integers(1, 3)), elements=VALUES))
def test_any_curves_are_drawn_inside_their_frame_or_said_to_be_too_short(values: np.ndarray) -> None:
    index = pd.bdate_range("2020-01-01", periods=len(values))
    chart = line_chart(pd.DataFrame(values, index=index, columns=["gross", "costs", "net"][: values.shape[1]]), "money & more")
    if "too few" in (chart.value or ""):
        assert np.isfinite(values).any(axis=1).sum() < 2
        return
    for line in drawing(chart).iter(f"{SVG}polyline"):
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert all(0 <= y <= HEIGHT for _, y in points)
        assert [x for x, _ in points] == sorted(x for x, _ in points)


@settings(max_examples=40, deadline=None)
@given(st.lists(VALUES, max_size=120))
def test_any_values_are_drawn_as_bars_or_said_to_be_missing(values: list[float]) -> None:
    known = [value for value in values if math.isfinite(value)]
    named = bar_chart(pd.Series(values, index=[f"<{place}>" for place in range(len(values))], dtype=float), "risk")
    small = small_bars(values)
    assert len(small.value or "") < 1000
    if known:
        bars = [bar for bar in drawing(named).iter(f"{SVG}rect") if "height" in bar.attrib and bar.attrib["width"] != "100%"]
        assert len(bars) == len(known)
        assert drawing(small) is not None
    else:
        assert "no values" in (named.value or "") and "no values" in (small.value or "")


def test_the_largest_bar_is_the_longest_and_shorts_go_to_the_left() -> None:
    bars = [
        bar
        for bar in drawing(bar_chart(pd.Series({"a": 2.0, "b": -1.0}), "x")).iter(f"{SVG}rect")
        if bar.attrib["width"] != "100%"
    ]
    long, short = ((float(bar.attrib["x"]), float(bar.attrib["width"])) for bar in bars)
    assert long[1] == pytest.approx(2 * short[1], abs=0.2)
    assert short[0] + short[1] == pytest.approx(long[0], abs=0.2)


def test_the_page_shows_what_the_strategy_was_run_with_and_what_it_wants(trading_desk: Desk) -> None:
    desk = trading_desk
    run = run_strategy(desk, "trend_carry")
    shown = backtest_metadata(desk, {"trend_carry": run})
    assert shown["capital"] == 4_000_000 and shown["currency"] == "USD"
    positions = shown["optimal_positions"]
    assert isinstance(positions, TableMetadataValue)
    rows = {str(record.data["instrument"]): record.data for record in positions.records}
    stored = latest_optimal(desk, "trend_carry")
    assert set(rows) == set(stored.index)
    for code, row in rows.items():
        assert row["position"] == round(float(stored["notional_position"][code]), 2)
        assert row["price"] == pytest.approx(float(stored["reference_price"][code]), rel=1e-4)
        assert str(row["contract"]).replace("\u2011", "") == str(stored["reference_contract"][code])[:6]
    statistics = {record.data["statistic"]: record.data for record in shown["statistics"].records}
    assert statistics["Sharpe ratio"]["net"] == shown["sharpe"]
    assert set(statistics["Sharpe ratio"]) == {"statistic", "gross", "costs", "net"}
    assert isinstance(shown["tear_sheet"], PathMetadataValue)
    assert Path(shown["tear_sheet"].value or "").read_text(encoding="utf-8").startswith("<!")
    for small in ("account_curve", "positions"):
        assert len(shown[small].value) < 1000
    for chart in ("account_chart", "positions_chart"):
        assert drawing(shown[chart]) is not None


def test_with_several_strategies_each_has_its_own_lines(trading_desk: Desk) -> None:
    file = trading_desk.home.path / SETTINGS_FILE
    more = "\n[strategies.trend_carry]\nweight = 0.5\n[strategies.second]\nweight = 0.5\n"
    file.write_text(file.read_text(encoding="utf-8") + more, encoding="utf-8")
    desk = Desk(Home.open(trading_desk.home.path))
    run = run_strategy(desk, "trend_carry")
    runs = {"trend_carry": run, "second": run}
    for name in runs:
        save_run(desk, run.__class__(name, run.backtest, run.optimal), desk.today())
    shown = backtest_metadata(desk, runs)
    assert {"sharpe of trend_carry", "sharpe of second", "optimal_positions of second"} <= set(shown)
    assert "sharpe" not in shown
    assert [record.data["strategy"] for record in shown["strategies"].records] == ["trend_carry", "second"]
    desk.close()


def test_the_risk_of_a_position_is_contracts_times_volatility_in_money(trading_desk: Desk) -> None:
    run = run_strategy(trading_desk, "trend_carry")
    risk = position_risk(run)
    assert list(risk.abs()) == sorted(risk.abs(), reverse=True)
    code = risk.index[0]
    row, size = run.optimal.loc[code], run.backtest.data.instrument(code).point_size
    daily = row["notional_position"] * row["daily_returns_volatility"] * size * row["fx"]
    assert risk[code] == pytest.approx(16 * daily / 4_000_000 * 100)
