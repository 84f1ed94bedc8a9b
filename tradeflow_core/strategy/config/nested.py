"""Groups of settings that a strategy file nests: a rule, the volatility, lists of instruments."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from tradeflow_core.strategy.common.volatility import ESTIMATORS
from tradeflow_core.strategy.config.estimates import Section
from tradeflow_core.strategy.rules import rule_function


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
    def lowest(self) -> float:
        """The floor of the estimate: a price whose volatility is not above it has not moved."""
        return self.vol_abs_min or 0.0

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments for the estimator."""
        not_passed_on = {"func", "name_returns_attr_in_rawdata", "multiplier_to_get_daily_vol"}
        return self.model_dump(exclude=not_passed_on, exclude_none=True)


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
        """Every excluded instrument."""
        return {instrument for value in self.exclude.values() for instrument in ([value] if isinstance(value, str) else value)}
