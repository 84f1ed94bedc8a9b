"""The capped forecasts of one instrument, side by side and carried forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tradeflow_core.strategy.forecasts import Forecasts
from tradeflow_core.strategy.panel import Floats


@dataclass(frozen=True, eq=False)
class RuleMatrix:
    """`values`: (stamps of `index`, `rules`), carried forward; missing before a rule's first forecast.

    The stamps are business days, but for an instrument with an hourly rule those of its hourly forecasts too.
    """

    index: pd.DatetimeIndex
    rules: tuple[str, ...]
    values: Floats

    def of(self, rules: list[str]) -> Floats:
        """The columns of some rules, in that order."""
        return self.values[:, [self.rules.index(rule) for rule in rules]]


def rule_matrix(forecasts: Forecasts, code: str) -> RuleMatrix:
    """The forecasts of every rule that an instrument uses, from the first to the last row of any."""
    rules = forecasts.rules_by_instrument[code]
    column = forecasts.raw_data.codes.index(code)
    panels = [forecasts.capped(rule) for rule in rules]
    with_rows = [panel.span for panel in panels if not panel.span.empty[column]]
    if not with_rows:
        return RuleMatrix(pd.DatetimeIndex([]), rules, np.empty((0, len(rules))))
    own = slice(min(int(span.first[column]) for span in with_rows), max(int(span.last[column]) for span in with_rows) + 1)
    values = np.column_stack([panel.array[own, column] for panel in panels])
    return RuleMatrix(forecasts.raw_data.calendar.days[own], rules, carried_forward(values))


def carried_forward(values: Floats) -> Floats:
    """The last known value of each column at or before each row."""
    row = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    np.maximum.accumulate(row, axis=0, out=row)
    return np.take_along_axis(values, row, axis=0)
