"""What each part of a backtest reads of a strategy: its settings, and the corrections that matter to it.

A `StrategyConfig` is all of these in one, flat as a strategy file is. A part gets `ItsSection.of(config)`, which has the part's
own settings and nothing else: two strategies whose sections are equal share the part in a sweep, and a setting that is not
declared here cannot be read.
"""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, field_validator, model_validator

from tradeflow_core.strategy.common.grouping import check_weights
from tradeflow_core.strategy.common.years import ROOT_BUSINESS_DAYS_PER_YEAR
from tradeflow_core.strategy.config.compat import Correction, Corrections, Solver
from tradeflow_core.strategy.config.estimates import (
    CorrelationEstimate,
    DivMultEstimate,
    Flag,
    ForecastCorrelationEstimate,
    ForecastCostEstimates,
    ForecastScalarEstimate,
    ForecastWeightEstimate,
    InstrumentWeightEstimate,
    RiskOverlay,
    Section,
    SmallSystem,
)
from tradeflow_core.strategy.config.nested import (
    DuplicateInstruments,
    ExcludedInstruments,
    ForecastMapping,
    RuleConfig,
    VolatilityConfig,
)

Compat = Literal["pst", "fixed"] | tuple[Correction, ...]

ESTIMATION: Corrections = frozenset(
    {Correction.CALENDAR_FITS, Correction.ROLLING_WINDOW, Correction.CALENDAR_LENGTH, Correction.LONE_ASSET}
)
"""Corrections that whatever is estimated depends on."""


class PartSection(Section):
    """The settings of a part. `source` names the strategy file, for messages; `compat` chooses the corrections."""

    READS: ClassVar[Corrections] = frozenset()
    """The corrections that the part depends on; it cannot ask for another one."""

    source: str = Field("", repr=False)
    compat: Compat

    @classmethod
    def of(cls, strategy: PartSection) -> Self:
        """What the part reads of a strategy, or of a section that has all of it."""
        values = {name: getattr(strategy, name) for name in cls.model_fields}
        compat = tuple(each for each in Correction if each in cls.READS & strategy.corrections)
        return cls.model_construct(**{**values, "compat": compat})

    @property
    def corrections(self) -> Corrections:
        """The known flaws of the reference that are corrected, of those that matter to the part."""
        if isinstance(self.compat, str):
            return self.READS if self.compat == "fixed" else frozenset()
        return self.READS.intersection(self.compat)

    def corrects(self, correction: Correction) -> bool:
        """True where this flaw of the reference is corrected. Raises KeyError for one that the part is not declared to read."""
        if correction not in self.READS:
            raise KeyError(f"{type(self).__name__} does not read the correction {correction}: add it to its READS")
        return correction in self.corrections

    @property
    def solver(self) -> Solver:
        """How optimal weights are found: exactly, or by the numerical search of the reference."""
        return "exact" if self.corrects(Correction.EXACT_OPTIMISER) else "slsqp"


# Settings that several parts read


class RiskTarget(PartSection):
    """Money and risk: the capital in `base_currency`, and the volatility aimed at, percent a year."""

    base_currency: str = Field(pattern="^[A-Z]{3}$")
    notional_trading_capital: PositiveFloat
    percentage_vol_target: PositiveFloat

    @property
    def daily_cash_vol_target(self) -> float:
        """Money at risk a day, one standard deviation."""
        return self.notional_trading_capital * self.percentage_vol_target / 100.0 / ROOT_BUSINESS_DAYS_PER_YEAR


class ForecastScale(PartSection):
    """The size of an average forecast."""

    average_absolute_forecast: PositiveFloat


class Volatility(PartSection):
    """How daily volatility is estimated."""

    volatility_calculation: VolatilityConfig


class UniverseSection(PartSection):
    """Which instruments there are, and the given weights of those in the portfolio."""

    instruments: tuple[str, ...] | None = None
    duplicate_instruments: DuplicateInstruments = DuplicateInstruments()
    exclude_instrument_lists: ExcludedInstruments = ExcludedInstruments()
    instrument_weights: dict[str, Any] | None = None

    @field_validator("instrument_weights")
    @classmethod
    def _are_instrument_weights(cls, weights: dict[str, Any] | None) -> dict[str, Any] | None:
        check_weights(weights or {})
        return weights


# The parts


class RawDataSection(Volatility):
    """Prices, returns, volatility, carry, factors."""

    READS = frozenset(
        {
            Correction.RETURNS_OVER_GAPS,
            Correction.PAUSED_MARKETS,
            Correction.PREVIOUS_PRICE,
            Correction.NO_BACKFILL,
            Correction.EQUAL_CONTRACTS_HAVE_NO_CARRY,
            Correction.CARRY_BY_DATE,
            Correction.CARRY_AT_CLOSE,
            Correction.DECLARED_ASSET_CLASS,
            Correction.NEUTRAL_ATTENUATION,
            Correction.COMMISSION_ON_HELD_PRICE,
        }
    )
    start_date: date


class ForecastSection(ForecastScale):
    """The forecasts of the rules: raw, scaled, capped."""

    READS = frozenset({Correction.FLAT_STAYS_FLAT, Correction.PAUSED_MARKETS, Correction.VOL_OF_CHANGES, Correction.NO_BACKFILL})
    trading_rules: dict[str, RuleConfig] = Field(min_length=1)
    forecast_scalar: float
    forecast_scalars: dict[str, float] = Field(default_factory=dict)
    use_forecast_scale_estimates: Flag
    forecast_scalar_estimate: ForecastScalarEstimate
    use_attenuation: tuple[str, ...]
    forecast_cap: PositiveFloat
    forecast_floor: float | None = None

    @model_validator(mode="after")
    def _floor_below_cap(self) -> Self:
        if self.floor >= self.forecast_cap:
            raise ValueError(f"forecast_floor {self.floor} must lie below forecast_cap {self.forecast_cap}")
        return self

    @property
    def floor(self) -> float:
        """Lowest forecast."""
        return -self.forecast_cap if self.forecast_floor is None else self.forecast_floor

    def of_rule(self, rule: str) -> ForecastSection:
        """What the forecasts of one rule depend on, as if there were no other."""
        return ForecastSection.of(self).model_copy(
            update={
                "trading_rules": {rule: self.trading_rules[rule]},
                "forecast_scalars": {name: scalar for name, scalar in self.forecast_scalars.items() if name == rule},
                "use_attenuation": tuple(name for name in self.use_attenuation if name == rule),
            }
        )


class CombinedForecastSection(ForecastSection):
    """The forecasts, their weights, and their diversification multiplier."""

    READS = (
        ForecastSection.READS
        | ESTIMATION
        | {
            Correction.DAILY_VALUES_AT_CLOSE,
            Correction.MISSING_WEEKS,
            Correction.COSTS_KNOWN_THEN,
            Correction.COST_POOLING,
            Correction.EXACT_OPTIMISER,
            Correction.CURRENT_WEIGHTS,
        }
    )
    forecast_weights: dict[str, Any] | None = None
    rule_variations: tuple[str, ...] | dict[str, tuple[str, ...]] | None = None
    use_forecast_weight_estimates: Flag
    forecast_weight_estimate: ForecastWeightEstimate
    forecast_cost_estimates: ForecastCostEstimates
    forecast_post_ceiling_cost_SR: float
    forecast_weight_ewma_span: PositiveFloat
    forecast_div_multiplier: PositiveFloat | dict[str, PositiveFloat]
    use_forecast_div_mult_estimates: Flag
    forecast_correlation_estimate: ForecastCorrelationEstimate
    forecast_div_mult_estimate: DivMultEstimate
    forecast_mapping: dict[str, ForecastMapping] = Field(default_factory=dict)

    @field_validator("forecast_weights")
    @classmethod
    def _are_forecast_weights(cls, weights: dict[str, Any] | None) -> dict[str, Any] | None:
        check_weights(weights or {})
        if weights is not None and not weights:
            raise ValueError("no rule is named; leave the key out to weigh all rules alike")
        return weights


class ForecastAccountSection(RiskTarget, ForecastScale):
    """Profit and loss of single forecasts."""

    READS = frozenset({Correction.FX_NEUTRAL_FORECAST_PANDL, Correction.WEIGHTED_PANDL_LAGGED_ONCE})


class SizingSection(RiskTarget, ForecastScale, Volatility):
    """Positions of each instrument traded alone."""

    READS = frozenset({Correction.POINT_RISK})
    long_only_instruments: tuple[str, ...]


class PortfolioSection(RiskTarget, UniverseSection):
    """Weights of instruments, their diversification multiplier, and the risk overlay."""

    READS = ESTIMATION | {
        Correction.NO_BACKFILL,
        Correction.MISSING_WEEKS,
        Correction.COSTS_KNOWN_THEN,
        Correction.COSTS_OVER_ALL_DAYS,
        Correction.EXACT_OPTIMISER,
        Correction.CURRENT_WEIGHTS,
        Correction.POINT_RISK,
        Correction.RESTRICTED_UNTRADED,
        Correction.STARTED_INSTRUMENTS,
        Correction.OVERLAY_SCALES_BUFFERS,
    }
    use_instrument_weight_estimates: Flag
    instrument_weight_estimate: InstrumentWeightEstimate
    instrument_weight_ewma_span: PositiveFloat
    instrument_div_multiplier: PositiveFloat
    use_instrument_div_mult_estimates: Flag
    instrument_correlation_estimate: CorrelationEstimate
    instrument_div_mult_estimate: DivMultEstimate
    allocate_zero_instrument_weights_to_these_instruments: tuple[str, ...]
    risk_overlay: RiskOverlay | None = None
    instrument_returns_correlation: CorrelationEstimate

    @property
    def learns_from_profits(self) -> bool:
        """True where weights or multiplier are estimated from the profit and loss of each instrument traded alone."""
        return self.use_instrument_weight_estimates or self.use_instrument_div_mult_estimates


class BufferSection(PartSection):
    """The bands within which nothing is traded."""

    buffer_method: Literal["forecast", "position", "none"]
    buffer_size: float = Field(ge=0)
    buffer_trade_to_edge: Flag

    @field_validator("buffer_method", mode="before")
    @classmethod
    def _none_is_a_method(cls, method: Any) -> Any:
        return "none" if method is None else method


class AccountSection(RiskTarget):
    """Profit and loss of positions, and what trading costs."""

    READS = frozenset({Correction.COMMISSION_ON_HELD_PRICE})
    use_SR_costs: Flag
    vol_normalise_currency_costs: Flag
    multiply_roll_costs_by: float = Field(ge=0)


class TradingSection(AccountSection, BufferSection):
    """From wanted positions to profit and loss."""


class DynamicSection(SizingSection, UniverseSection):
    """Dynamic optimisation: whole contracts for small capital."""

    READS = frozenset(
        {Correction.NO_BACKFILL, Correction.COSTS_KNOWN_THEN, Correction.CAREFUL_OPTIMISER, Correction.PAUSED_MARKETS}
    )
    small_system: SmallSystem
    long_only_instruments_DO_ONLY: tuple[str, ...]
