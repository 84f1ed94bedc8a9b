"""One forecast per instrument: the weighted average of its rules, scaled up for their diversification, capped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats, Panel, Span, business_day_numbers, business_days
from tradeflow_core.strategy.common.weight_smoothing import smoothed, target_of_available, weights_at, weights_in_use
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.nested import ForecastMapping
from tradeflow_core.strategy.config.sections import CombinedForecastSection
from tradeflow_core.strategy.forecasts.forecast_accounts import ForecastAccounts
from tradeflow_core.strategy.forecasts.forecast_diversification import ForecastDiversification
from tradeflow_core.strategy.forecasts.forecast_weight_tables import ForecastWeightTables
from tradeflow_core.strategy.forecasts.forecasts import Forecasts
from tradeflow_core.strategy.forecasts.rule_matrix import RuleMatrix, carried_forward, closes_of, rule_matrix


@dataclass(frozen=True, eq=False)
class InstrumentForecast:
    """How the forecast of one instrument comes about: rows are stamps of `index`, columns of `weights` are `rules`."""

    index: pd.DatetimeIndex
    rules: list[str]
    weights: Floats
    multiplier: Floats
    before_cap: Floats
    combined: Floats

    @property
    def weighted(self) -> Floats:
        """1 where any rule has a weight, else 0."""
        return (np.nan_to_num(self.weights) != 0.0).any(axis=1).astype(float)


class CombinedForecast:
    """Weights, diversification multiplier and combined forecast of each instrument."""

    def __init__(self, forecasts: Forecasts, section: CombinedForecastSection, accounts: ForecastAccounts | None = None) -> None:
        """`accounts`: what weights of rules are estimated from; none are needed where weights are given."""
        self.forecasts, self.instruments, self.section = forecasts, forecasts.raw_data.instruments, section
        self.tables = ForecastWeightTables(forecasts, section, accounts)
        self.diversification = ForecastDiversification(forecasts, self.tables, section)

    @cached_property
    def rules(self) -> list[str]:
        """Rules with a weight anywhere, sorted."""
        return sorted({rule for instrument in self.instruments for rule in self.tables.of(instrument).columns})

    def of(self, instrument: str) -> InstrumentForecast:
        """The combined forecast of an instrument with all that leads to it; made anew each time."""
        matrix = rule_matrix(self.forecasts, instrument, at_close=self.section.corrects(Correction.DAILY_VALUES_AT_CLOSE))
        table = self.tables.of(instrument)
        rules = [str(rule) for rule in table.columns]
        values = matrix.of(rules)
        days, daily_weights = self._daily_weights(table, matrix, values)
        multiplier = self.diversification.multiplier(instrument, days, rules, weights=daily_weights)
        if len(days) != len(matrix.index):
            daily_weights, multiplier = self._at_stamps(matrix.index, days, daily_weights, multiplier=multiplier)
        with np.errstate(invalid="ignore"):
            before_cap = np.nansum(daily_weights * values, axis=1) * multiplier
        return InstrumentForecast(
            matrix.index, rules, daily_weights, multiplier, before_cap, self._capped(instrument, before_cap)
        )

    def _daily_weights(self, table: pd.DataFrame, matrix: RuleMatrix, values: Floats) -> tuple[pd.DatetimeIndex, Floats]:
        """Weights in use by business day; the given ones are averaged over the stamps of a day."""
        target, available = weights_at(table, matrix.index), ~np.isnan(values)
        span, ends_at_once = self.section.forecast_weight_ewma_span, self.section.corrects(Correction.COSTS_KNOWN_THEN)
        if not self.forecasts.any_hourly(matrix.rules) or not len(matrix.index):
            return matrix.index, weights_in_use(target, available, span, ends_at_once=ends_at_once)
        numbers = business_day_numbers(matrix.index)
        days = business_days(int(numbers[0]), int(numbers[-1]))
        allowed = pd.DataFrame(target_of_available(target, available))
        by_day = allowed.groupby(numbers).mean().reindex(range(int(numbers[0]), int(numbers[-1]) + 1))
        return days, smoothed(by_day.to_numpy(), span, ends_at_once=ends_at_once)

    def _at_stamps(
        self, stamps: pd.DatetimeIndex, days: pd.DatetimeIndex, weights: Floats, *, multiplier: Floats
    ) -> tuple[Floats, Floats]:
        """Daily weights and multiplier read back at intraday stamps.

        The reference reads them as if known from midnight on, and the multiplier at stamps of midnight only; corrected
        (DAILY_VALUES_AT_CLOSE), both are those of the last day that is over.
        """
        if self.section.corrects(Correction.DAILY_VALUES_AT_CLOSE):
            place = np.maximum(closes_of(self.forecasts, days).searchsorted(stamps, side="right") - 1, 0)
            return weights[place], multiplier[place]
        place = np.maximum(days.searchsorted(stamps, side="right") - 1, 0)
        factor = carried_forward(np.where(stamps.isin(days), multiplier[place], np.nan)[:, None])[:, 0]
        return weights[place], factor

    def _capped(self, instrument: str, forecast: Floats) -> Floats:
        """Within floor and cap, or mapped where the strategy says so."""
        mapping = self.section.forecast_mapping.get(instrument)
        if mapping is not None:
            return _mapped(forecast, mapping, self.section.forecast_cap)
        return np.clip(forecast, self.section.floor, self.section.forecast_cap)

    @cached_property
    def _panels(self) -> dict[str, Panel]:
        """Multiplier, forecast before the cap and combined forecast at the end of each business day."""
        length = self.forecasts.raw_data.calendar.length
        parts = ("multiplier", "before_cap", "combined", "weighted")
        arrays = {name: np.full((length, len(self.instruments)), np.nan, order="F") for name in parts}
        zero = np.zeros(len(self.instruments), dtype=np.int64)
        span = Span(zero, zero - 1)
        for column, instrument in enumerate(self.instruments):
            forecast = self.of(instrument)
            if not len(forecast.index):
                continue
            row = business_day_numbers(forecast.index) - self.forecasts.raw_data.calendar.start
            span.first[column], span.last[column] = row[0], row[-1]
            for name, array in arrays.items():
                array[row, column] = getattr(forecast, name)
        like = self.forecasts.raw_data.daily_price.like
        return {name: like(array, span) for name, array in arrays.items()}

    def weights(self, rule: str) -> Panel:
        """Weight in use of one rule, of every instrument."""
        return self.all_weights[rule]

    @cached_property
    def all_weights(self) -> dict[str, Panel]:
        """Weights in use by rule; much memory for many rules, so only made when asked for."""
        combined = self._panels["combined"]
        arrays = {rule: np.full(combined.array.shape, np.nan, order="F") for rule in self.rules}
        for column, instrument in enumerate(self.instruments):
            forecast = self.of(instrument)
            row = business_day_numbers(forecast.index) - self.forecasts.raw_data.calendar.start
            for place, rule in enumerate(forecast.rules):
                arrays[rule][row, column] = forecast.weights[:, place]
        return {rule: combined.like(array) for rule, array in arrays.items()}

    @property
    def diversification_multiplier(self) -> Panel:
        """By instrument and day."""
        return self._panels["multiplier"]

    @property
    def weighted(self) -> Panel:
        """1 on days on which any rule of the instrument has a weight, else 0."""
        return self._panels["weighted"]

    @property
    def before_cap(self) -> Panel:
        """Weighted sum times the multiplier; 0 before the first forecast."""
        return self._panels["before_cap"]

    @property
    def combined(self) -> Panel:
        """The forecast that positions are made of."""
        return self._panels["combined"]


def _mapped(forecast: Floats, mapping: ForecastMapping, cap: float) -> Floats:
    size = np.abs(forecast)
    steeper = mapping.b_param * (forecast - np.sign(forecast) * mapping.threshold)
    mapped = np.where(size <= cap, steeper, np.sign(forecast) * cap * mapping.a_param)
    return np.where(np.isnan(forecast), np.nan, np.where(size < mapping.threshold, 0.0, mapped))
