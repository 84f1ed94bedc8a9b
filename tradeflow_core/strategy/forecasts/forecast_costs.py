"""What trading a rule costs, in Sharpe-ratio units a year (Carver, Systematic Trading, chapter 12).

Costs of a rule in an instrument: turnover of the forecast x cost of a trade, plus two trades for each roll. Turnover, or the
whole cost of trading, may be averaged over the instruments that use the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats, Ints
from tradeflow_core.strategy.common.years import BUSINESS_DAYS_PER_YEAR
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import CombinedForecastSection
from tradeflow_core.strategy.costs.sr_costs import costs_per_trade, rolls_per_year, sums_before
from tradeflow_core.strategy.forecasts.forecasts import Forecasts
from tradeflow_core.strategy.forecasts.rule_matrix import carried_forward


@dataclass(frozen=True, eq=False)
class CostTable:
    """Figures known at one moment; arrays of (instruments,) or (instruments, rules), missing where unknown or not used.

    `per_trade`, `holding`: Sharpe-ratio units per trade, and a year. `turnover`: average positions a year of the instrument's
    own forecast; `length`: its rows.
    """

    per_trade: Floats
    holding: Floats
    turnover: Floats
    length: Floats


class ForecastCosts:
    """Costs of every rule in every instrument, with all the data or as known on some day."""

    def __init__(self, forecasts: Forecasts, section: CombinedForecastSection) -> None:
        self.forecasts, self.section = forecasts, section
        raw = forecasts.raw_data
        self.instruments = raw.instruments
        self.rules = sorted({rule for rules in forecasts.rules_by_instrument.values() for rule in rules})
        self._known_before: dict[tuple[int, ...], list[CostTable]] = {}
        lists = list(forecasts.rules_by_instrument.values())
        self.uses = np.array([[rule in rules_used for rule in self.rules] for rules_used in lists], dtype=bool).reshape(
            len(lists), -1
        )
        self.same_rules = np.array([[rules_used == other for other in lists] for rules_used in lists], dtype=float)

    @cached_property
    def final(self) -> CostTable:
        """Figures of all the data."""
        return self.known_before([len(self.forecasts.raw_data.calendar.days)])[0]

    def known_before_cached(self, rows: list[int]) -> list[CostTable]:
        """As `known_before`, kept for the next instrument that asks."""
        key = tuple(rows)
        if key not in self._known_before:
            self._known_before[key] = self.known_before(rows)
        return self._known_before[key]

    def known_before(self, rows: list[int]) -> list[CostTable]:
        """Figures of the rows before each of `rows` of the calendar (ascending)."""
        ends = np.asarray(rows, dtype=np.int64)
        turnover, length = self._turnovers(ends)
        raw = self.forecasts.raw_data
        tables = []
        for place, end in enumerate(rows):
            per_trade = costs_per_trade(raw.commission_price, raw.daily_returns_volatility, raw.facts, before=end)
            holding = 2 * rolls_per_year(raw.facts) * per_trade
            tables.append(CostTable(per_trade, holding, turnover[place], length[place]))
        return tables

    def _turnovers(self, ends: Ints) -> tuple[Floats, Floats]:
        """Turnover and number of rows of each forecast before each row of `ends`: (ends, instruments, rules).

        A change counts from one row to the next, where both have a forecast; corrected (PAUSED_MARKETS), from one forecast to
        the next, and rows are those with a forecast.
        """
        pauses = self.section.corrects(Correction.PAUSED_MARKETS)
        turnover = np.full((len(ends), len(self.instruments), len(self.rules)), np.nan)
        length = np.zeros(turnover.shape)
        for place, rule in enumerate(self.rules):
            capped = self.forecasts.of(rule).capped
            before = carried_forward(capped.array) if pauses else capped.array
            before = np.vstack([np.full((1, before.shape[1]), np.nan), before[:-1]])
            change = np.abs(capped.array - before) / self.section.average_absolute_forecast
            has_change = ~np.isnan(change)
            total, count = sums_before(np.where(has_change, change, 0.0), ends), sums_before(has_change.astype(float), ends)
            with np.errstate(invalid="ignore"):
                turnover[:, :, place] = BUSINESS_DAYS_PER_YEAR * total / count
            row_count = (
                sums_before((~np.isnan(capped.array)).astype(float), ends)
                if pauses
                else self.forecasts.of(rule).rows_before(ends)
            )
            length[:, :, place] = row_count
        turnover[:, ~self.uses] = np.nan
        return turnover, np.where(self.uses, length, 0.0)

    def turnover(self, table: CostTable) -> Floats:
        """Turnover of each rule that costs are for: pooled, averaged over the instruments with the same rules by their length."""
        pooled = self.section.forecast_cost_estimates.use_pooled_turnover
        return self._pooled(table.turnover, table) if pooled else table.turnover

    def _pooled(self, values: Floats, table: CostTable) -> Floats:
        has_value = ~np.isnan(values)
        weight = np.where(has_value, table.length, 0.0)
        with np.errstate(invalid="ignore"):
            pooled = (self.same_rules @ (weight * np.where(has_value, values, 0.0))) / (self.same_rules @ weight)
        return np.where(self.uses, pooled, np.nan)

    def trading(self, table: CostTable) -> Floats:
        """Sharpe-ratio units a year for trading each rule in each instrument."""
        trading = self.turnover(table) * table.per_trade[:, None]
        return self._pooled(trading, table) if self.section.forecast_cost_estimates.use_pooled_costs else trading

    def total(self, table: CostTable) -> Floats:
        """Trading and rolling: (instruments, rules), positive."""
        return self.trading(table) + table.holding[:, None]

    def frame(self, table: CostTable | None = None) -> pd.DataFrame:
        """Rows (instrument, rule), those in use: own_turnover, turnover (what costs are for), trading, holding, sr_cost; of all data by default."""
        table = table or self.final
        columns = {
            "own_turnover": table.turnover,
            "turnover": self.turnover(table),
            "trading": self.trading(table),
            "holding": np.broadcast_to(table.holding[:, None], table.turnover.shape),
            "sr_cost": self.total(table),
        }
        rows = pd.MultiIndex.from_product([self.instruments, self.rules], names=["instrument", "rule"])
        frame = pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=rows)
        return frame[self.uses.ravel()]
