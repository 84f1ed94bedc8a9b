"""One forecast per rule and instrument: raw, scaled to a common size, capped (Carver, Systematic Trading, chapters 7 and 8)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats, Ints, Panel
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.forecasts.forecast_weights import rules_by_instrument
from tradeflow_core.strategy.forecasts.intraday import IntradayForecast, is_intraday, raw_intraday
from tradeflow_core.strategy.forecasts.rule_calls import raw_forecast
from tradeflow_core.strategy.forecasts.scalars import estimated_scalars
from tradeflow_core.strategy.inputs.attenuation import attenuation
from tradeflow_core.strategy.inputs.data import rate_at
from tradeflow_core.strategy.inputs.raw_data import RawData


class Forecasts:
    """Forecasts by rule: panels of all instruments. Capped ones are kept, what leads to them is made when asked for."""

    def __init__(self, raw_data: RawData, config: StrategyConfig) -> None:
        self.raw_data, self.config = raw_data, config
        self._capped: dict[str, Panel] = {}
        self._intraday: dict[str, IntradayForecast] = {}

    @property
    def rules(self) -> list[str]:
        """Names of all rules, in the order of the strategy file."""
        return list(self.config.trading_rules)

    @cached_property
    def rules_by_instrument(self) -> dict[str, tuple[str, ...]]:
        """The rules that each instrument uses, sorted."""
        return rules_by_instrument(self.config, self.raw_data.codes)

    def raw(self, rule: str) -> Panel:
        """The rule's own output.

        A forecast of exactly 0 is missing, which later carries the last one forward; corrected (FLAT_STAYS_FLAT), it is flat.
        """
        return raw_forecast(rule, self.raw_data, self.config)

    @cached_property
    def attenuation(self) -> Panel:
        """What forecasts are multiplied by where the strategy attenuates them: less when volatility is high."""
        return attenuation(self.raw_data, self.config)

    def attenuated(self, rule: str) -> Panel:
        """The raw forecast, times the attenuation if the strategy names the rule in `use_attenuation`."""
        raw = self.raw(rule)
        if rule not in self.config.use_attenuation:
            return raw
        return raw.like(raw.array * self.attenuation.asof(raw.span).array)

    def scalars(self, rule: str) -> Panel:
        """What the raw forecast is multiplied by on each of its days, so that its average absolute size is about 10."""
        raw = self.attenuated(rule)
        return raw.like(np.broadcast_to(self._scalars(rule, raw.array), raw.array.shape))

    def _scalars(self, rule: str, raw: Floats) -> Floats:
        """Scalars of the attenuated forecasts (rows, instruments), of a shape that multiplies them."""
        if not self.config.use_forecast_scale_estimates:
            return np.full((1, 1), self._fixed_scalar(rule))
        settings = self.config.forecast_scalar_estimate
        if self.config.corrects(Correction.NO_BACKFILL):
            settings = settings.model_copy(update={"backfill": False})
        users = np.array([rule in rules for rules in self.rules_by_instrument.values()])
        return estimated_scalars(raw, users, settings, self.config.average_absolute_forecast)

    def _fixed_scalar(self, rule: str) -> float:
        own = self.config.trading_rules[rule].forecast_scalar
        return own if own is not None else self.config.forecast_scalars.get(rule, self.config.forecast_scalar)

    def capped(self, rule: str) -> Panel:
        """The scaled forecast within floor and cap."""
        if rule not in self._capped:
            raw = self.attenuated(rule)
            scaled = raw.array * self._scalars(rule, raw.array)
            np.clip(scaled, self.config.floor, self.config.forecast_cap, out=scaled)
            self._capped[rule] = raw.like(scaled)
        return self._capped[rule]

    def take_over(self, rule: str, other: Forecasts) -> None:
        """Use what another one has computed of a rule; its data and the settings of the rule must be the same."""
        self._capped.update({name: panel for name, panel in other._capped.items() if name == rule})
        self._intraday.update({name: found for name, found in other._intraday.items() if name == rule})

    def has_intraday(self, rules: Iterable[str]) -> bool:
        """True if any of the rules forecasts by the hour."""
        return any(is_intraday(self.config.trading_rules[rule]) for rule in rules)

    def daily_capped(self, rule: str) -> Panel:
        """The capped forecast at the end of each business day; that of an hourly rule is the day's last one."""
        if not self.has_intraday([rule]):
            return self.capped(rule)
        if rule not in self._capped:
            self._capped[rule] = self.raw_data.calendar.last(self.intraday(rule).capped)
        return self._capped[rule]

    def intraday(self, rule: str) -> IntradayForecast:
        """The forecasts of an hourly rule."""
        if rule not in self._intraday:
            raw = raw_intraday(rule, self.raw_data, self.config)
            if rule in self.config.use_attenuation:
                raw = {code: one * rate_at(self.attenuation.values[code].dropna(), one.index) for code, one in raw.items()}
            table = pd.DataFrame(raw)
            values = np.broadcast_to(self._scalars(rule, table.to_numpy(dtype=float)), table.shape)
            scalars = pd.DataFrame(values, index=table.index, columns=table.columns)
            capped = (table * scalars).clip(self.config.floor, self.config.forecast_cap)
            self._intraday[rule] = IntradayForecast(
                *({code: part.loc[one.index, code] for code, one in raw.items()} for part in (table, scalars, capped))
            )
        return self._intraday[rule]

    def rows_before(self, rule: str, ends: Ints) -> Ints:
        """How many rows each instrument's forecast has before each row of `ends` of the calendar: (ends, instruments)."""
        if not self.has_intraday([rule]):
            span = self.capped(rule).span
            return np.maximum(np.minimum(span.last, ends[:, None] - 1) - span.first + 1, 0)
        days = self.raw_data.calendar.days
        counts = [
            [
                int(one.index.searchsorted(days[end])) if end < len(days) else len(one)
                for one in self.intraday(rule).capped.values()
            ]
            for end in ends
        ]
        return np.array(counts, dtype=np.int64)
