"""What a strategy is: rules, weights, sizing, buffers and costs, validated once and never changed."""

from __future__ import annotations

from tradeflow_core.strategy.config.compat import ALL
from tradeflow_core.strategy.config.estimates import CapitalMultiplier, CorrelationEstimate, Flag, WeightEstimate
from tradeflow_core.strategy.config.sections import (
    CombinedForecastSection,
    DynamicSection,
    ForecastAccountSection,
    PortfolioSection,
    RawDataSection,
    TradingSection,
)


class StrategyConfig(
    TradingSection, DynamicSection, PortfolioSection, ForecastAccountSection, CombinedForecastSection, RawDataSection
):
    """A strategy. Percentages are percents a year, money is in `base_currency`, spans are business days."""

    READS = ALL
    capital_multiplier: CapitalMultiplier
    dynamic_optimisation: Flag

    @property
    def warnings(self) -> list[str]:
        """What the strategy says to no effect, or to one that is easily overlooked."""
        messages = [
            f"{self.source}: trading_rules.{rule}: {name} is ignored: the rule has {len(settings.data)} data items"
            for rule, settings in self.trading_rules.items()
            for name in settings.unused_arguments
        ]
        if self.use_forecast_weight_estimates and self.forecast_weights is not None:
            messages.append(f"{self.source}: forecast_weights is ignored, since use_forecast_weight_estimates is true")
        for name, section in self._estimates_in_use.items():
            if section.date_method == "in_sample":
                messages.append(
                    f"{self.source}: {name}.date_method: in_sample learns from all data, so that earlier figures look ahead"
                )
        return messages

    @property
    def _estimates_in_use(self) -> dict[str, CorrelationEstimate | WeightEstimate]:
        used: dict[str, tuple[bool, CorrelationEstimate | WeightEstimate]] = {
            "forecast_weight_estimate": (self.use_forecast_weight_estimates, self.forecast_weight_estimate),
            "forecast_correlation_estimate": (self.use_forecast_div_mult_estimates, self.forecast_correlation_estimate),
            "instrument_weight_estimate": (self.use_instrument_weight_estimates, self.instrument_weight_estimate),
            "instrument_correlation_estimate": (self.use_instrument_div_mult_estimates, self.instrument_correlation_estimate),
            "instrument_returns_correlation": (
                self.risk_overlay is not None or self.dynamic_optimisation,
                self.instrument_returns_correlation,
            ),
        }
        return {name: section for name, (in_use, section) in used.items() if in_use}
