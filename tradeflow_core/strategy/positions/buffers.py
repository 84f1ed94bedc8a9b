"""Bands around the wanted position, within which nobody trades (Carver, Systematic Trading, chapter 11)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradeflow_core.strategy.common.panel import Floats, Panel
from tradeflow_core.strategy.config.sections import BufferSection

NARROW = 0.001


@dataclass(frozen=True, eq=False)
class Buffers:
    """Upper and lower edge of the band, contracts."""

    upper: Panel
    lower: Panel


def buffers(wanted: Panel, average_position: Panel, section: BufferSection) -> Buffers:
    """The band of each day around the `wanted` position.

    Half its width is `buffer_size` of the average position (method `forecast`), of the wanted one (`position`), or
    next to nothing (`none`).
    """
    if section.buffer_method == "forecast":
        width = wanted.like(section.buffer_size * np.abs(average_position.at(wanted.span).ffill().array))
    elif section.buffer_method == "position":
        width = wanted.like(section.buffer_size * np.abs(wanted.array))
    else:
        width = wanted.like(np.full(wanted.array.shape, NARROW))
    middle, half = wanted.ffill().array, width.ffill().array
    return Buffers(wanted.like(middle + half), wanted.like(middle - half))


def buffered_position(wanted: Panel, band: Buffers, section: BufferSection, *, rounded: bool) -> Panel:
    """The position held if one trades only when outside the band: to its edge, or to the wanted position.

    `rounded`: wanted position and edges are rounded first, so that whole contracts are held. Starts at the first wanted position.
    """
    target, upper, lower = (panel.ffill().array if rounded else panel.array for panel in (wanted, band.upper, band.lower))
    if rounded:
        target, upper, lower = np.round(target), np.round(upper), np.round(lower)
    if section.buffer_method == "none":
        return wanted.like(target)
    return wanted.like(_simulated(target, upper, lower, wanted=wanted, to_edge=section.buffer_trade_to_edge))


def _simulated(target: Floats, upper: Floats, lower: Floats, *, wanted: Panel, to_edge: bool) -> Floats:
    """Day by day, all instruments together. A day without figures, or outside an instrument's own, has no limits."""
    open_days = np.isnan(target) | np.isnan(upper) | np.isnan(lower) | ~wanted.rows
    top, bottom = np.where(open_days, np.inf, upper), np.where(open_days, -np.inf, lower)
    started = np.flatnonzero(~wanted.span.empty)
    first = wanted.span.first[started]
    opening = np.where(np.isnan(target[first, started]), 0.0, target[first, started])
    top[first, started] = bottom[first, started] = opening
    target = target.copy()
    target[first, started] = opening
    held = np.empty(target.shape)
    position = np.zeros(target.shape[1])
    for day in range(len(target)):
        if to_edge:
            np.minimum(position, top[day], out=position)
            np.maximum(position, bottom[day], out=position)
        else:
            np.copyto(position, target[day], where=(position > top[day]) | (position < bottom[day]))
        held[day] = position
    return held
