"""What is estimated and how: settings with the names of a strategy file's keys, and which flaws of the reference are corrected."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

from tradeflow_core.errors import ConfigError

DateMethod = Literal["expanding", "rolling", "in_sample"]
Method = Literal["handcraft", "shrinkage", "one_period", "equal_weights"]
Solver = Literal["exact", "slsqp"]

PERIODS_PER_YEAR = {"B": 256.0, "W": 365.25 / 7, "7D": 365.25 / 7, "M": 12.0, "Y": 1.0, "D": 365.25}
"""Rows a year by frequency: business days, weeks, months, years, calendar days."""


@dataclass(frozen=True)
class Corrections:
    """Known flaws of the reference that are corrected; with all of them False its figures come out.

    - `calendar_fits`: fit periods begin at calendar ends, not at steps back from the last row, and learn from rows strictly
      before that; so more data never changes an earlier period. `rollyears` counts years, not steps. With too little data
      there is one period of equal weights.
    - `rolling_window`: exponential estimators use only the rows of a rolling window, not everything before its end; `rollyears`
      counts years.
    - `calendar_length`: the length of data is in calendar years, however many tables are stacked.
    - `lone_asset`: a single asset's correlation with itself is enough to have an estimate.
    """

    calendar_fits: bool = False
    rolling_window: bool = False
    calendar_length: bool = False
    lone_asset: bool = False

    @staticmethod
    def all() -> Corrections:
        """Everything corrected."""
        return Corrections(**dict.fromkeys((flag.name for flag in fields(Corrections)), True))


REFERENCE = Corrections()


@dataclass(frozen=True)
class Settings:
    """Settings that can be read off any object that has attributes of the same names."""

    @classmethod
    def like(cls, section: object) -> Self:
        """The settings that `section` (a part of a validated strategy file, say) has; defaults for what it lacks."""
        values: dict[str, Any] = {}
        for one in fields(cls):
            if not hasattr(section, one.name):
                continue
            value = getattr(section, one.name)
            part = one.default_factory
            values[one.name] = part.like(value) if isinstance(part, type) and issubclass(part, Settings) else value
        return cls(**values)


@dataclass(frozen=True)
class CorrelationSettings(Settings):
    """How correlations are estimated, when, and what is done to them.

    Rows are of `frequency`; fits follow one another by `interval_frequency`; `rollyears` is read for `rolling` only.
    `ew_lookback` is a span in rows. Then, in this order: `cleaning` fills missing entries, `offdiag` being the entry for
    assets without data; `floor_at_zero`; `clip` into [-clip, clip]; shrinking towards the average off the diagonal, by
    `shrinkage_parameter` with exponential weights and by `shrinkage` without.
    """

    frequency: str = "W"
    date_method: DateMethod = "expanding"
    rollyears: int = 20
    interval_frequency: str = "12M"
    using_exponent: bool = True
    ew_lookback: float = 250
    min_periods: int = 20
    cleaning: bool = True
    floor_at_zero: bool = True
    offdiag: float = 0.99
    clip: float | None = None
    shrinkage_parameter: float = 0.0
    shrinkage: float = 0.0


@dataclass(frozen=True)
class MomentSettings(Settings):
    """How a mean or a standard deviation is estimated; `ew_lookback` is a span in rows."""

    using_exponent: bool = True
    ew_lookback: float = 250
    min_periods: int = 20


@dataclass(frozen=True)
class WeightSettings(Settings):
    """How weights follow from net returns of `frequency`, and when they are fitted.

    `equalise_SR` gives every asset the Sharpe ratio `ann_target_SR` (a year), `equalise_vols` the same volatility.
    `shrinkage_SR` and `shrinkage_corr` (0 to 1) pull Sharpe ratios and correlations towards a common value. `cleaning`
    gives assets with data but without estimate a small weight. Dates of the correlation estimate are not read.
    """

    method: Method = "handcraft"
    frequency: str = "W"
    date_method: DateMethod = "expanding"
    rollyears: int = 20
    interval_frequency: str = "12M"
    cleaning: bool = True
    equalise_SR: bool = False
    ann_target_SR: float = 0.5
    equalise_vols: bool = True
    shrinkage_SR: float = 0.9
    shrinkage_corr: float = 0.5
    correlation_estimate: CorrelationSettings = field(default_factory=CorrelationSettings)
    mean_estimate: MomentSettings = field(default_factory=MomentSettings)
    vol_estimate: MomentSettings = field(default_factory=MomentSettings)


def periods_per_year(frequency: str) -> float:
    """Rows a year at a frequency; ConfigError for one that is not known."""
    try:
        return PERIODS_PER_YEAR[frequency]
    except KeyError:
        raise ConfigError(f"frequency: {frequency!r} is not known: give one of {', '.join(PERIODS_PER_YEAR)}") from None
