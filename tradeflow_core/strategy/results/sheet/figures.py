"""The charts of a tear sheet, as plotly figures: dictionaries of traces and a layout.

Dates are arrays of datetime64, figures arrays of floats; names of instruments and rules are escaped, since charts show markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from tradeflow_core.strategy.results.curves import AccountCurve, Returns

Figure = dict[str, Any]

BLUE, GREY, RED, GREEN = "#2f5d8a", "#9aa7b4", "#b8604a", "#4f8a6b"
INK, GRID, FAINT = "#33414e", "#e8ecf0", "#c7d0d9"
LINES = (
    *("#2f5d8a", "#c98a3c", "#4f8a6b", "#b8604a", "#7a6ba8", "#5aa0b5", "#a2834f", "#c07a9c"),
    *("#6f8f3a", "#8895a3", "#3f7f7f", "#d0a63c", "#8a4f5d", "#5f6fb0", "#9cae6b", "#b09580"),
)
LOSS_TO_GAIN = [[0.0, "#b8604a"], [0.25, "#e3b7a9"], [0.5, "#f7f7f5"], [0.75, "#a9c3dc"], [1.0, "#2f5d8a"]]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def account_figure(curve: AccountCurve, *, corrected: bool) -> Figure:
    """Net and gross curve, drawdown of the net one, and its rolling standard deviation, over the same dates."""
    net, gross = curve.returns("net"), curve.returns("gross")
    drawdown, spread = net.drawdown(corrected=corrected), _rolling(net)
    traces = [
        _line(gross.cumulative, "Gross", GREY, yaxis="y", width=1.2),
        _line(net.cumulative, "Net", BLUE, yaxis="y", width=1.6),
        {**_line(drawdown, "Drawdown", RED, yaxis="y2", width=0.8), "fill": "tozeroy", "fillcolor": "rgba(184,96,74,0.25)"},
        _line(spread, "Std a year", GREEN, yaxis="y3", width=1.2),
    ]
    for trace in traces[2:]:
        trace["showlegend"] = False
    layout = _layout(640) | {
        "yaxis": _axis("Cumulative", domain=[0.50, 1.0]),
        "yaxis2": _axis("Drawdown", domain=[0.24, 0.46]),
        "yaxis3": _axis("Std a year", domain=[0.0, 0.20], rangemode="tozero"),
        "xaxis": _dates(anchor="y3") | {"rangeselector": _ranges()},
        "margin": {"l": 64, "r": 14, "t": 62, "b": 34},
    }
    return {"data": traces, "layout": layout}


def curves_figure(curves: Mapping[str, AccountCurve]) -> Figure:
    """Cumulative net curves of sectors or rules, by week, best first."""
    totals = {name: curve.returns(frequency="weekly").cumulative for name, curve in curves.items()}
    order = sorted(totals, key=lambda name: float(totals[name].iloc[-1]) if len(totals[name]) else 0.0, reverse=True)
    traces = [_line(totals[name], escape(name, quote=False), LINES[place % len(LINES)]) for place, name in enumerate(order)]
    for place, trace in enumerate(traces):
        trace["line"]["dash"] = ("solid", "dash", "dot")[place // len(LINES) % 3]
    layout = _layout(460 + 18 * (len(order) // 8)) | {"xaxis": _dates(), "yaxis": _axis("Cumulative")}
    layout |= {"hovermode": "closest", "showlegend": True}
    return {"data": traces, "layout": layout}


def months_figure(monthly: Returns, annual: Returns) -> Figure:
    """Net percent of each month, years downwards, and of each year beside."""
    years = (
        np.arange(annual.values.index[-1].year, annual.values.index[0].year - 1, -1)
        if len(annual.values)
        else np.array([], dtype=int)
    )
    index = pd.DatetimeIndex(monthly.values.index)
    grid, totals = np.full((len(years), 13), np.nan), np.full((len(years), 13), np.nan)
    if len(years):
        grid[years[0] - index.year, index.month - 1] = monthly.values.to_numpy(dtype=float)
        totals[:, 12] = annual.values.to_numpy(dtype=float)[::-1]
    cells: Figure = {"type": "heatmap", "x": [*MONTHS, "Year"], "y": [str(year) for year in years]}
    cells |= {"colorscale": LOSS_TO_GAIN, "showscale": False, "xgap": 1, "ygap": 1, "hoverongaps": False}
    cells |= {"texttemplate": "%{z:+.1f}", "textfont": {"size": 10}, "hovertemplate": "%{x} %{y}: %{z:+.2f} %<extra></extra>"}
    layout = _layout(70 + 21 * max(len(years), 3)) | {
        "xaxis": {"side": "top", "fixedrange": True, "type": "category", "showgrid": False, "ticks": ""},
        "yaxis": {"autorange": "reversed", "type": "category", "fixedrange": True, "showgrid": False, "ticks": "", "dtick": 1},
        "margin": {"l": 44, "r": 8, "t": 34, "b": 8},
        "hovermode": "closest",
    }
    return {"data": [{**cells, "z": values, **_symmetric(values)} for values in (grid, totals)], "layout": layout}


def bars_figure(values: pd.Series, title: str) -> Figure:
    """Horizontal bars by name, the first at the top; gains and losses in two colours."""
    numbers = values.to_numpy(dtype=float)
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": numbers,
        "y": [escape(str(name), quote=False) for name in values.index],
        "marker": {"color": [BLUE if value >= 0 else RED for value in numbers]},
        "texttemplate": "%{x:+.1f} %",
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{x:+.2f} %<extra></extra>",
    }
    layout = _layout(70 + 22 * max(len(values), 3)) | {
        "xaxis": _axis(title, range=_with_room(numbers)),
        "yaxis": {"autorange": "reversed", "type": "category", "automargin": True, "dtick": 1},
        "margin": {"l": 90, "r": 14, "t": 10, "b": 44},
        "hovermode": "closest",
        "showlegend": False,
    }
    return {"data": [trace], "layout": layout}


def _with_room(values: np.ndarray) -> list[float]:
    """A range that leaves room for the labels of bars."""
    low, high = min(0.0, values.min(initial=0.0)), max(0.0, values.max(initial=0.0))
    room = 0.12 * ((high - low) or 1.0)
    return [float(low - room if low < 0 else low), float(high + room)]


def costs_figure(annual: Returns) -> Figure:
    """Costs of each year."""
    years = pd.DatetimeIndex(annual.values.index).year.to_numpy(dtype=float)
    trace = {
        "type": "bar",
        "x": years,
        "y": annual.values.to_numpy(dtype=float),
        "marker": {"color": RED},
        "hovertemplate": "%{x:d}: %{y:+.2f} %<extra></extra>",
    }
    ticks = {"dtick": 1} if len(years) <= 12 else {}
    layout = _layout(240) | {
        "xaxis": {"tickformat": "d", "showgrid": False, **ticks},
        "yaxis": _axis("Costs"),
        "showlegend": False,
        "bargap": 0.25,
    }
    layout |= {"hovermode": "closest", "margin": {"l": 64, "r": 14, "t": 10, "b": 34}}
    return {"data": [trace], "layout": layout}


def instrument_layout() -> dict[str, Any]:
    """Layout of the chart of one instrument: price, position and profit below each other; its traces are made in the page."""
    return _layout(600) | {
        "yaxis": {**_axis(""), "domain": [0.70, 1.0], "title": {"text": "Price"}, "ticksuffix": ""},
        "yaxis2": {**_axis(""), "domain": [0.36, 0.64], "title": {"text": "Contracts"}, "ticksuffix": ""},
        "yaxis3": _axis("Net", domain=[0.0, 0.30]),
        "xaxis": _dates(anchor="y3"),
        "showlegend": False,
    }


def _rolling(returns: Returns) -> pd.Series:
    """Over half a year, at every fifth day: it moves slowly."""
    return returns.rolling_annual_std(128).iloc[::5]


def _line(values: pd.Series, name: str, color: str, *, yaxis: str = "y", width: float = 1.4) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": pd.DatetimeIndex(values.index).to_numpy(dtype="datetime64[D]"),
        "y": values.to_numpy(dtype=float),
        "yaxis": yaxis,
        "line": {"color": color, "width": width},
        "hovertemplate": "%{y:,.1f} %<extra>" + name + "</extra>",
    }


def _layout(height: int) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 64, "r": 14, "t": 34, "b": 34},
        "font": {"family": FONT, "size": 12, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": FAINT},
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "xaxis": {"gridcolor": GRID},
        "yaxis": {"gridcolor": GRID},
    }


def _axis(title: str, domain: Sequence[float] = (0.0, 1.0), **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": title, "standoff": 8},
        "domain": list(domain),
        "gridcolor": GRID,
        "zerolinecolor": FAINT,
        "ticksuffix": " %",
        "tickformat": ",",
        "nticks": 6,
        "automargin": True,
        **more,
    }


def _dates(anchor: str = "y") -> dict[str, Any]:
    return {
        "type": "date",
        "gridcolor": GRID,
        "anchor": anchor,
        "hoverformat": "%a %-d %b %Y",
        "tickformatstops": _tick_formats(),
    }


def _tick_formats() -> list[dict[str, Any]]:
    day, month = 86_400_000, "M1"
    return [
        {"dtickrange": [None, day * 20], "value": "%-d %b %Y"},
        {"dtickrange": [day * 20, month], "value": "%-d %b %Y"},
        {"dtickrange": [month, "M12"], "value": "%b %Y"},
        {"dtickrange": ["M12", None], "value": "%Y"},
    ]


def _ranges() -> dict[str, Any]:
    steps = [{"count": years, "step": "year", "stepmode": "backward", "label": f"{years} y"} for years in (1, 5, 10, 20)]
    return {
        "buttons": [*steps, {"step": "all", "label": "All"}],
        "x": 1,
        "xanchor": "right",
        "y": 1.01,
        "yanchor": "bottom",
        "bgcolor": "#f0f3f6",
    }


def _symmetric(values: np.ndarray) -> dict[str, float]:
    known = np.abs(values[~np.isnan(values)])
    limit = float(np.quantile(known, 0.98)) if len(known) else 0.0
    return {"zmin": -(limit or 1.0), "zmax": limit or 1.0}
