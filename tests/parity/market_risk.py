"""Volatilities, contract values and correlations of a golden system's instruments, from prices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import yaml

from tests.conftest import SHARED
from tradeflow_core.strategy import BacktestData, StrategyConfig, strategy_from_dict
from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.estimation.correlation import fitted_correlations
from tradeflow_core.strategy.estimation.stacking import Stacked, returns_at, stack
from tradeflow_core.strategy.inputs.data import rate_at
from tradeflow_core.strategy.inputs.raw_data import RawData
from tradeflow_core.strategy.positions.risk import annual_volatilities, contract_values

MARKET_KEYS = ("volatility_calculation", "percentage_vol_target", "notional_trading_capital", "base_currency", "start_date")
SOME_RULE = {"carry": {"function": "systems.provided.rules.carry.carry", "data": ["rawdata.raw_carry"]}}


def prices() -> BacktestData:
    """The recorded prices."""
    return BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")


def market_settings(file: Path) -> StrategyConfig:
    """What a system's file says of markets; of its rules nothing."""
    settings = yaml.safe_load(file.read_text())
    return strategy_from_dict(
        {**{key: settings[key] for key in MARKET_KEYS}, "trading_rules": SOME_RULE, "compat": "pst"}, file.name
    )


class MarketRisk:
    """Risk figures of the instruments `codes`, on their business days."""

    def __init__(self, data: BacktestData, codes: list[str], config: StrategyConfig) -> None:
        self.codes, self.config = codes, config
        self.raw = RawData(data, codes, config)

    @property
    def days(self) -> pd.DatetimeIndex:
        """The business days."""
        return pd.DatetimeIndex(self.raw.daily_price.values.index)

    @property
    def volatilities(self) -> Floats:
        """Annual, as shares of price."""
        return annual_volatilities(self.raw.daily_percentage_volatility.array)

    @property
    def contract_values(self) -> Floats:
        """As shares of capital."""
        rates = [rate_at(self.raw.fx(code, self.config.base_currency), self.days) for code in self.codes]
        fx = pd.DataFrame(rates).to_numpy().T
        points = pd.Series([self.raw.data.instrument(code).point_size for code in self.codes]).to_numpy()
        return contract_values(self.raw.daily_denominator_price.array, fx, points, capital=self.config.notional_trading_capital)

    def correlations(self) -> Iterator[tuple[pd.Timestamp, Floats]]:
        """A matrix a week."""
        settings = self.config.instrument_returns_correlation
        weekly: Stacked = stack([returns_at(self.raw.daily_percentage_returns.values, settings.frequency)])
        for period, matrix in fitted_correlations(weekly, settings):
            yield period.period_start, matrix.values
