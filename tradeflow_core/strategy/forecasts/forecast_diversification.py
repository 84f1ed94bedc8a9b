"""The forecast diversification multiplier: what a weighted average of forecasts is scaled up by, since rules do not always agree."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.common.panel import Floats, business_day_numbers
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import CombinedForecastSection
from tradeflow_core.strategy.estimation.correlation import Correlation, fitted_correlations
from tradeflow_core.strategy.estimation.diversification import multiplier_over_time
from tradeflow_core.strategy.estimation.periods import FitPeriod
from tradeflow_core.strategy.estimation.stacking import after_label, last_values, stack
from tradeflow_core.strategy.forecasts.forecast_weight_tables import ForecastWeightTables
from tradeflow_core.strategy.forecasts.forecasts import Forecasts
from tradeflow_core.strategy.forecasts.rule_matrix import rule_matrix


class ForecastDiversification:
    """Multipliers by instrument: given, or estimated from the correlation of forecasts."""

    def __init__(self, forecasts: Forecasts, tables: ForecastWeightTables, section: CombinedForecastSection) -> None:
        self.forecasts, self.tables, self.section = forecasts, tables, section
        self._correlations: dict[tuple[str, ...], list[tuple[FitPeriod, Correlation]]] = {}

    def multiplier(self, instrument: str, days: pd.DatetimeIndex, rules: list[str], *, weights: Floats) -> Floats:
        """The multiplier of an instrument on each of `days`; `weights`: in use, (days, rules)."""
        if not self.section.use_forecast_div_mult_estimates or not len(days):
            return np.full(len(days), self._given(instrument))
        settings = self.section.forecast_div_mult_estimate
        in_use = pd.DataFrame(weights, index=days, columns=rules)
        current = self.section.corrects(Correction.CURRENT_WEIGHTS)
        series = multiplier_over_time(
            self.correlations(instrument), in_use, settings.dm_max, ewma_span=settings.ewma_span, current_weights=current
        )
        return series.to_numpy()

    def correlations(self, instrument: str) -> list[tuple[FitPeriod, Correlation]]:
        """Correlation of forecasts for each fit period: of all instruments with the same rules together, if so pooled."""
        pooled = self.section.forecast_correlation_estimate.pool_instruments
        group = self.tables.group_of(instrument) if pooled else (instrument,)
        if group not in self._correlations:
            self._correlations[group] = self._estimated(group)
        return self._correlations[group]

    def _estimated(self, group: tuple[str, ...]) -> list[tuple[FitPeriod, Correlation]]:
        estimate, corrections = self.section.forecast_correlation_estimate, self.section.corrections
        frames = [self._levels(instrument, estimate.frequency) for instrument in group]
        by_key = Correction.CALENDAR_FITS in corrections
        if not by_key:  # else look-backs would change when another instrument starts
            frames = [frame for frame in frames if len(frame)]
        data = stack(frames, by_key=by_key, known_after=after_label(estimate.frequency, corrections))
        return list(fitted_correlations(data, estimate, corrections))

    def _levels(self, instrument: str, frequency: str) -> pd.DataFrame:
        """Forecasts at the end of each bin, also of bins without price; corrected (PAUSED_MARKETS), those are missing."""
        raw = self.forecasts.raw_data
        matrix = rule_matrix(self.forecasts, instrument, at_close=self.section.corrects(Correction.DAILY_VALUES_AT_CLOSE))
        levels = pd.DataFrame(matrix.values, index=matrix.index, columns=list(matrix.rules))
        if self.section.corrects(Correction.PAUSED_MARKETS):
            days = business_day_numbers(matrix.index) - raw.calendar.start
            levels = levels.loc[raw.priced[days, raw.instruments.index(instrument)]].reindex(levels.index)
        return last_values(levels, frequency)

    def _given(self, instrument: str) -> float:
        given = self.section.forecast_div_multiplier
        if not isinstance(given, dict):
            return given
        if instrument not in given:
            raise ConfigError(f"{self.section.source}: forecast_div_multiplier has no value for {instrument}; add it")
        return given[instrument]
