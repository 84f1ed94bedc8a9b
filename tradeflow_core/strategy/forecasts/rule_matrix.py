"""The capped forecasts of one instrument, side by side and carried forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats, business_day_numbers
from tradeflow_core.strategy.forecasts.forecasts import Forecasts


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


def rule_matrix(forecasts: Forecasts, instrument: str, *, at_close: bool) -> RuleMatrix:
    """The forecasts of every rule that an instrument uses, from the first to the last row of any.

    Beside hourly forecasts the reference stamps a day's figure with its midnight, before it is known; `at_close`
    (DAILY_VALUES_AT_CLOSE), with the end of the day.
    """
    rules = forecasts.rules_by_instrument[instrument]
    column = forecasts.raw_data.instruments.index(instrument)
    hourly = [rule for rule in rules if forecasts.of(rule).hourly]
    daily = [rule for rule in rules if rule not in hourly]
    panels = [forecasts.of(rule).capped for rule in daily]
    with_rows = [panel.span for panel in panels if not panel.span.empty[column]]
    days = forecasts.raw_data.calendar.days
    values = np.empty((0, len(daily)))
    if with_rows:
        rows = slice(min(int(span.first[column]) for span in with_rows), max(int(span.last[column]) for span in with_rows) + 1)
        values, days = np.column_stack([panel.array[rows, column] for panel in panels]), days[rows]
    else:
        days = days[:0]
    if not hourly:
        return RuleMatrix(days, rules, carried_forward(values))
    if at_close:
        days = closes_of(forecasts, days)
    parts = [
        pd.DataFrame(values, index=days, columns=daily),
        *(forecasts.of(rule).at_stamps.capped[instrument].rename(rule) for rule in hourly),
    ]
    table = pd.concat(parts, axis=1, sort=True)[list(rules)]
    return RuleMatrix(pd.DatetimeIndex(table.index), rules, carried_forward(table.to_numpy(dtype=float)))


def closes_of(forecasts: Forecasts, days: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """When each of some business days is over."""
    return forecasts.raw_data.closes[business_day_numbers(days) - forecasts.raw_data.calendar.start]


def carried_forward(values: Floats) -> Floats:
    """The last known value of each column at or before each row."""
    row = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    np.maximum.accumulate(row, axis=0, out=row)
    return np.take_along_axis(values, row, axis=0)
