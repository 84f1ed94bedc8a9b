"""What may be estimated, and how: the sections of a strategy file for scalars, weights, correlations, multipliers and risk.

Spans and look-backs count rows of the data they are applied to: days, or weeks where `frequency` is W.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt

TRUE, FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
DateMethod = Literal["expanding", "rolling", "in_sample"]
Method = Literal["handcraft", "shrinkage", "one_period", "equal_weights"]
Frequency = Literal["D", "B", "W", "M", "7D"]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _flag(value: Any) -> Any:
    text = str(value).strip().lower()
    return True if text in TRUE else False if text in FALSE else value


Flag = Annotated[bool, BeforeValidator(_flag)]
"""A yes or no, also written as text: t, true, f, false."""


class Section(BaseModel):
    """A part of a strategy file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ForecastScalarEstimate(Section):
    """Scalars from the average absolute raw forecast: of all instruments together (`pool_instruments`) or of each."""

    pool_instruments: Flag
    window: PositiveInt
    min_periods: PositiveInt
    backfill: Flag


class MomentEstimate(Section):
    """Mean or standard deviation of returns."""

    using_exponent: Flag = True
    ew_lookback: PositiveFloat = 250
    min_periods: PositiveInt = 20


class CorrelationEstimate(Section):
    """Correlations, fitted at intervals; `cleaning` fills gaps by the average, or by `offdiag` where nothing is known."""

    frequency: Frequency = "W"
    date_method: DateMethod = "expanding"
    rollyears: PositiveInt = 20
    interval_frequency: Literal["12M", "M", "W", "D"] = "12M"
    using_exponent: Flag = True
    ew_lookback: PositiveFloat = 250
    min_periods: PositiveInt = 20
    cleaning: Flag = True
    floor_at_zero: Flag = True
    offdiag: float = Field(0.99, ge=-1, le=1)
    clip: Fraction | None = None
    shrinkage_parameter: Fraction = 0.0
    shrinkage: Fraction = 0.0
    forward_fill_price_index: Flag = True


class ForecastCorrelationEstimate(CorrelationEstimate):
    """Correlations of forecasts, of all instruments with the same rules together (`pool_instruments`) or of each."""

    pool_instruments: Flag = True
    forward_fill_data: Flag = True


class DivMultEstimate(Section):
    """A diversification multiplier from weights and correlations: at most `dm_max`, smoothed over `ewma_span` days."""

    ewma_span: PositiveFloat
    dm_max: PositiveFloat


class WeightEstimate(Section):
    """Weights from past returns. `cost_multiplier` makes costs count more than once; with `equalise_SR` all are equally good."""

    method: Method
    frequency: Frequency
    date_method: DateMethod
    rollyears: PositiveInt
    equalise_gross: Flag
    cost_multiplier: float = Field(ge=0)
    apply_cost_weight: Flag
    cleaning: Flag
    equalise_SR: Flag
    ann_target_SR: float
    equalise_vols: Flag
    shrinkage_SR: Fraction = 0.9
    shrinkage_corr: Fraction
    correlation_estimate: CorrelationEstimate
    mean_estimate: MomentEstimate
    vol_estimate: MomentEstimate


class ForecastWeightEstimate(WeightEstimate):
    """Weights of rules; rules that cost more than `ceiling_cost_SR` a year take no part."""

    pool_gross_returns: Flag
    ceiling_cost_SR: float


class InstrumentWeightEstimate(WeightEstimate):
    """Weights of instruments."""


class ForecastCostEstimates(Section):
    """Whether costs of a rule, or its turnover, are averaged over the instruments that have the same rules."""

    use_pooled_costs: Flag
    use_pooled_turnover: Flag


class RiskOverlay(Section):
    """Limits beyond which all positions are scaled down, as multiples of the volatility target; leverage as it is."""

    max_risk_fraction_normal_risk: PositiveFloat
    max_risk_fraction_stdev_risk: PositiveFloat
    max_risk_limit_sum_abs_risk: PositiveFloat
    max_risk_leverage: PositiveFloat


class CapitalMultiplier(Section):
    """How capital follows profits in a backtest."""

    func: Literal["fixed_capital", "half_compounding", "full_compounding"]


class SmallSystem(Section):
    """Dynamic optimisation: whole contracts that track the wanted positions at little cost."""

    shadow_cost: float = Field(ge=0)
    cost_multiplier: float = Field(ge=0)
    tracking_error_buffer: float = Field(ge=0)
    shrink_instrument_returns_correlation: Fraction
