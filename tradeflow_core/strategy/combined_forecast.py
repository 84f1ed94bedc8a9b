"""One forecast per instrument: the weighted average of its rules, scaled up for their diversification, capped."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.config import ForecastMapping, StrategyConfig
from tradeflow_core.strategy.forecast_weights import fixed_forecast_weights
from tradeflow_core.strategy.forecasts import Forecasts
from tradeflow_core.strategy.panel import Floats, Panel, Span
from tradeflow_core.strategy.weight_smoothing import weights_in_use


class CombinedForecast:
    """Weights, diversification multiplier and combined forecast of each instrument."""

    def __init__(self, forecasts: Forecasts, codes: list[str], config: StrategyConfig) -> None:
        self.forecasts, self.codes, self.config = forecasts, codes, config

    @cached_property
    def _given(self) -> tuple[list[str], Floats]:
        table = fixed_forecast_weights(self.config, self.codes)
        return [str(rule) for rule in table.columns], table.to_numpy(dtype=float)

    @property
    def rules(self) -> list[str]:
        """Rules with a weight anywhere, sorted."""
        return self._given[0]

    @cached_property
    def span(self) -> Span:
        """The days of an instrument's forecasts: from the first to the last row of any rule that it uses."""
        rules, given = self._given
        zero = np.zeros(len(self.codes), dtype=np.int64)
        span = Span(zero, zero - 1)
        for place, rule in enumerate(rules):
            own = self.forecasts.capped(rule).span
            used = ~np.isnan(given[:, place])
            span = span | Span(own.first, np.where(used, own.last, own.first - 1))
        return span

    @cached_property
    def _filled(self) -> Floats:
        """Capped forecasts carried forward: (days, instruments, rules); missing where a rule is not used."""
        rules, given = self._given
        panels = [self.forecasts.capped(rule).at(self.span).ffill().array for rule in rules]
        return np.where(np.isnan(given), np.nan, np.stack(panels, axis=2))

    @cached_property
    def _weights(self) -> Floats:
        rows = self.span.mask(len(self._filled))
        target = np.where(rows[:, :, None], self._given[1], np.nan)
        return weights_in_use(target, ~np.isnan(self._filled), self.config.forecast_weight_ewma_span)

    def weights(self, rule: str) -> Panel:
        """Weight in use of one rule, of every instrument."""
        return self._panel(self._weights[:, :, self.rules.index(rule)])

    @cached_property
    def diversification_multiplier(self) -> Panel:
        """By instrument, constant."""
        given = self.config.forecast_div_multiplier
        if isinstance(given, dict):
            missing = [code for code in self.codes if code not in given]
            if missing:
                raise ConfigError(f"{self.config.source}: forecast_div_multiplier has no value for {', '.join(missing)}; add it")
            row = np.array([given[code] for code in self.codes])
        else:
            row = np.full(len(self.codes), given)
        return self._panel(np.tile(row, (len(self._filled), 1)))

    @cached_property
    def before_cap(self) -> Panel:
        """Weighted sum times the multiplier; 0 before the first forecast."""
        total = np.nansum(self._weights * self._filled, axis=2)
        return self._panel(total * self.diversification_multiplier.array)

    @cached_property
    def combined(self) -> Panel:
        """The forecast that positions are made of, within floor and cap, or mapped where the strategy says so."""
        capped = np.clip(self.before_cap.array, self.config.floor, self.config.forecast_cap)
        for column, code in enumerate(self.codes):
            if code in self.config.forecast_mapping:
                raw = self.before_cap.array[:, column]
                capped[:, column] = _mapped(raw, self.config.forecast_mapping[code], self.config.forecast_cap)
        return self._panel(capped)

    def _panel(self, array: Floats) -> Panel:
        return self.forecasts.raw_data.daily_price.like(array, self.span)


def _mapped(forecast: Floats, mapping: ForecastMapping, cap: float) -> Floats:
    size = np.abs(forecast)
    steeper = mapping.b_param * (forecast - np.sign(forecast) * mapping.threshold)
    mapped = np.where(size <= cap, steeper, np.sign(forecast) * cap * mapping.a_param)
    return np.where(np.isnan(forecast), np.nan, np.where(size < mapping.threshold, 0.0, mapped))
