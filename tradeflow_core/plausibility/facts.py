"""What the tables say of an instrument, held against its prices and against what is known of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tradeflow_core.instruments import Instrument
from tradeflow_core.plausibility.finding import Floats, times_off

OTHER_FACTS, ODD_SPREAD = "other facts than known", "odd spread cost"

SAME = 5.0
"""A cost may be so many times another one: costs change, and people measure them differently."""

LEAST_OF_STEP = 0.1
"""A spread cost, half of a spread, is not less of the smallest step of the price. One that is too high is told as high costs."""

ON_GRID = 0.95
"""Share of changes that are whole steps where prices have a smallest one at all."""


def doubtful_facts(instrument: Instrument, price: pd.Series, known: Instrument | None) -> Iterator[tuple[str, str]]:
    """Kind and sentence for each fact that is not plausible. `price`: of one contract after the other, as traded; `known`: what the packaged
    tables say of the instrument, where they know it."""
    if known is not None:
        yield from _others(instrument, known)
    step = price_step(price.to_numpy(dtype=float))
    spread = instrument.costs.spread_cost
    if spread and spread < LEAST_OF_STEP * step:
        yield (
            ODD_SPREAD,
            f"Its spread cost, {spread:g}, is {spread / step:.2g} of the smallest step of its price, {step:g}: check the table.",
        )


def _others(instrument: Instrument, known: Instrument) -> Iterator[tuple[str, str]]:
    if instrument.currency != known.currency:
        yield (
            OTHER_FACTS,
            f"Its currency is {instrument.currency} here, and {known.currency} in the tables that come with tradeflow.",
        )
    ours, theirs = instrument.costs, known.costs
    for name, value, usual, factor in (
        ("point size", instrument.point_size, known.point_size, 1.001),
        ("spread cost", ours.spread_cost, theirs.spread_cost, SAME),
        ("commission of a contract", ours.per_block, theirs.per_block, SAME),
        ("percentage commission", ours.percentage, theirs.percentage, SAME),
    ):
        if value > 0 and usual > 0 and max(value / usual, usual / value) > factor:
            yield (
                OTHER_FACTS,
                f"Its {name}, {value:g}, is {times_off(value / usual)} for the tables that come with tradeflow, {usual:g}.",
            )


def price_step(prices: Floats) -> float:
    """The smallest step of prices, if nearly all changes are whole steps; 0 where prices do not move, or by any amount."""
    changes = np.abs(np.diff(prices))
    changes = changes[np.isfinite(changes) & (changes > 1e-9)]
    if not len(changes):
        return 0.0
    step = float(changes.min())
    multiples = changes / step
    on_grid = np.abs(multiples - np.round(multiples)) < 0.05
    return step if np.mean(on_grid) >= ON_GRID and np.mean(multiples < 1.5) > 1e-3 else 0.0
