"""Figures and series as compact JSON that a page can carry: arrays in base64, each set of dates once."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pandas as pd

from tradeflow_core.strategy.backtest import Backtest
from tradeflow_core.strategy.results.curves import CurveGroup

MOST_POINTS = 300_000
"""Points of the charts of single instruments: beyond it they show every second, third, fourth ... week, which keeps a sheet of hundreds
of instruments below some ten megabytes."""

MOST_CHANGES = 6_000
"""Changes of one position: beyond it the chart shows it by week."""


class Packer:
    """Turns values into JSON types, and collects the dates that they refer to."""

    def __init__(self) -> None:
        self.dates: list[dict[str, str]] = []
        self._known: dict[bytes, int] = {}

    def pack(self, value: Any) -> Any:
        """Arrays become `{dtype, bdata, shape}`, dates `{dates: place in the collection}`, what is not finite null."""
        if isinstance(value, dict):
            return {key: self.pack(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.pack(item) for item in value]
        if isinstance(value, np.ndarray):
            return {"dates": self._place(value)} if value.dtype.kind == "M" else packed_array(value)
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value.item() if isinstance(value, np.generic) else value

    def _place(self, dates: np.ndarray) -> int:
        days = dates.astype("datetime64[D]").astype("<i4")
        key = days.tobytes()
        if key not in self._known:
            self._known[key] = len(self.dates)
            self.dates.append(packed_array(days))
        return self._known[key]


def packed_array(values: np.ndarray) -> dict[str, str]:
    """Numbers as plotly reads them: little-endian bytes in base64; floats with 7 digits."""
    small = values.astype("<f4") if values.dtype.kind == "f" else values
    packed = {
        "dtype": f"{small.dtype.kind}{small.dtype.itemsize}",
        "bdata": base64.b64encode(np.ascontiguousarray(small).tobytes()).decode(),
    }
    return packed if values.ndim == 1 else packed | {"shape": ", ".join(str(size) for size in values.shape)}


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def instrument_series(backtest: Backtest, curves: CurveGroup) -> dict[str, Any]:
    """Price, position and cumulative net percent of each instrument, for its chart.

    `days`: the calendar. `weeks`: places in it of the Fridays that price and profit are shown at. Of each instrument: `start`,
    the place of its first week; `price` and `profit` from there on; `changes`, the places where its position changes, and the
    new `position`; `end`, the place of its last day.
    """
    positions = backtest.accounts.positions
    index = positions.index
    fridays = np.flatnonzero((index.weekday == 4) | (np.arange(len(index)) == len(index) - 1))
    rows_of = {
        instrument: np.arange(len(index))[positions.own_rows(place)] for place, instrument in enumerate(backtest.instruments)
    }
    points = sum(len(rows) for rows in rows_of.values()) // 5
    weeks = fridays[:: -max(1, math.ceil(points / MOST_POINTS))][::-1]
    price = backtest.accounts.price.ffill()
    series = {}
    for place, instrument in enumerate(backtest.instruments):
        rows = rows_of[instrument]
        if not len(rows):
            continue
        shown = weeks[(weeks >= rows[0]) & (weeks <= rows[-1])]
        profit = curves.members[instrument].returns().cumulative.reindex(index[shown]).to_numpy(dtype=float)
        changes, position = _changes(positions.array[rows, place], rows, shown)
        series[instrument] = {
            "start": int(np.searchsorted(weeks, rows[0])),
            "price": price.array[shown, place],
            "profit": profit,
            "changes": changes.astype("<i4"),
            "position": position.astype("<i2") if _fits(position) else position,
            "end": int(rows[-1]),
        }
    return {"days": index.to_numpy(dtype="datetime64[D]"), "weeks": weeks.astype("<i4"), "instruments": series}


def _changes(position: np.ndarray, rows: np.ndarray, weeks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    has_position = ~np.isnan(position)
    places, values = rows[has_position], position[has_position]
    changed = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    if len(changed) > MOST_CHANGES:
        changed = np.flatnonzero(np.isin(places, weeks))
    return places[changed], values[changed]


def _fits(values: np.ndarray) -> bool:
    return bool(np.all(values == np.round(values)) and np.all(np.abs(values) < 2**15))


def latest_positions(backtest: Backtest) -> pd.DataFrame:
    """The last row of each instrument with its position, and what that is worth in base currency and percent of capital."""
    table = backtest.latest()
    accounts, raw = backtest.accounts, backtest.raw_data
    table["position"] = _last(accounts.positions.values)
    price = _last(raw.daily_denominator_price.values)
    table["exposure"] = table["position"] * price * raw.point_sizes * table["fx"]
    table["exposure_percent"] = 100.0 * table["exposure"] / backtest.config.notional_trading_capital
    return table


def _last(values: pd.DataFrame) -> pd.Series:
    return values.ffill().iloc[-1] if len(values) else pd.Series(np.nan, index=values.columns)
