"""The weights of rules that a strategy starts from, by instrument: given ones, or estimated ones; less rules that cost too much."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.common.weight_smoothing import ALWAYS
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import CombinedForecastSection
from tradeflow_core.strategy.estimation.periods import fit_periods
from tradeflow_core.strategy.forecasts.forecast_accounts import ForecastAccounts
from tradeflow_core.strategy.forecasts.forecast_costs import ForecastCosts
from tradeflow_core.strategy.forecasts.forecast_weight_estimates import ForecastWeightEstimates
from tradeflow_core.strategy.forecasts.forecast_weights import fixed_forecast_weights, weighs_cheap_rules_only
from tradeflow_core.strategy.forecasts.forecasts import Forecasts

NO_CEILING = 999
"""A ceiling that stands for none, in strategy files of the reference and ours."""


class ForecastWeightTables:
    """Tables of weights: a row for each date from which it is in force, a column for each rule."""

    def __init__(self, forecasts: Forecasts, section: CombinedForecastSection, accounts: ForecastAccounts | None = None) -> None:
        self.forecasts, self.section, self.accounts = forecasts, section, accounts
        self.instruments = forecasts.raw_data.instruments
        self._tables: dict[str, pd.DataFrame] = {}

    @cached_property
    def costs(self) -> ForecastCosts:
        """Costs of rules, in Sharpe-ratio units."""
        return ForecastCosts(self.forecasts, self.section)

    @cached_property
    def estimates(self) -> ForecastWeightEstimates:
        """Where estimated weights come from."""
        if self.accounts is None:
            raise ValueError("weights of rules are estimated from their profit and loss: give the accounts of the forecasts")
        return ForecastWeightEstimates(self.accounts, self.costs, self.group_of, section=self.section)

    def of(self, instrument: str) -> pd.DataFrame:
        """The weights of one instrument, which need not sum to 1; rules above the cost ceiling have none.

        Raises ConfigError where no rule of an instrument is cheap enough to estimate weights of.
        """
        if instrument not in self._tables:
            self._tables[instrument] = self._without_expensive(instrument, self._given_or_estimated(instrument))
        return self._tables[instrument]

    def _given_or_estimated(self, instrument: str) -> pd.DataFrame:
        if not self.section.use_forecast_weight_estimates:
            grouped = weighs_cheap_rules_only(self.section)
            return self._grouped_cheap_rules(instrument) if grouped else _one_row(self._given.T[instrument].dropna())
        rules = self.candidates[instrument]
        if not rules:
            ceiling = self.section.forecast_weight_estimate.ceiling_cost_SR
            raise ConfigError(
                f"{self.section.source}: every rule costs more than forecast_weight_estimate.ceiling_cost_SR {ceiling} for {instrument}: "
                "raise it, or exclude the instrument"
            )
        return self.estimates.table(instrument, rules)

    def group_of(self, instrument: str) -> tuple[str, ...]:
        """The instruments, sorted, that use the same rules; where weights are estimated, the same rules below the cost ceiling."""
        return tuple(other for other in sorted(self.instruments) if self.candidates[other] == self.candidates[instrument])

    @cached_property
    def candidates(self) -> Mapping[str, tuple[str, ...]]:
        """The rules of each instrument; where weights are estimated, those below its cost ceiling."""
        lists = self.forecasts.rules_by_instrument
        if not self.section.use_forecast_weight_estimates:
            return lists
        if self.section.corrects(Correction.COSTS_KNOWN_THEN):
            return lists
        expensive = self.above(self.section.forecast_weight_estimate.ceiling_cost_SR)
        return {
            instrument: tuple(rule for rule in rules if rule not in expensive[instrument]) for instrument, rules in lists.items()
        }

    @cached_property
    def _given(self) -> pd.DataFrame:
        return fixed_forecast_weights(self.section, self.instruments)

    def _grouped_cheap_rules(self, instrument: str) -> pd.DataFrame:
        """The weight of groups divided among their rules below the ceiling: by the costs that `_without_expensive` goes by.

        Raises ConfigError where every rule is above it; corrected (COSTS_KNOWN_THEN), such a year has no weights.
        """
        if not self.section.corrects(Correction.COSTS_KNOWN_THEN):
            return _one_row(fixed_forecast_weights(self.section, [instrument], self.too_expensive).T[instrument].dropna())
        rules = pd.Index(self.forecasts.rules_by_instrument[instrument], name="rule")
        rows = {}
        for start, expensive in zip(self._years, self._too_expensive_at(self._years, instrument, list(rules)), strict=True):
            rows[start] = pd.Series(0.0, index=rules)
            if not expensive.all():
                cheap = fixed_forecast_weights(self.section, [instrument], {instrument: frozenset(rules[expensive])})
                rows[start] = cheap.T[instrument].reindex(rules, fill_value=0.0)
        return pd.DataFrame.from_dict(rows, orient="index")

    @cached_property
    def _years(self) -> pd.DatetimeIndex:
        """The days from which costs known then are looked at anew where weights are given."""
        days = self.forecasts.raw_data.calendar.days
        return pd.DatetimeIndex(
            [period.period_start for period in fit_periods(days[0], days[-1], corrections=frozenset({Correction.CALENDAR_FITS}))]
        )

    def _too_expensive_at(self, starts: pd.DatetimeIndex, instrument: str, rules: list[str]) -> NDArray[np.bool_]:
        """Which rules cost more than `forecast_post_ceiling_cost_SR` by what was known at each start: (starts, rules)."""
        rows = [int(row) for row in self.forecasts.raw_data.calendar.days.searchsorted(starts)]
        column, place = self.instruments.index(instrument), [self.costs.rules.index(rule) for rule in rules]
        cost = np.stack([self.costs.total(table)[column, place] for table in self.costs.known_before_cached(rows)])
        return np.asarray(cost > self.section.forecast_post_ceiling_cost_SR)

    def _without_expensive(self, instrument: str, table: pd.DataFrame) -> pd.DataFrame:
        """The table without rules above the ceiling, all 0 when that is every rule.

        Costs are those of the last year of data; corrected (COSTS_KNOWN_THEN), those known at the start of each row, and of
        each year where weights are given. A rule whose costs are unknown then is kept.
        """
        if self.section.forecast_post_ceiling_cost_SR >= NO_CEILING:
            return table
        if not self.section.corrects(Correction.COSTS_KNOWN_THEN):
            kept = [rule for rule in table.columns if rule not in self.too_expensive[instrument]]
            return table[kept] if kept else table * 0.0
        starts = pd.DatetimeIndex(table.index) if self.section.use_forecast_weight_estimates else self._years
        expensive = self._too_expensive_at(starts, instrument, list(table.columns))
        return table.reindex(starts, method="ffill").mask(expensive, 0.0)

    @cached_property
    def too_expensive(self) -> dict[str, frozenset[str]]:
        """Rules of each instrument that cost more than `forecast_post_ceiling_cost_SR`; none at 999 and above."""
        return self.above(self.section.forecast_post_ceiling_cost_SR)

    def above(self, ceiling: float) -> dict[str, frozenset[str]]:
        """Rules of each instrument that cost more than a ceiling."""
        if ceiling >= NO_CEILING:
            return dict.fromkeys(self.instruments, frozenset())
        total = self.costs.total(self.costs.final)
        with np.errstate(invalid="ignore"):
            beyond = total > ceiling
        return {
            instrument: frozenset(np.array(self.costs.rules)[beyond[place]]) for place, instrument in enumerate(self.instruments)
        }


def _one_row(weights: pd.Series) -> pd.DataFrame:
    return pd.DataFrame(weights.to_numpy(dtype=float)[None, :], index=ALWAYS, columns=weights.index)
