"""Backtest figures."""

from __future__ import annotations

from benchmarks.measure import Figure, measure
from benchmarks.prices import SHARED
from tradeflow_core.strategy import BacktestData, load_strategy, run_backtest


def figures() -> list[Figure]:
    """The six-instrument static system, data loaded."""
    config = load_strategy(SHARED / "golden" / "system_a" / "futuresconfig.yaml")
    data = BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")
    run_backtest(config, data).stage("portfolio_pandl")
    size = sum(int(data.multiple_prices[code].memory_usage().sum()) for code in config.instrument_weights or {})
    return [
        measure(
            "static backtest, 6 instruments, to portfolio P&L",
            lambda: run_backtest(config, data).stage("portfolio_pandl"),
            size,
            12.3,
        )
    ]
