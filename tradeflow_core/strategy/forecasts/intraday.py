"""Rules that forecast by the hour, one instrument at a time.

Their forecasts join the daily ones of an instrument on the union of stamps; positions follow the last one of each day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.data_items import STAMPED_ITEMS
from tradeflow_core.strategy.config.strategy_config import RuleConfig, StrategyConfig
from tradeflow_core.strategy.forecasts.rule_calls import called_at_stamps
from tradeflow_core.strategy.inputs.raw_data import RawData


@dataclass(frozen=True, eq=False)
class IntradayForecast:
    """Forecasts of an hourly rule by instrument, each at its own stamps: as the rule gives them, scalars, capped."""

    raw: Mapping[str, pd.Series]
    scalars: Mapping[str, pd.Series]
    capped: Mapping[str, pd.Series]


def is_intraday(rule: RuleConfig) -> bool:
    """True for a rule whose data have stamps of their own."""
    return any(item in STAMPED_ITEMS for item in rule.data)


def raw_intraday(name: str, raw_data: RawData, config: StrategyConfig) -> dict[str, pd.Series]:
    """The output of an hourly rule by instrument; a forecast of exactly 0 is missing unless corrected (FLAT_STAYS_FLAT)."""
    found = called_at_stamps(name, raw_data, config)
    if config.corrects(Correction.FLAT_STAYS_FLAT):
        return found
    return {code: one.where(one != 0.0) for code, one in found.items()}
