"""What assets show: pictures small enough to be inline, tables without gaps that break them."""

from __future__ import annotations

import base64

import numpy as np
import pandas as pd
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from tradeflow_assets.metadata import sparkline, table


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(float, st.integers(2, 600), elements=st.floats(-1e9, 1e9) | st.just(float("nan"))))
def test_a_sparkline_is_always_small_enough_to_be_shown_inline(values: np.ndarray) -> None:
    assert len(sparkline(values).value or "") < 1000


def test_a_rising_price_is_drawn_from_the_lower_left_to_the_upper_right() -> None:
    text = sparkline(np.arange(100.0)).value or ""
    svg = base64.b64decode(text.split("base64,")[1].rstrip(")")).decode()
    points = [tuple(map(int, point.split(","))) for point in svg.split('d="M')[1].split('"')[0].split()]
    across, down = zip(*points, strict=True)
    assert list(across) == sorted(across) and list(down) == sorted(down, reverse=True)


def test_a_table_shows_gaps_as_empty_and_times_as_text() -> None:
    frame = pd.DataFrame(
        {
            "time": pd.DatetimeIndex([pd.Timestamp("2024-01-08 09:30"), pd.NaT]),
            "quantity": [1, 2],
            "price": [1.25, np.nan],
            "reason": ["a", None],
        }
    )
    shown = table(frame)
    assert [record.data for record in shown.records] == [
        {"time": "2024-01-08 09:30", "quantity": 1, "price": 1.25, "reason": "a"},
        {"time": None, "quantity": 2, "price": None, "reason": None},
    ]
    assert [column.type for column in shown.schema.columns] == ["string", "int", "float", "string"]
