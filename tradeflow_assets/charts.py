"""Charts as SVG inside markdown, for the pages of assets: curves over time, bars by name.

Dagster shows markdown below 1000 characters in place, and longer one after a click, in a dialog. So a page has small pictures
without text (`metadata.sparkline`, `small_bars`), and beside them charts with axes.
"""

import base64
from html import escape

import dagster as dg
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

WIDTH, HEIGHT = 900, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 30
COLOURS = ("#4f43dd", "#e0731d", "#1f9d55", "#c026d3", "#0e7490", "#b91c1c")
MAX_POINTS = 360
TEXT = 'font-family="sans-serif" font-size="12" fill="#555"'


def line_chart(curves: pd.DataFrame, title: str) -> dg.MarkdownMetadataValue:
    """Curves over time, one a column, with axes, a line at zero and a legend. Index: naive stamps, sorted."""
    filled = curves.dropna(how="all").ffill()
    if len(filled) < 2:
        return dg.MetadataValue.md("too few values for a picture")
    picked = filled.iloc[np.unique(np.linspace(0, len(filled) - 1, MAX_POINTS).round().astype(int))]
    ticks = _ticks(min(0.0, float(picked.min().min())), max(0.0, float(picked.max().max())))
    days = pd.DatetimeIndex(picked.index)
    across = _across(days, days)
    parts = [_rules(ticks), _dates(days)]
    for number, name in enumerate(picked.columns):
        values = picked[name].to_numpy(float)
        finite = np.isfinite(values)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across[finite], _down(values[finite], ticks), strict=True))
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(
            f'<text x="{WIDTH - RIGHT - 90 * (len(picked.columns) - number)}" y="20" {TEXT.replace("#555", colour)}>{escape(str(name))}</text>'
        )
    return _markdown(parts, title, HEIGHT)


def bar_chart(values: pd.Series, title: str) -> dg.MarkdownMetadataValue:
    """A bar for each value, named, in the order given; to the right of the middle line where it is positive."""
    shown = values.dropna()
    if shown.empty:
        return dg.MetadataValue.md("no values for a picture")
    step, name_width = 17, 130
    largest = float(shown.abs().max()) or 1.0
    scale = (WIDTH - name_width - 2 * 70) / 2 / largest
    middle = name_width + 70 + scale * largest
    parts = []
    for number, (name, value) in enumerate(shown.items()):
        y = TOP + 6 + number * step
        size, colour = abs(float(value)) * scale, COLOURS[0] if value >= 0 else COLOURS[1]
        start = middle if value >= 0 else middle - size
        end, anchor = (start + size + 5, "start") if value >= 0 else (start - 5, "end")
        parts.append(f'<text x="{name_width - 8}" y="{y + 11}" text-anchor="end" {TEXT}>{escape(str(name))}</text>')
        parts.append(f'<rect x="{start:.1f}" y="{y}" width="{size:.1f}" height="{step - 5}" fill="{colour}"/>')
        parts.append(f'<text x="{end:.1f}" y="{y + 11}" text-anchor="{anchor}" {TEXT}>{float(value):,.2f}</text>')
    bottom = TOP + 12 + len(shown) * step
    parts.append(f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{TOP}" y2="{bottom}" stroke="#999"/>')
    return _markdown(parts, title, bottom + 6)


def small_bars(values: ArrayLike) -> dg.MarkdownMetadataValue:
    """Vertical bars without text, small enough to be shown in place; at most 80 bars, the largest."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return dg.MetadataValue.md("no values for a picture")
    if len(finite) > 80:
        finite = finite[np.sort(np.argsort(-np.abs(finite), kind="stable")[:80])]
    heights = (finite / (np.abs(finite).max() or 1.0) * 20).round().astype(int)
    path = "".join(f"M{2 * number},20v{-height}" for number, height in enumerate(heights))
    width = 2 * len(heights)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="320" height="80" viewBox="-1 0 {width} 40" preserveAspectRatio="none">'
    )
    svg = f'{head}<path d="{path}" stroke="#43d"/></svg>'
    return dg.MetadataValue.md(f"![]({_data_uri(svg)})")


def _ticks(low: float, high: float) -> np.ndarray:
    """Round numbers from below `low` to above `high`."""
    high = high if high > low else low + 1.0
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return np.arange(np.floor(low / step), np.ceil(high / step) + 1) * step


def _down(values: np.ndarray, ticks: np.ndarray) -> np.ndarray:
    return np.asarray(HEIGHT - BOTTOM - (values - ticks[0]) / (ticks[-1] - ticks[0]) * (HEIGHT - TOP - BOTTOM))


def _across(days: pd.DatetimeIndex, axis: pd.DatetimeIndex) -> np.ndarray:
    share = np.asarray((days - axis[0]) / (axis[-1] - axis[0]), dtype=float)
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _rules(ticks: np.ndarray) -> str:
    lines = []
    for tick, y in zip(ticks, _down(ticks, ticks), strict=True):
        colour = "#888" if tick == 0 else "#e3e3e3"
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" {TEXT}>{tick:g}</text>')
    return "".join(lines)


def _dates(days: pd.DatetimeIndex) -> str:
    """About seven dates below the axis: years where there are enough, else months."""
    years = (days[-1] - days[0]).days / 365.25
    frequency, form = (f"{int(np.ceil(years / 8))}YS", "%Y") if years > 4 else (f"{max(1, round(years * 12 / 7))}MS", "%b %Y")
    labels = []
    marked = pd.date_range(days[0], days[-1], freq=frequency)
    for day, x in zip(marked, _across(marked, days), strict=True):
        labels.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 4}" stroke="#888"/>')
        labels.append(f'<text x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle" {TEXT}>{day:{form}}</text>')
    return "".join(labels)


def _markdown(parts: list[str], title: str, height: int) -> dg.MarkdownMetadataValue:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
    named = f'<rect width="100%" height="100%" fill="#fff"/><text x="{LEFT - 40}" y="20" {TEXT.replace("#555", "#222")}>{escape(title)}</text>'
    return dg.MetadataValue.md(f"![{title}]({_data_uri(head + named + ''.join(parts) + '</svg>')})")


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
