"""The weights of rules that a strategy starts from, by instrument: given ones, or estimated ones; less rules that cost too much."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.strategy.config import StrategyConfig
from tradeflow_core.strategy.forecast_costs import ForecastCosts
from tradeflow_core.strategy.forecast_weights import fixed_forecast_weights, weighs_cheap_rules_only
from tradeflow_core.strategy.forecasts import Forecasts

NO_CEILING = 999
ALWAYS = pd.DatetimeIndex(["1678-01-01"])


class ForecastWeightTables:
    """Tables of weights: a row for each date from which it is in force, a column for each rule."""

    def __init__(self, forecasts: Forecasts, config: StrategyConfig) -> None:
        self.forecasts, self.config = forecasts, config
        self.codes = forecasts.raw_data.codes

    @cached_property
    def costs(self) -> ForecastCosts:
        """Costs of rules, in Sharpe-ratio units."""
        return ForecastCosts(self.forecasts, self.config)

    def of(self, code: str) -> pd.DataFrame:
        """The weights of one instrument, which need not sum to 1. Rules above the cost ceiling are left out."""
        return self._fixed[code]

    @cached_property
    def _fixed(self) -> dict[str, pd.DataFrame]:
        first = self.too_expensive if weighs_cheap_rules_only(self.config) else None
        given = fixed_forecast_weights(self.config, self.codes, first)
        return {code: self._without_expensive(code, _one_row(given.loc[code].dropna())) for code in self.codes}

    def _without_expensive(self, code: str, table: pd.DataFrame) -> pd.DataFrame:
        kept = [rule for rule in table.columns if rule not in self.too_expensive[code]]
        return table[kept] if kept else table * 0.0

    @cached_property
    def too_expensive(self) -> dict[str, frozenset[str]]:
        """Rules of each instrument that cost more than `forecast_post_ceiling_cost_SR`; none at 999 and above."""
        return self.above(self.config.forecast_post_ceiling_cost_SR)

    def above(self, ceiling: float) -> dict[str, frozenset[str]]:
        """Rules of each instrument that cost more than a ceiling."""
        if ceiling >= NO_CEILING:
            return dict.fromkeys(self.codes, frozenset())
        total = self.costs.total(self.costs.final)
        with np.errstate(invalid="ignore"):
            beyond = total > ceiling
        return {code: frozenset(np.array(self.costs.rules)[beyond[place]]) for place, code in enumerate(self.codes)}


def _one_row(weights: pd.Series) -> pd.DataFrame:
    return pd.DataFrame(weights.to_numpy(dtype=float)[None, :], index=ALWAYS, columns=weights.index)
