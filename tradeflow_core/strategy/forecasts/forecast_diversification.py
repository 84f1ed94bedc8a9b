"""The forecast diversification multiplier: what a weighted average of forecasts is scaled up by, since rules do not always agree."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.common.panel import Floats, business_day_numbers
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.estimation.correlation import Correlation, correlations
from tradeflow_core.strategy.estimation.diversification import multiplier_over_time
from tradeflow_core.strategy.estimation.periods import FitPeriod, fit_periods
from tradeflow_core.strategy.estimation.settings import CorrelationSettings
from tradeflow_core.strategy.estimation.stacking import after_label, last_values, stack
from tradeflow_core.strategy.forecasts.forecast_weight_tables import ForecastWeightTables
from tradeflow_core.strategy.forecasts.forecasts import Forecasts
from tradeflow_core.strategy.forecasts.rule_matrix import rule_matrix


class ForecastDiversification:
    """Multipliers by instrument: given, or estimated from the correlation of forecasts."""

    def __init__(self, forecasts: Forecasts, tables: ForecastWeightTables, config: StrategyConfig) -> None:
        self.forecasts, self.tables, self.config = forecasts, tables, config
        self._correlations: dict[tuple[str, ...], list[tuple[FitPeriod, Correlation]]] = {}

    def multiplier(self, code: str, days: pd.DatetimeIndex, rules: list[str], weights: Floats) -> Floats:
        """The multiplier of an instrument on each of `days`; `weights`: in use, (days, rules)."""
        if not self.config.use_forecast_div_mult_estimates or not len(days):
            return np.full(len(days), self._given(code))
        settings = self.config.forecast_div_mult_estimate
        in_use = pd.DataFrame(weights, index=days, columns=rules)
        current = self.config.corrects(Correction.CURRENT_WEIGHTS)
        series = multiplier_over_time(
            self.correlations(code), in_use, settings.dm_max, settings.ewma_span, current_weights=current
        )
        return series.to_numpy()

    def correlations(self, code: str) -> list[tuple[FitPeriod, Correlation]]:
        """Correlation of forecasts for each fit period: of all instruments with the same rules together, if so pooled."""
        pooled = self.config.forecast_correlation_estimate.pool_instruments
        group = self.tables.group_of(code) if pooled else (code,)
        if group not in self._correlations:
            self._correlations[group] = self._estimated(group)
        return self._correlations[group]

    def _estimated(self, group: tuple[str, ...]) -> list[tuple[FitPeriod, Correlation]]:
        section = self.config.forecast_correlation_estimate
        corrections = self.config.estimation_corrections
        frames = [self._levels(code, section.frequency) for code in group]
        if not corrections.calendar_fits:  # else look-backs would change when another instrument starts
            frames = [frame for frame in frames if len(frame)]
        known_after = after_label(section.frequency) if corrections.calendar_fits else 0
        data = stack(frames, by_key=corrections.calendar_fits, known_after=known_after)
        periods = fit_periods(
            data.first,
            data.last,
            section.date_method,
            section.rollyears,
            section.interval_frequency,
            calendar=corrections.calendar_fits,
            in_years=corrections.rolling_window,
        )
        return list(correlations(data, periods, CorrelationSettings.like(section), corrections))

    def _levels(self, code: str, frequency: str) -> pd.DataFrame:
        """Forecasts at the end of each bin, also of bins without price; corrected (PAUSED_MARKETS), those are missing."""
        matrix, raw = rule_matrix(self.forecasts, code), self.forecasts.raw_data
        levels = pd.DataFrame(matrix.values, index=matrix.index, columns=list(matrix.rules))
        if self.config.corrects(Correction.PAUSED_MARKETS):
            days = business_day_numbers(matrix.index) - raw.calendar.start
            levels = levels.loc[raw.priced[days, raw.codes.index(code)]].reindex(levels.index)
        return last_values(levels, frequency)

    def _given(self, code: str) -> float:
        given = self.config.forecast_div_multiplier
        if not isinstance(given, dict):
            return given
        if code not in given:
            raise ConfigError(f"{self.config.source}: forecast_div_multiplier has no value for {code}; add it")
        return given[code]
