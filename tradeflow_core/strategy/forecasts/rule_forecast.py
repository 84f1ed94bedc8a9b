"""The forecasts of one rule in every instrument: raw, scaled to a common size, capped (Carver, Systematic Trading, chapters 7 and 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.strategy.common.panel import Floats, Ints, Panel
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.data_items import STAMPED_ITEMS
from tradeflow_core.strategy.config.nested import RuleConfig
from tradeflow_core.strategy.config.sections import ForecastSection
from tradeflow_core.strategy.forecasts.rule_calls import called_at_stamps, raw_forecast
from tradeflow_core.strategy.forecasts.scalars import estimated_scalars
from tradeflow_core.strategy.inputs.data import rate_at
from tradeflow_core.strategy.inputs.raw_data import RawData


@dataclass(frozen=True, eq=False)
class HourlyForecast:
    """Forecasts of an hourly rule by instrument, each at its own stamps: as the rule gives them, scalars, capped."""

    raw: Mapping[str, pd.Series]
    scalars: Mapping[str, pd.Series]
    capped: Mapping[str, pd.Series]


def is_hourly(rule: RuleConfig) -> bool:
    """True for a rule whose data have stamps of their own, and so forecasts by the hour, one instrument at a time."""
    return any(item in STAMPED_ITEMS for item in rule.data)


class RuleForecast:
    """Forecasts by business day, for an hourly rule also at its stamps. Capped ones are kept, what leads to them is made anew."""

    def __init__(self, rule: str, raw_data: RawData, section: ForecastSection, *, used: NDArray[np.bool_]) -> None:
        """`used`: whether each instrument uses the rule, which is whose forecasts count when scalars are pooled."""
        self.rule, self.raw_data, self.section, self.used = rule, raw_data, section, used

    @property
    def hourly(self) -> bool:
        """True if the rule forecasts by the hour."""
        return is_hourly(self.section.trading_rules[self.rule])

    @property
    def raw(self) -> Panel:
        """The output of a daily rule.

        A forecast of exactly 0 is missing, which later carries the last one forward; corrected (FLAT_STAYS_FLAT), it is flat.
        """
        return raw_forecast(self.rule, self.raw_data, self.section)

    @property
    def attenuated(self) -> Panel:
        """The raw forecast, times the attenuation if the strategy names the rule in `use_attenuation`."""
        raw = self.raw
        if self.rule not in self.section.use_attenuation:
            return raw
        return raw.like(raw.array * self.raw_data.attenuation.asof(raw.span).array)

    @property
    def scalars(self) -> Panel:
        """What the raw forecast is multiplied by on each of its days, so that its average absolute size is about 10."""
        raw = self.attenuated
        return raw.like(np.broadcast_to(self._scalars(raw.array), raw.array.shape))

    def _scalars(self, raw: Floats) -> Floats:
        """Scalars of the attenuated forecasts (rows, instruments), of a shape that multiplies them."""
        section = self.section
        if not section.use_forecast_scale_estimates:
            return np.full((1, 1), self._fixed_scalar)
        how = section.forecast_scalar_estimate
        if section.corrects(Correction.NO_BACKFILL):
            how = how.model_copy(update={"backfill": False})
        return estimated_scalars(raw, self.used, how, target=section.average_absolute_forecast)

    @property
    def _fixed_scalar(self) -> float:
        scalar = self.section.trading_rules[self.rule].forecast_scalar
        return scalar if scalar is not None else self.section.forecast_scalars.get(self.rule, self.section.forecast_scalar)

    @cached_property
    def capped(self) -> Panel:
        """The scaled forecast within floor and cap at the end of each business day; of an hourly rule the day's last one."""
        if self.hourly:
            return self.raw_data.calendar.last(self.at_stamps.capped)
        raw = self.attenuated
        scaled = raw.array * self._scalars(raw.array)
        np.clip(scaled, self.section.floor, self.section.forecast_cap, out=scaled)
        return raw.like(scaled)

    @cached_property
    def at_stamps(self) -> HourlyForecast:
        """The forecasts of an hourly rule."""
        raw = self._raw_at_stamps()
        table = pd.DataFrame(raw)
        values = np.broadcast_to(self._scalars(table.to_numpy(dtype=float)), table.shape)
        scalars = pd.DataFrame(values, index=table.index, columns=table.columns)
        capped = (table * scalars).clip(self.section.floor, self.section.forecast_cap)
        parts = [
            {instrument: part.loc[series.index, instrument] for instrument, series in raw.items()}
            for part in (table, scalars, capped)
        ]
        return HourlyForecast(*parts)

    def _raw_at_stamps(self) -> dict[str, pd.Series]:
        """The attenuated output by instrument; a forecast of exactly 0 is missing unless corrected (FLAT_STAYS_FLAT)."""
        raw = called_at_stamps(self.rule, self.raw_data, self.section)
        if not self.section.corrects(Correction.FLAT_STAYS_FLAT):
            raw = {instrument: series.where(series != 0.0) for instrument, series in raw.items()}
        if self.rule not in self.section.use_attenuation:
            return raw
        attenuation = self.raw_data.attenuation.values
        return {
            instrument: series * rate_at(attenuation[instrument].dropna(), series.index) for instrument, series in raw.items()
        }

    def rows_before(self, ends: Ints) -> Ints:
        """How many rows each instrument's forecast has before each row of `ends` of the calendar: (ends, instruments)."""
        if not self.hourly:
            span = self.capped.span
            return np.maximum(np.minimum(span.last, ends[:, None] - 1) - span.first + 1, 0)
        days = self.raw_data.calendar.days
        indexes = [series.index for series in self.at_stamps.capped.values()]
        counts = [[int(index.searchsorted(days[end])) if end < len(days) else len(index) for index in indexes] for end in ends]
        return np.array(counts, dtype=np.int64)
