"""The given weights of rules, by instrument: for all alike, per instrument, grouped, or equal."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.config import StrategyConfig
from tradeflow_core.strategy.grouping import KEY, grouped_weights, is_grouped


def fixed_forecast_weights(config: StrategyConfig, codes: list[str]) -> pd.DataFrame:
    """Instruments x rules (sorted), missing where an instrument does not use a rule; need not sum to 1.

    Raises ConfigError for a weight that is not a number, an unknown rule, or an instrument without weights.
    """
    rows = {code: _weights_of(code, config) for code in codes}
    unknown = sorted({str(rule) for row in rows.values() for rule in row} - set(config.trading_rules))
    if unknown:
        raise ConfigError(f"{config.source}: forecast_weights names rules that trading_rules does not have: {', '.join(unknown)}")
    rules = sorted({rule for row in rows.values() for rule in row})
    table = pd.DataFrame(np.nan, index=pd.Index(codes, name="instrument"), columns=pd.Index(rules, name="rule"))
    for code, row in rows.items():
        for rule, weight in row.items():
            table.loc[code, rule] = weight
    return table


def _weights_of(code: str, config: StrategyConfig) -> dict[str, float]:
    weights = config.forecast_weights
    if weights is None:
        return dict.fromkeys(config.trading_rules, 1.0 / len(config.trading_rules))
    if isinstance(weights.get(code), dict):
        found = weights[code]
    elif is_grouped(weights):
        found = grouped_weights({KEY: weights[KEY]})
    elif any(isinstance(value, dict) for value in weights.values()):
        raise ConfigError(f"{config.source}: forecast_weights are given by instrument, but not for {code}: add it")
    else:
        found = weights
    wrong = [rule for rule, weight in found.items() if not isinstance(weight, int | float) or isinstance(weight, bool)]
    if wrong:
        raise ConfigError(f"{config.source}: forecast_weights: not a number for {', '.join(map(str, wrong))}")
    return {rule: float(weight) for rule, weight in found.items()}
