"""Inside the band nobody trades; outside one trades to its edge."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from tests.strategy.test_backtest import strategy
from tradeflow_core.strategy.common.panel import Panel, Span
from tradeflow_core.strategy.positions.buffers import Buffers, buffered_position, buffers

DAYS, MARKETS = 30, 2
positions = arrays(float, (DAYS, MARKETS), elements=st.one_of(st.floats(-50, 50), st.just(np.nan)))
widths = st.floats(0.0, 20.0)


def panel(values: np.ndarray) -> Panel:
    table = pd.DataFrame(values, index=pd.bdate_range("2024-01-01", periods=DAYS), columns=["A", "B"])
    return Panel(table, Span(np.zeros(MARKETS, dtype=np.int64), np.full(MARKETS, DAYS - 1)))


def held(wanted: Panel, width: float, *, rounded: bool, **changes: object) -> tuple[Buffers, np.ndarray]:
    config = strategy(**{"buffer_size": width, **changes})
    band = buffers(wanted, wanted.like(np.ones((DAYS, MARKETS))), config)
    return band, buffered_position(wanted, band, config, rounded=rounded).array


@settings(max_examples=60, deadline=None)
@given(positions, widths, st.booleans())
def test_a_position_inside_the_band_is_never_traded(values: np.ndarray, width: float, to_edge: bool) -> None:
    band, position = held(panel(values), width, rounded=False, buffer_trade_to_edge=to_edge)
    before, upper, lower = position[:-1], band.upper.array[1:], band.lower.array[1:]
    inside = (before >= lower) & (before <= upper)
    assert (position[1:] == before)[inside].all()


@settings(max_examples=60, deadline=None)
@given(positions, widths)
def test_whole_contracts_are_held_within_the_rounded_band(values: np.ndarray, width: float) -> None:
    band, position = held(panel(values), width, rounded=True)
    assert (position == np.round(position)).all()
    known = ~np.isnan(values)
    assert (position <= np.round(band.upper.array))[known].all()
    assert (position >= np.round(band.lower.array))[known].all()


@settings(max_examples=30, deadline=None)
@given(positions, widths)
def test_a_trade_goes_to_the_edge_no_further(values: np.ndarray, width: float) -> None:
    band, position = held(panel(values), width, rounded=False)
    bought, sold = np.diff(position, axis=0) > 0, np.diff(position, axis=0) < 0
    assert (position[1:] == band.lower.array[1:])[bought].all()
    assert (position[1:] == band.upper.array[1:])[sold].all()


def test_without_buffer_the_wanted_position_is_rounded_every_day() -> None:
    wanted = panel(np.random.default_rng(1).normal(0, 10, (DAYS, MARKETS)))
    _, position = held(wanted, 0.1, rounded=True, buffer_method="none")
    np.testing.assert_array_equal(position, np.round(wanted.array))
