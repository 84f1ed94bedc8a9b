"""The forecasts of every rule, and which instruments use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tradeflow_core.strategy.forecasts.rule_forecast import RuleForecast
from tradeflow_core.strategy.inputs.raw_data import RawData


class Forecasts:
    """Forecasts by rule (`of`), in the order of the strategy file. `rules_by_instrument`: the rules that each instrument uses, sorted."""

    def __init__(
        self, raw_data: RawData, by_rule: Mapping[str, RuleForecast], rules_by_instrument: Mapping[str, tuple[str, ...]]
    ) -> None:
        self.raw_data, self.by_rule, self.rules_by_instrument = raw_data, by_rule, rules_by_instrument

    @property
    def rules(self) -> list[str]:
        """Names of all rules, in the order of the strategy file."""
        return list(self.by_rule)

    def of(self, rule: str) -> RuleForecast:
        """The forecasts of a rule."""
        return self.by_rule[rule]

    def any_hourly(self, rules: Iterable[str]) -> bool:
        """True if any of the rules forecasts by the hour."""
        return any(self.of(rule).hourly for rule in rules)
