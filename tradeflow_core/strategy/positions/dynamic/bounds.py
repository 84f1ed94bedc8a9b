"""Where the position of each instrument may lie, and from where and which way it is searched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.positions.dynamic.problem import Constraints


@dataclass(frozen=True, eq=False)
class Bounds:
    """`lowest` and `highest` position, `start` of the search (the allowed position nearest to 0) and its `direction`, +1 or -1."""

    lowest: Floats
    highest: Floats
    start: Floats
    direction: Floats


def bounds_of(
    held: Floats | None, wanted: Floats, most: Floats, *, constraints: Constraints, unlimited: float, corrected: bool
) -> Bounds:
    """Bounds in the unit of the arguments, which is contracts or weights.

    `most`: on either side, missing for no limit; `unlimited` stands for no bound. Where nothing is known to be held,
    reduce-only is ignored; corrected, it then means that nothing is opened.
    """
    none = np.zeros(len(wanted))
    position = none if held is None else held
    lowest = np.where(constraints.long_only, 0.0, -unlimited)
    highest = np.full(len(wanted), unlimited)
    if held is not None or corrected:
        closing = constraints.reduce_only
        lowest = np.where(closing, np.maximum(lowest, np.minimum(position, none)), lowest)
        highest = np.where(closing, np.maximum(position, none), highest)
    lowest = np.fmax(lowest, -most)
    highest = np.fmin(highest, most)
    lowest = np.where(constraints.no_trade, position, lowest)
    highest = np.where(constraints.no_trade, position, highest)
    only_up, only_down = lowest >= 0, highest <= 0
    direction = np.where(only_up, 1.0, np.where(only_down, -1.0, np.where(wanted < 0, -1.0, 1.0)))
    return Bounds(lowest, highest, np.minimum(np.maximum(lowest, none), highest), direction)
