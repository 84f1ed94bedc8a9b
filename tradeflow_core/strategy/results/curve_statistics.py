"""Statistics of account curves, and tests of whether two of them differ.

Definitions are those of R. Carver's pysystemtrade, so that figures can be compared. `corrected` puts right what it gets wrong:

- the running maximum that a drawdown is measured from begins at 0, not at the first value, so that a first loss is one;
- the Sortino ratio divides by the downside deviation from 0, not by the dispersion of losses around their own mean;
- statistics over members are of the view that was asked for, and equal weights give a mean instead of a mean over n.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from tradeflow_core.strategy.results.curves import AccountCurve, CurveGroup, Frequency, Part, Returns

Floats = NDArray[np.float64]
NORMAL_TAIL = float(stats.norm.ppf(0.01) / stats.norm.ppf(0.30))
TEXT = (
    *("min", "max", "median", "mean", "std", "skew", "ann_mean", "ann_std", "sharpe", "sortino"),
    *("avg_drawdown", "time_in_drawdown", "calmar", "avg_return_to_drawdown"),
    *("avg_loss", "avg_gain", "gaintolossratio", "profitfactor", "hitrate", "t_stat", "p_value"),
)
ALL_STATISTICS = (*TEXT, "worst_drawdown", "quant_ratio_lower", "quant_ratio_upper", "average_quant_ratio")


def statistics(returns: Returns, *, corrected: bool = True) -> dict[str, float]:
    """Every statistic of a view, by name in the order of `ALL_STATISTICS`; NaN where there is too little for one.

    min to std, average loss and gain are of a period; `ann_` of a year; drawdowns are in the unit of the view. `hitrate` counts
    periods with a profit or loss only. `p_value` is two-sided, for a mean of 0. A quantile ratio above 1 means a tail fatter
    than that of a normal distribution.
    """
    values = returns.values.dropna().to_numpy(dtype=float)
    if not len(values):
        return dict.fromkeys(ALL_STATISTICS, math.nan)
    found = {
        **_moments(values, returns.per_year),
        **_drawdowns(returns.drawdown(corrected=corrected).to_numpy(dtype=float)),
        **_losses_and_gains(values),
        **_tails(values),
    }
    downside = np.sqrt(np.mean(np.minimum(values, 0.0) ** 2)) if corrected else _spread(values[values < 0])
    found["sortino"] = _ratio(found["ann_mean"], downside * math.sqrt(returns.per_year))
    found["calmar"] = _ratio(found["ann_mean"], -found["worst_drawdown"])
    found["avg_return_to_drawdown"] = _ratio(found["ann_mean"], -found["avg_drawdown"])
    return {name: float(found[name]) for name in ALL_STATISTICS}


def statistics_text(returns: Returns, *, corrected: bool = True) -> str:
    """The statistics of `TEXT`, one a line, with four significant digits."""
    found = statistics(returns, corrected=corrected)
    return "\n".join(f"{name:<24}{found[name]:.4g}" for name in TEXT)


def _moments(values: Floats, per_year: float) -> dict[str, float]:
    count, mean = len(values), float(values.mean())
    std = float(values.std(ddof=1)) if count > 1 else math.nan
    spread = ((values - mean) ** 2).mean()
    t_stat = _ratio(mean, std / math.sqrt(count))
    ann_mean, ann_std = float(values.sum()) / (count / per_year), std * math.sqrt(per_year)
    return {
        "min": float(values.min()),
        "max": float(values.max()),
        "median": float(np.median(values)),
        "mean": mean,
        "std": std,
        "skew": _ratio(float(((values - mean) ** 3).mean()), float(spread**1.5)),
        "ann_mean": ann_mean,
        "ann_std": ann_std,
        "sharpe": _ratio(ann_mean, ann_std),
        "t_stat": t_stat,
        "p_value": 2.0 * float(stats.t.sf(abs(t_stat), count - 1)),
    }


def _drawdowns(drawdown: Floats) -> dict[str, float]:
    return {
        "avg_drawdown": float(drawdown.mean()),
        "worst_drawdown": float(drawdown.min()),
        "time_in_drawdown": float((drawdown < 0).mean()),
    }


def _losses_and_gains(values: Floats) -> dict[str, float]:
    losses, gains = values[values < 0], values[values > 0]
    avg_loss = float(losses.mean()) if len(losses) else math.nan
    avg_gain = float(gains.mean()) if len(gains) else math.nan
    return {
        "avg_loss": avg_loss,
        "avg_gain": avg_gain,
        "gaintolossratio": _ratio(avg_gain, -avg_loss),
        "profitfactor": _ratio(float(gains.sum()), -float(losses.sum())),
        "hitrate": _ratio(len(gains), len(gains) + len(losses)),
    }


def _tails(values: Floats) -> dict[str, float]:
    moved = values[values != 0]
    if not len(moved):
        return dict.fromkeys(("quant_ratio_lower", "quant_ratio_upper", "average_quant_ratio"), math.nan)
    low, below, above, high = np.quantile(moved - moved.mean(), [0.01, 0.30, 0.70, 0.99])
    lower, upper = _ratio(low, below) / NORMAL_TAIL, _ratio(high, above) / NORMAL_TAIL
    return {"quant_ratio_lower": lower, "quant_ratio_upper": upper, "average_quant_ratio": (lower + upper) / 2}


def _spread(values: Floats) -> float:
    return float(values.std()) if len(values) else math.nan


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else math.nan


# Over the members of a group


@dataclass(frozen=True)
class OverMembers:
    """A statistic over members: each one's; mean and standard deviation of the weighted ones, and the t-test of a mean of 0."""

    by_member: dict[str, float]
    mean: float
    std: float
    t_stat: float
    p_value: float


def statistic_over_members(
    group: CurveGroup,
    statistic: str,
    part: Part = "net",
    *,
    frequency: Frequency = "daily",
    weighting: Literal["timeweighted", "equal"] = "timeweighted",
    corrected: bool = True,
) -> OverMembers:
    """One statistic of every member, in percent, and over them.

    `timeweighted`: a member counts in proportion to the months since it was first held. Members without a figure are left out
    of the mean. Raises KeyError for an unknown statistic.

    Not `corrected`, as in pysystemtrade: always of daily net figures, and equal weights divide by the number of members twice.
    """
    if not corrected:
        part, frequency = "net", "daily"
    views = {name: curve.returns(part, frequency=frequency) for name, curve in group.members.items()}
    found = {name: statistics(view, corrected=corrected)[statistic] for name, view in views.items()}
    weights = _weights(group.members, weighting, corrected=corrected)
    weighted = np.array([found[name] * weights[name] for name in found])
    weighted = weighted[~np.isnan(weighted)]
    if not len(weighted):
        return OverMembers(found, math.nan, math.nan, math.nan, math.nan)
    moments = _moments(weighted, 1.0)
    return OverMembers(found, moments["mean"], float(weighted.std()), moments["t_stat"], moments["p_value"])


def _weights(members: Mapping[str, AccountCurve], weighting: str, *, corrected: bool) -> dict[str, float]:
    if weighting == "equal":
        return dict.fromkeys(members, 1.0 if corrected else 1.0 / len(members))
    months = {name: _months(curve) for name, curve in members.items()}
    mean = sum(months.values()) / len(months) if months else 0.0
    return {name: _ratio(count, mean) for name, count in months.items()}


def _months(curve: AccountCurve) -> int:
    """Calendar months from the first position to the end, both counted."""
    if not len(curve.gross) or curve.held_since is None:
        return 0
    end = pd.Timestamp(curve.gross.index[-1])
    return (end.year - curve.held_since.year) * 12 + end.month - curve.held_since.month + 1


# Comparing


@dataclass(frozen=True)
class Comparison:
    """Whether two curves differ: the difference of means, in standard deviations of a period, and its two-sided t-test."""

    difference: float
    t_stat: float
    p_value: float


def compare(
    first: AccountCurve | Sequence[AccountCurve],
    second: AccountCurve | Sequence[AccountCurve],
    part: Part = "net",
    *,
    frequency: Frequency = "daily",
) -> Comparison:
    """A paired t-test on the periods that both have, each side in units of its own standard deviation.

    A side with several curves, such as the rules of one kind, is their mean, each in units of its own standard deviation.
    """
    cumulated = [_mean_of(side, part, frequency).cumsum() for side in (first, second)]
    changes = pd.concat(cumulated, axis=1, join="inner").diff().dropna()
    if len(changes) < 2:
        return Comparison(math.nan, math.nan, math.nan)
    scaled = changes.to_numpy(dtype=float) / changes.std().to_numpy()
    found = _moments(scaled[:, 0] - scaled[:, 1], 1.0)
    return Comparison(found["mean"], found["t_stat"], found["p_value"])


def _mean_of(side: AccountCurve | Sequence[AccountCurve], part: Part, frequency: Frequency) -> pd.Series:
    if isinstance(side, AccountCurve):
        return side.returns(part, "percent", frequency).values
    each = [curve.returns(part, "percent", frequency).values for curve in side]
    return pd.concat([values / values.std() for values in each], axis=1).mean(axis=1) if each else pd.Series(dtype=float)
