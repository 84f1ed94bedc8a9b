"""The given weights of rules, by instrument: for all alike, per instrument, grouped, or equal."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.common.grouping import KEY, grouped_weights, is_grouped
from tradeflow_core.strategy.config.sections import CombinedForecastSection


def rules_by_instrument(section: CombinedForecastSection, instruments: list[str]) -> dict[str, tuple[str, ...]]:
    """The rules that each instrument uses, sorted: those with a weight, or where weights are estimated those of `rule_variations`.

    Raises ConfigError for an unknown rule, or an instrument without rules.
    """
    if not section.use_forecast_weight_estimates:
        given = fixed_forecast_weights(section, instruments)
        return {instrument: tuple(str(rule) for rule in given.columns[given.T[instrument].notna()]) for instrument in instruments}
    variations = section.rule_variations
    if isinstance(variations, dict):
        missing = [instrument for instrument in instruments if instrument not in variations]
        if missing:
            raise ConfigError(
                f"{section.source}: rule_variations are given by instrument, but not for {', '.join(missing)}: add them"
            )
        lists = {instrument: variations[instrument] for instrument in instruments}
    else:
        lists = dict.fromkeys(instruments, variations or tuple(section.trading_rules))
    unknown = sorted({rule for rules in lists.values() for rule in rules} - set(section.trading_rules))
    if unknown:
        raise ConfigError(f"{section.source}: rule_variations names rules that trading_rules does not have: {', '.join(unknown)}")
    return {instrument: tuple(sorted(set(rules))) for instrument, rules in lists.items()}


def fixed_forecast_weights(
    section: CombinedForecastSection, instruments: list[str], too_expensive: Mapping[str, frozenset[str]] | None = None
) -> pd.DataFrame:
    """Instruments x rules (sorted), missing where an instrument does not use a rule; need not sum to 1.

    `too_expensive`: rules by instrument that a grouped strategy leaves out before it divides the weight of their groups.

    Raises ConfigError for an unknown rule, or an instrument without weights.
    """
    left_out = too_expensive or {}
    rows = {instrument: _weights_of(instrument, section, left_out.get(instrument, frozenset())) for instrument in instruments}
    unknown = sorted({str(rule) for row in rows.values() for rule in row} - set(section.trading_rules))
    if unknown:
        raise ConfigError(
            f"{section.source}: forecast_weights names rules that trading_rules does not have: {', '.join(unknown)}"
        )
    rules = sorted({rule for row in rows.values() for rule in row})
    table = pd.DataFrame.from_dict(rows, orient="index", dtype=float).reindex(index=instruments, columns=rules)
    return table.rename_axis(index="instrument", columns="rule")


def _weights_of(instrument: str, section: CombinedForecastSection, left_out: frozenset[str]) -> dict[str, float]:
    weights = section.forecast_weights
    if weights is None:
        return dict.fromkeys(section.trading_rules, 1.0 / len(section.trading_rules))
    if isinstance(weights.get(instrument), dict):
        chosen = weights[instrument]
    elif is_grouped(weights):
        chosen = grouped_weights({KEY: weights[KEY]}, left_out)
        if not chosen:
            raise ConfigError(
                f"{section.source}: every rule costs more than forecast_post_ceiling_cost_SR for {instrument}: raise it, or exclude {instrument}"
            )
    elif any(isinstance(value, dict) for value in weights.values()):
        raise ConfigError(f"{section.source}: forecast_weights are given by instrument, but not for {instrument}: add it")
    else:
        chosen = weights
    return {rule: float(weight) for rule, weight in chosen.items()}


def weighs_cheap_rules_only(section: CombinedForecastSection) -> bool:
    """True where the strategy leaves expensive rules out before it divides the weight of their groups."""
    weights = section.forecast_weights
    if weights is None or not is_grouped(weights):
        return False
    return bool((weights[KEY].get("parameters") or {}).get("apply_forecast_post_ceiling_cost_SR_before_weighting", False))
