"""The backtest: from prices to positions and their profit and loss, one stage after the other.

    prices -> raw data -> forecasts -> combined forecast -> sizing -> portfolio -> buffers -> accounts

Stages are computed when asked for, once. With `compat: pst` figures are those of pysystemtrade, flaws included; with
`compat: fixed` each known flaw is corrected, at its place (the list, with explanations, is in compat.py).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.model import nearest
from tradeflow_core.strategy.common.panel import Panel
from tradeflow_core.strategy.common.threads import one_thread
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.inputs.data import BacktestData
from tradeflow_core.strategy.parts import Make, Parts, made_anew
from tradeflow_core.strategy.stages import STAGES


def run_backtest(config: StrategyConfig, data: BacktestData) -> Backtest:
    """A backtest of a strategy on data. Nothing is computed until a stage is asked for.

    Raises ConfigError where the strategy has no instruments, DataError where it has some without prices or facts.
    """
    return Backtest(config, data)


class Backtest(Parts):
    """Stages by name (`stage`), and the latest positions (`latest`)."""

    def __init__(self, config: StrategyConfig, data: BacktestData, make: Make = made_anew) -> None:
        super().__init__(config, data, make)
        self._stages: dict[str, pd.DataFrame] = {}

    def stage(self, name: str) -> pd.DataFrame:
        """One stage as a table by date.

        A column per instrument, or (instrument, rule), (instrument, upper/lower), (instrument, gross/costs/net). Missing
        outside an instrument's own dates. Raises ConfigError for an unknown name, listing the valid ones.
        """
        if name not in STAGES:
            raise ConfigError(f"there is no stage {name}{nearest(name, STAGES)}; stages are {', '.join(STAGES)}")
        if name not in self._stages:
            with one_thread():
                table = STAGES[name](self)
            self._stages[name] = table.values if isinstance(table, Panel) else table
        return self._stages[name].copy(deep=False)

    def latest(self) -> pd.DataFrame:
        """The last row of each instrument: what production stores as optimal positions.

        Index: instrument. Columns: lower, upper (edges of the band, contracts), notional_position, combined_forecast,
        daily_returns_volatility (price points), fx, reference_price (last daily price), reference_contract (id priced then,
        0 where unknown), reference_date. Figures are missing for an instrument that has too little history for a position. With
        dynamic optimisation there are no bands, but what the optimiser needs: the columns of `DynamicPositions.latest`.
        """
        panels = {
            "lower": self.buffers.lower,
            "upper": self.buffers.upper,
            "notional_position": self.portfolio.notional_position,
            "combined_forecast": self.combined.combined,
            "daily_returns_volatility": self.raw_data.daily_returns_volatility,
            "fx": self.sizing.fx,
            "reference_price": self.raw_data.daily_price,
        }
        columns = {name: panel.values.ffill().iloc[-1] for name, panel in panels.items()}
        table = pd.DataFrame(columns, index=pd.Index(self.instruments, name="instrument"))
        table["reference_contract"] = [_last_contract(self.raw_data.multiple[instrument]) for instrument in self.instruments]
        priced = self.raw_data.daily_price.values.notna()
        days = pd.Series(self.raw_data.calendar.days, index=priced.index)
        table["reference_date"] = [days[priced[instrument]].max() for instrument in self.instruments]
        return table.assign(lower=np.nan, upper=np.nan).join(self.dynamic.latest()) if self.config.dynamic_optimisation else table


def _last_contract(multiple_prices: pd.DataFrame) -> int:
    if not len(multiple_prices):
        return 0
    contracts = multiple_prices.loc[multiple_prices["PRICE"].notna(), "PRICE_CONTRACT"].dropna()
    return int(float(contracts.iloc[-1])) if len(contracts) else 0
