"""Backtests: strategies, their forecasts, positions and profit and loss."""

from tradeflow_core.strategy.backtest import Backtest, run_backtest
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.config_file import load_strategy, packaged_strategies, strategy_from_dict
from tradeflow_core.strategy.inputs.data import BacktestData
from tradeflow_core.strategy.rules import whole_table

__all__ = [
    "Backtest",
    "BacktestData",
    "StrategyConfig",
    "load_strategy",
    "packaged_strategies",
    "run_backtest",
    "strategy_from_dict",
    "whole_table",
]
