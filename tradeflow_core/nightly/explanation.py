"""Why a position changed between two saved runs: what each of its factors contributed, and each rule to the forecast.

A notional position is a product:

    forecast x 1/volatility x 1/FX x price x capital x instrument weight x diversification multiplier x risk overlay x rest

`price` is the correction for a held contract whose price differs from the one that risk is a percentage of (1 where risk is in points);
`rest` is everything else: risk target, long-only, facts of the instrument.

Contributions are Shapley values (L. Shapley, A value for n-person games): the change that a factor brings, averaged over all orders in
which the factors can change. They add up to the change of the position exactly, whatever the signs, zeros included. For a
product the average is the integral of the other factors along the straight line from before to after, which Gauss-Legendre
quadrature gives without error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tradeflow_core.nightly.saved_runs import SavedRun
from tradeflow_core.strategy import ROOT_BUSINESS_DAYS_PER_YEAR
from tradeflow_core.strategy.common.panel import Floats

FACTORS = ("forecast", "volatility", "fx", "price", "capital", "instrument_weight", "diversification", "risk_overlay", "rest")
"""What a position is made of, in the order of the calculation."""

INVERSE = ("volatility", "fx")
"""Factors that a position is divided by."""

SIDES = ("before", "after")
MULTIPLIER, CAP = "(multiplier)", "(cap)"
WORDS = {
    "fx": "FX",
    "instrument_weight": "weight",
    "diversification": "multiplier",
    "risk_overlay": "risk overlay",
}


def shapley(before: Floats, after: Floats) -> Floats:
    """Contributions of the factors (last axis) to the change of their product from `before` to `after`; they add up to it."""
    return np.asarray((after - before) * _sensitivity(before, after), dtype=float)


def _sensitivity(before: Floats, after: Floats) -> Floats:
    """What the product gains for one unit of each factor, on average from `before` to `after`."""
    nodes, weights = np.polynomial.legendre.leggauss(before.shape[-1] // 2 + 1)
    along = (nodes[:, None] + 1.0) / 2.0
    line = before[..., None, :] * (1.0 - along) + after[..., None, :] * along
    others = np.stack([np.delete(line, place, axis=-1).prod(axis=-1) for place in range(before.shape[-1])], axis=-1)
    return np.asarray((others * weights[:, None] / 2.0).sum(axis=-2), dtype=float)


@dataclass(frozen=True)
class Explanation:
    """The difference between two runs of a strategy.

    `positions`: index instrument, the largest change first: `before`, `after`, `change` of the notional position (contracts), a
    column for each of `FACTORS`, which add up to `change`; the whole contracts that the backtest holds, `held_before`,
    `held_after`, `held_change`, and `rounding`, what buffers, rounding or the optimiser did to the change. An instrument that only one run has a
    position for counts 0 in the other, and its change is `rest`.

    `rules`: index (instrument, rule): capped forecasts and weights `forecast_before`, `forecast_after`, `weight_before`,
    `weight_after`, and the contracts that each brought, `by_forecast` and `by_weight`. The lines `(multiplier)` and `(cap)` are the
    forecast diversification multiplier and the cap; all lines of an instrument add up to its factor `forecast`.

    `factors`: the figures themselves: index instrument, columns (factor, before/after).

    `settings`: keys of the configuration that differ: index key, columns before, after.
    """

    before: SavedRun
    after: SavedRun
    positions: pd.DataFrame
    rules: pd.DataFrame
    factors: pd.DataFrame
    settings: pd.DataFrame

    def sentence(self, instrument: str) -> str:
        """One line about an instrument: `CORN 3.2 -> 4.1 contracts: forecast (most by carry) +0.7, volatility +0.2`."""
        row = dict(zip(self.positions.columns, self.positions.loc[[instrument]].to_numpy(float)[0], strict=True))
        moved = f"{instrument} {_amount(row['before'])} -> {_amount(row['after'])} contracts"
        parts = sorted(((row[name], name) for name in FACTORS), key=lambda part: -abs(part[0]))
        largest = abs(parts[0][0])
        if largest < 1e-9:
            return f"{moved}: unchanged"
        digits = 1 if largest >= 0.5 else 2 if largest >= 0.05 else 4
        shown = [part for part in parts if abs(part[0]) >= max(0.05 * largest, min(0.5 / 10**digits, largest))]
        return f"{moved}: " + ", ".join(f"{self._word(name, instrument)} {value:+,.{digits}f}" for value, name in shown)

    def _word(self, factor: str, instrument: str) -> str:
        if factor != "forecast":
            return WORDS.get(factor, factor)
        rules = self.rules.loc[[instrument]].droplevel("instrument")
        brought = (rules["by_forecast"] + rules["by_weight"]).abs()
        return f"forecast (most by {brought.idxmax()})" if len(brought) and brought.max() > 0 else "forecast"


def _amount(value: float) -> str:
    if np.isnan(value):
        return "no"
    return f"{value:,.1f}" if abs(value) >= 1 or value == 0 else f"{value:.3g}"


def explain(before: SavedRun, after: SavedRun) -> Explanation:
    """What changed between two runs, and why."""
    instruments = sorted(set(before.manifest.instruments) | set(after.manifest.instruments))
    index = pd.Index(instruments, name="instrument")
    ends = [_End(run, instruments) for run in (before, after)]
    held = [_last_row(run, "held_position", instruments) for run in (before, after)]
    positions = [end.position for end in ends]
    factors = _usable(ends[0].factors, ends[1].factors, positions[0], position_after=positions[1])
    change, held_change = (np.nan_to_num(pair[1]) - np.nan_to_num(pair[0]) for pair in (positions, held))
    in_both = ~np.isnan(positions[0]) & ~np.isnan(positions[1])
    sensitivity = np.where(in_both[:, None], _sensitivity(*factors), 0.0)
    parts = (factors[1] - factors[0]) * sensitivity
    # What no factor explains, such as a position that only one run has, belongs to the rest: so all add up.
    parts[:, -1] += change - parts.sum(axis=1)
    table = pd.DataFrame({"before": positions[0], "after": positions[1], "change": change}, index=index)
    table = table.join(pd.DataFrame(parts, index=index, columns=list(FACTORS)))
    table = table.assign(held_before=held[0], held_after=held[1], held_change=held_change, rounding=held_change - change)
    figures = {
        (name, side): 1.0 / end.factors[:, place] if name in INVERSE else end.factors[:, place]
        for place, name in enumerate(FACTORS)
        for side, end in zip(SIDES, ends, strict=True)
    }
    return Explanation(
        before,
        after,
        table.sort_values("change", key=abs, ascending=False, kind="stable"),
        _by_rule(ends[0], ends[1], factors[1][:, 0] - factors[0][:, 0], contracts=sensitivity[:, 0]),
        pd.DataFrame(figures, index=index),
        _settings(before.config, after.config),
    )


class _End:
    """The figures behind the latest positions of one run, in the order of `instruments`: those of the last day with a position."""

    def __init__(self, run: SavedRun, instruments: list[str]) -> None:
        self.run, self.instruments = run, instruments
        notional = run.stage("notional_position").reindex(columns=instruments)
        known = notional.notna()
        self._days = notional.index[len(known) - 1 - known.to_numpy()[::-1].argmax(axis=0)]
        self.position = run.optimal["notional_position"].reindex(instruments).to_numpy(float)
        self.factors = self._factors()

    def figure(self, stage: str) -> Floats:
        """A stage by instrument; missing where the run was kept without it."""
        if stage not in self.run.manifest.stages:
            return np.full(len(self.instruments), np.nan)
        wide = self.run.stage(stage).reindex(columns=self.instruments).ffill()
        return np.asarray(
            wide.to_numpy(float)[wide.index.get_indexer(self._days, method="ffill"), np.arange(len(self.instruments))]
        )

    def _of_portfolio(self, stage: str, column: str) -> Floats:
        """A stage of the whole portfolio, the same for every instrument but for its last day; 1 where the strategy has no such stage."""
        if stage not in self.run.manifest.stages:
            return np.ones(len(self.instruments))
        values = self.run.stage(stage)[column].ffill()
        return np.asarray(values.to_numpy(float)[values.index.get_indexer(self._days, method="ffill")])

    def by_rule(self, stage: str, rules: list[str]) -> Floats:
        """A stage by instrument and rule."""
        wide = self.run.stage(stage)
        columns = pd.MultiIndex.from_product([self.instruments, rules])
        filled = wide.reindex(columns=columns).ffill().to_numpy(float).reshape(len(wide), len(self.instruments), len(rules))
        rows = wide.index.get_indexer(self._days, method="ffill")
        return np.asarray(filled[rows, np.arange(len(self.instruments))])

    def _factors(self) -> Floats:
        capital = self.run.manifest.capital
        risk = capital * self.run.config["percentage_vol_target"] / 100.0 / ROOT_BUSINESS_DAYS_PER_YEAR
        vol, fx = self.figure("daily_returns_volatility"), self.figure("fx")
        point_size = self.run.optimal["point_size"].reindex(self.instruments).to_numpy(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            price = self.figure("average_position") * vol * point_size * fx / risk
            factors = {
                "forecast": self.figure("combined_forecast"),
                "volatility": 1.0 / vol,
                "fx": 1.0 / fx,
                "price": np.where(np.abs(np.abs(price) - 1.0) < 1e-9, np.sign(price), price),
                "capital": np.full(len(self.instruments), capital),
                "instrument_weight": self.figure("instrument_weights"),
                "diversification": self._of_portfolio("idm", "idm"),
                "risk_overlay": self._of_portfolio("risk_overlay", "risk_scalar"),
            }
            explained = np.column_stack([factors[name] for name in FACTORS[:-1]])
            rest = self.position / explained.prod(axis=1)
        return np.column_stack([explained, rest])


def _usable(before: Floats, after: Floats, position_before: Floats, *, position_after: Floats) -> tuple[Floats, Floats]:
    """Factors whose product is the position. One that is unknown at either end counts as unchanged, so that its effect is in the rest."""
    unknown = ~(np.isfinite(before[:, :-1]) & np.isfinite(after[:, :-1]))
    ends, rests = [], []
    for factors, position in ((before, position_before), (after, position_after)):
        explained = np.where(unknown, 1.0, factors[:, :-1])
        product = explained.prod(axis=1)
        ends.append(explained)
        rests.append(np.divide(position, product, out=np.full(len(product), np.nan), where=product != 0.0))
    # Where a factor is 0 the rest cannot be seen: it counts as unchanged.
    either = [np.where(np.isnan(rest), np.where(np.isnan(other), 1.0, other), rest) for rest, other in (rests, rests[::-1])]
    return np.column_stack([ends[0], either[0]]), np.column_stack([ends[1], either[1]])


def _by_rule(before: _End, after: _End, forecast_change: Floats, *, contracts: Floats) -> pd.DataFrame:
    """Contracts that each rule's forecast and weight brought; `contracts`: what one unit of combined forecast is worth."""
    instruments, rules = before.instruments, list(dict.fromkeys([*before.run.manifest.rules, *after.run.manifest.rules]))
    forecasts, weights = (
        [end.by_rule(stage, rules) for end in (before, after)] for stage in ("capped_forecast", "forecast_weights")
    )
    multiplier = [end.figure("fdm") for end in (before, after)]
    stacked = [
        np.stack([np.nan_to_num(f), np.nan_to_num(w), np.broadcast_to(np.nan_to_num(m)[:, None], f.shape)], axis=-1)
        for f, w, m in zip(forecasts, weights, multiplier, strict=True)
    ]
    parts = shapley(stacked[0], stacked[1])
    cap = forecast_change - parts.sum(axis=(1, 2))
    index = pd.MultiIndex.from_product([instruments, [*rules, MULTIPLIER, CAP]], names=["instrument", "rule"])
    nothing = np.full((len(instruments), 1), np.nan)
    columns = {
        "forecast_before": np.hstack([forecasts[0], nothing, nothing]),
        "forecast_after": np.hstack([forecasts[1], nothing, nothing]),
        "weight_before": np.hstack([weights[0], multiplier[0][:, None], nothing]),
        "weight_after": np.hstack([weights[1], multiplier[1][:, None], nothing]),
        "by_forecast": np.hstack([parts[:, :, 0], 0.0 * nothing, cap[:, None]]) * contracts[:, None],
        "by_weight": np.hstack([parts[:, :, 1], parts[:, :, 2].sum(axis=1)[:, None], 0.0 * nothing]) * contracts[:, None],
    }
    table = pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=index)
    used = table[["weight_before", "weight_after"]].notna().any(axis=1) | (index.get_level_values("rule") == CAP)
    return table[used].fillna({"by_forecast": 0.0, "by_weight": 0.0})


def _last_row(run: SavedRun, stage: str, instruments: list[str]) -> Floats:
    if stage not in run.manifest.stages:
        return np.full(len(instruments), np.nan)
    return np.asarray(run.stage(stage).reindex(columns=instruments).ffill().to_numpy(float)[-1])


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> pd.DataFrame:
    """Keys that differ, without the capital, which is a factor of its own, and the name of the file."""
    flat = [_flat(side) for side in (before, after)]
    keys = [key for key in dict.fromkeys([*flat[0], *flat[1]]) if flat[0].get(key) != flat[1].get(key)]
    shown = [key for key in keys if key not in ("source", "notional_trading_capital")]
    columns = {side: [values.get(key) for key in shown] for side, values in zip(SIDES, flat, strict=True)}
    return pd.DataFrame(columns, index=pd.Index(shown, name="key"), dtype=object)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
