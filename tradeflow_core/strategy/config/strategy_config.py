"""What a strategy is: rules, weights, sizing, buffers and costs, validated once and never changed."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from tradeflow_core.strategy.common.grouping import check_weights
from tradeflow_core.strategy.common.volatility import ESTIMATORS
from tradeflow_core.strategy.config.compat import ALL, Correction
from tradeflow_core.strategy.config.estimates import (
    CapitalMultiplier,
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
    WeightEstimate,
)
from tradeflow_core.strategy.estimation.settings import Corrections, Solver
from tradeflow_core.strategy.rules import rule_function

Compat = Literal["pst", "fixed"] | tuple[Correction, ...]


class RuleConfig(Section):
    """One trading rule: `function` (a name of `rules.RULES`, or an import path) of the `data` items, with `other_args`.

    An argument that starts with one underscore goes to the fetching of the first data item, with two to the second, and so on.
    """

    function: str
    data: tuple[str, ...] = ("daily_price",)
    other_args: dict[str, Any] = Field(default_factory=dict)
    forecast_scalar: float | None = None

    @field_validator("data", mode="before")
    @classmethod
    def _as_list(cls, data: Any) -> Any:
        items = [data] if isinstance(data, str) else data
        return items or ["daily_price"]

    @field_validator("function")
    @classmethod
    def _known(cls, function: str) -> str:
        rule_function(function)
        return function

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the function."""
        return self.arguments_of_item(0)

    def arguments_of_item(self, place: int) -> dict[str, Any]:
        """The arguments for fetching the data item number `place`, from 1."""
        return {name[place:]: value for name, value in self.other_args.items() if _underscores(name) == place}

    @property
    def unused_arguments(self) -> list[str]:
        """Arguments for data items that the rule does not have."""
        return [name for name in self.other_args if _underscores(name) > len(self.data)]


def _underscores(name: str) -> int:
    return len(name) - len(name.lstrip("_"))


class VolatilityConfig(Section):
    """How daily volatility is estimated: `func` of the returns item, times the multiplier; the rest goes to `func`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    func: str
    name_returns_attr_in_rawdata: str
    multiplier_to_get_daily_vol: float
    days: int | None = Field(None, ge=2)
    min_periods: PositiveInt | None = None
    slow_vol_years: PositiveFloat | None = None
    proportion_of_slow_vol: float | None = Field(None, ge=0, le=1)
    vol_abs_min: float | None = Field(None, ge=0)
    backfill: bool | None = None
    vol_floor: bool | None = None
    floor_min_quant: float | None = Field(None, ge=0, le=1)
    floor_min_periods: PositiveInt | None = None
    floor_days: PositiveInt | None = None

    @field_validator("func")
    @classmethod
    def _known(cls, func: str) -> str:
        if func not in ESTIMATORS:
            raise ValueError(f"{func} is not a volatility estimator; estimators are {', '.join(ESTIMATORS)}")
        return func

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments for the estimator."""
        own = {"func", "name_returns_attr_in_rawdata", "multiplier_to_get_daily_vol"}
        return self.model_dump(exclude=own, exclude_none=True)


class ForecastMapping(Section):
    """No position below `threshold`, then a steeper forecast, up to `a_param` times the cap (for small accounts)."""

    threshold: float
    a_param: float
    b_param: float


class ExcludedInstruments(Section):
    """Instruments left out (`ignore_instruments`), or kept with data but not to be traded."""

    ignore_instruments: tuple[str, ...] = ()
    trading_restrictions: tuple[str, ...] = ()
    bad_markets: tuple[str, ...] = ()


class DuplicateInstruments(Section):
    """Sizes of the same market: `exclude` names those that are left out."""

    include: dict[str, str | list[str]] = Field(default_factory=dict)
    exclude: dict[str, str | list[str]] = Field(default_factory=dict)

    @property
    def excluded(self) -> set[str]:
        """Every excluded code."""
        return {code for value in self.exclude.values() for code in ([value] if isinstance(value, str) else value)}


class StrategyConfig(Section):
    """A strategy. Percentages are percents a year, money is in `base_currency`, spans are business days."""

    source: str = ""
    compat: Compat
    trading_rules: dict[str, RuleConfig] = Field(min_length=1)

    instruments: tuple[str, ...] | None = None
    duplicate_instruments: DuplicateInstruments = DuplicateInstruments()
    exclude_instrument_lists: ExcludedInstruments = ExcludedInstruments()
    start_date: date
    base_currency: str = Field(pattern="^[A-Z]{3}$")
    notional_trading_capital: PositiveFloat
    percentage_vol_target: PositiveFloat
    volatility_calculation: VolatilityConfig

    forecast_scalar: float
    forecast_scalars: dict[str, float] = Field(default_factory=dict)
    use_forecast_scale_estimates: Flag
    forecast_scalar_estimate: ForecastScalarEstimate
    use_attenuation: tuple[str, ...]
    forecast_cap: PositiveFloat
    forecast_floor: float | None = None
    average_absolute_forecast: PositiveFloat
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

    long_only_instruments: tuple[str, ...]
    instrument_weights: dict[str, Any] | None = None
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
    capital_multiplier: CapitalMultiplier
    dynamic_optimisation: Flag
    small_system: SmallSystem
    long_only_instruments_DO_ONLY: tuple[str, ...]

    buffer_method: Literal["forecast", "position", "none"]
    buffer_size: float = Field(ge=0)
    buffer_trade_to_edge: Flag

    use_SR_costs: Flag
    vol_normalise_currency_costs: Flag
    multiply_roll_costs_by: float = Field(ge=0)

    @field_validator("buffer_method", mode="before")
    @classmethod
    def _none_is_a_method(cls, method: Any) -> Any:
        return "none" if method is None else method

    @field_validator("forecast_weights", "instrument_weights")
    @classmethod
    def _are_weights(cls, weights: dict[str, Any] | None) -> dict[str, Any] | None:
        check_weights(weights or {})
        return weights

    @field_validator("forecast_weights")
    @classmethod
    def _some_rule(cls, weights: dict[str, Any] | None) -> dict[str, Any] | None:
        if weights is not None and not weights:
            raise ValueError("no rule is named; leave the key out to weigh all rules alike")
        return weights

    @model_validator(mode="after")
    def _floor_below_cap(self) -> StrategyConfig:
        if self.floor >= self.forecast_cap:
            raise ValueError(f"forecast_floor {self.floor} must lie below forecast_cap {self.forecast_cap}")
        return self

    @property
    def floor(self) -> float:
        """Lowest forecast."""
        return -self.forecast_cap if self.forecast_floor is None else self.forecast_floor

    @property
    def warnings(self) -> list[str]:
        """What the strategy says to no effect, or to one that is easily overlooked."""
        found = [
            f"{self.source}: trading_rules.{rule}: {name} is ignored: the rule has {len(settings.data)} data items"
            for rule, settings in self.trading_rules.items()
            for name in settings.unused_arguments
        ]
        if self.use_forecast_weight_estimates and self.forecast_weights is not None:
            found.append(f"{self.source}: forecast_weights is ignored, since use_forecast_weight_estimates is true")
        for name, section in self._estimates_in_use.items():
            if section.date_method == "in_sample":
                found.append(f"{self.source}: {name}.date_method: in_sample learns from all data, so that earlier figures look ahead")
        return found

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
        return {name: section for name, (asked, section) in used.items() if asked}

    @property
    def corrections(self) -> frozenset[Correction]:
        """The known flaws of the reference that are corrected."""
        if self.compat == "fixed":
            return ALL
        return frozenset() if self.compat == "pst" else frozenset(self.compat)

    def corrects(self, correction: Correction) -> bool:
        """True where this flaw of the reference is corrected."""
        return correction in self.corrections

    @property
    def solver(self) -> Solver:
        """How optimal weights are found: exactly, or by the numerical search of the reference."""
        return "exact" if self.corrects(Correction.EXACT_OPTIMISER) else "slsqp"

    @property
    def estimation_corrections(self) -> Corrections:
        """The corrections that concern estimates."""
        return Corrections(
            calendar_fits=self.corrects(Correction.CALENDAR_FITS),
            rolling_window=self.corrects(Correction.ROLLING_WINDOW),
            calendar_length=self.corrects(Correction.CALENDAR_LENGTH),
            lone_asset=self.corrects(Correction.LONE_ASSET),
        )

    @property
    def daily_cash_vol_target(self) -> float:
        """Money at risk a day, one standard deviation."""
        return self.notional_trading_capital * self.percentage_vol_target / 100.0 / 16.0
