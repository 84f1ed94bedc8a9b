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
    """How a mean or a standard deviation of returns is estimated; `ew_lookback` is a span in rows."""

    using_exponent: Flag = True
    ew_lookback: PositiveFloat = 250
    min_periods: PositiveInt = 20


class CorrelationEstimate(Section):
    """How correlations are estimated, when, and what is done to them.

    Rows are of `frequency`; fits follow one another by `interval_frequency`; `rollyears` is read for `rolling` only.
    `ew_lookback` is a span in rows. Then, in this order: `cleaning` fills missing entries by the average, or by `offdiag` for
    assets without data; `floor_at_zero`; `clip` into [-clip, clip]; shrinking towards the average off the diagonal, by
    `shrinkage_parameter` with exponential weights and by `shrinkage` without.
    """

    frequency: Frequency = "W"
    date_method: DateMethod = "expanding"
    rollyears: PositiveInt = 20
    interval_frequency: Literal["12M", "M", "W", "D"] = "12M"
    using_exponent: Flag = True
    ew_lookback: PositiveFloat = 250
    min_periods: PositiveInt = 20
    cleaning: Flag = True
    floor_at_zero: Flag = True
    offdiag: Annotated[float, Field(ge=-1, le=1)] = 0.99
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
    """How weights follow from net returns of `frequency`, fitted once a year.

    `equalise_gross` gives all the same mean before costs, `cost_multiplier` makes costs count more than once. `equalise_SR` gives
    every asset the Sharpe ratio `ann_target_SR` (a year), `equalise_vols` the same volatility. `shrinkage_SR` and `shrinkage_corr`
    (0 to 1) pull Sharpe ratios and correlations towards a common value. `cleaning` gives assets with data but without estimate a
    small weight, `apply_cost_weight` moves weights towards cheap assets. Dates of the correlation estimate are not read.
    """

    method: Method = "handcraft"
    frequency: Frequency = "W"
    date_method: DateMethod = "expanding"
    rollyears: PositiveInt = 20
    equalise_gross: Flag = False
    cost_multiplier: Annotated[float, Field(ge=0)] = 1.0
    apply_cost_weight: Flag = False
    cleaning: Flag = True
    equalise_SR: Flag = False
    ann_target_SR: float = 0.5
    equalise_vols: Flag = True
    shrinkage_SR: Fraction = 0.9
    shrinkage_corr: Fraction = 0.5
    correlation_estimate: CorrelationEstimate = CorrelationEstimate()
    mean_estimate: MomentEstimate = MomentEstimate()
    vol_estimate: MomentEstimate = MomentEstimate()


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
