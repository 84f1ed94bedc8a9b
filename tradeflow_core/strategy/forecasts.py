"""One forecast per rule and instrument: raw, scaled to a common size, capped (Carver, Systematic Trading, chapters 7 and 8)."""

from __future__ import annotations

import numpy as np

from tradeflow_core.strategy.compat import Correction
from tradeflow_core.strategy.config import RuleConfig, StrategyConfig
from tradeflow_core.strategy.panel import Panel
from tradeflow_core.strategy.raw_data import RawData
from tradeflow_core.strategy.rules import RULES


class Forecasts:
    """Forecasts by rule; panels of all instruments, each computed once."""

    def __init__(self, raw_data: RawData, config: StrategyConfig) -> None:
        self.raw_data, self.config = raw_data, config
        self._raw: dict[str, Panel] = {}
        self._capped: dict[str, Panel] = {}

    @property
    def rules(self) -> list[str]:
        """Names of all rules, in the order of the strategy file."""
        return list(self.config.trading_rules)

    def raw(self, rule: str) -> Panel:
        """The rule's own output.

        A forecast of exactly 0 is missing, which later carries the last one forward; corrected (FLAT_STAYS_FLAT), it is flat.
        """
        if rule not in self._raw:
            self._raw[rule] = self._evaluated(self.config.trading_rules[rule])
        return self._raw[rule]

    def _evaluated(self, rule: RuleConfig) -> Panel:
        items = [self.raw_data.item(name, **_arguments_for_item(rule, place)) for place, name in enumerate(rule.data, start=1)]
        arguments = {name: value for name, value in rule.other_args.items() if not name.startswith("_")}
        if self.config.corrects(Correction.VOL_OF_CHANGES) and rule.function == "ewmac_calc_vol":
            arguments.setdefault("vol_of_changes", True)
        span = items[0].span
        for item in items[1:]:
            span = span | item.span
        forecast = RULES[rule.function](*(item.values for item in items), **arguments)
        if not self.config.corrects(Correction.FLAT_STAYS_FLAT):
            forecast = forecast.where(forecast != 0.0)
        return Panel.of(forecast, span)

    def scalar(self, rule: str) -> float:
        """What the raw forecast is multiplied by, so that its average absolute size is about 10."""
        own = self.config.trading_rules[rule].forecast_scalar
        return own if own is not None else self.config.forecast_scalars.get(rule, self.config.forecast_scalar)

    def scalars(self, rule: str) -> Panel:
        """The scalar on each day of the raw forecast."""
        raw = self.raw(rule)
        return raw.like(np.full(raw.array.shape, self.scalar(rule)))

    def capped(self, rule: str) -> Panel:
        """The scaled forecast within floor and cap."""
        if rule not in self._capped:
            raw = self.raw(rule)
            scaled = raw.array * self.scalar(rule)
            self._capped[rule] = raw.like(np.clip(scaled, self.config.floor, self.config.forecast_cap))
        return self._capped[rule]


def _arguments_for_item(rule: RuleConfig, place: int) -> dict[str, object]:
    """Arguments with as many leading underscores as the item's place in the list."""
    return {name[place:]: value for name, value in rule.other_args.items() if len(name) - len(name.lstrip("_")) == place}
