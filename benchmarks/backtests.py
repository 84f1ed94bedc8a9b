"""Backtests and dynamic optimisation: CPU seconds with data loaded, peak memory, and how both grow with the number of instruments.

Every backtest runs once in a process of its own, so that nothing is warm and its peak memory is its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
import pandas as pd

from benchmarks.measure import calibrate, measure, peak_memory
from benchmarks.prices import SHARED
from tradeflow_core.strategy import BacktestData, StrategyConfig, load_strategy, run_backtest
from tradeflow_core.strategy.positions import Constraints, Problem, optimise

GOLDEN = SHARED / "golden"
CSV = SHARED / "data" / "pysystemtrade_csv"
UNIVERSE = SHARED / "data" / "universe" / "multiple_prices"
STEPS = {
    "prices, volatility, carry": ("daily_returns_volatility", "median_carry_for_asset_class", "normalised_price_for_asset_class"),
    "combined forecasts": ("combined_forecast",),
    "positions before risk": ("position_before_overlay",),
    "risk overlay": ("notional_position",),
    "profit and loss": ("portfolio_pandl",),
}
TARGETS = {
    "system_a": (0.25, None),
    "system_b": (1.0, None),
    "36 rules, 40 instruments": (5.0, 1000.0),
    "36 rules, 186 instruments": (30.0, 6000.0),
}
BASELINES = {"system_a": 12.3, "system_b": 41.0, "36 rules, 40 instruments": 342.0}
"""CPU seconds of the reference system on this kind of machine."""


@dataclass(frozen=True)
class BacktestFigure:
    """One backtest to P&L: CPU seconds by step and in all, peak memory and that before (MB), and one NumPy pass over its prices."""

    name: str
    instruments: int
    rows: int
    cpu: float
    steps: dict[str, float]
    peak: float
    idle: float
    calibration: float

    @property
    def targets(self) -> tuple[float | None, float | None]:
        """CPU seconds and MB that are aimed at."""
        return TARGETS.get(self.name, (None, None))


def figures() -> list[BacktestFigure]:
    """The two six-instrument systems, the large one, and its growth from 10 to 186 instruments."""
    return [_measured(name) for name in ("system_a", "system_b", "40", *("10", "24", "47", "93", "186"))]


def _measured(name: str) -> BacktestFigure:
    done = subprocess.run([sys.executable, "-m", "benchmarks.backtests", name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return BacktestFigure(**json.loads(done.stdout.splitlines()[-1]))


def run(name: str) -> BacktestFigure:
    """One backtest in this process."""
    config, data = _inputs(name)
    codes = run_backtest(config, data).instruments
    rows = sum(len(data.multiple_prices[code]) for code in codes)
    size = sum(int(data.adjusted_prices[code].memory_usage() + data.multiple_prices[code].memory_usage().sum()) for code in codes)
    backtest, idle, spent = run_backtest(config, data), peak_memory(), {}
    for step, stages in STEPS.items():
        started = time.process_time()
        for stage in stages:
            backtest.stage(stage)
        spent[step] = time.process_time() - started
    label = name if name.startswith("system") else f"36 rules, {len(codes)} instruments"
    return BacktestFigure(label, len(codes), rows, sum(spent.values()), spent, peak_memory(), idle, calibrate(size))


def _inputs(name: str) -> tuple[StrategyConfig, BacktestData]:
    folder = BacktestData.from_pysystemtrade(CSV)
    if name.startswith("system"):
        file = {"system_a": "futuresconfig.yaml", "system_b": "futuresestimateconfig.yaml"}[name]
        return load_strategy(GOLDEN / name / file), folder
    config = load_strategy(GOLDEN / "bench_40.yaml")
    codes = list(config.instrument_weights or {})
    if name != "40":
        every = sorted(file.stem for file in UNIVERSE.glob("*.parquet"))
        codes = [every[place] for place in np.linspace(0, len(every) - 1, int(name)).round().astype(int)]
        config = config.model_copy(update={"instrument_weights": dict.fromkeys(codes, 1.0 / len(codes))})
    prices = {code: _prices(code) for code in codes}
    return config, BacktestData.from_frames(prices, dict(folder.fx), {code: folder.instruments[code] for code in codes})


def _prices(code: str) -> pd.DataFrame:
    table = pd.read_parquet(UNIVERSE / f"{code}.parquet").set_index("DATETIME")
    return table.set_axis(pd.DatetimeIndex(table.index).as_unit("ns"))


@dataclass(frozen=True)
class OptimiserFigure:
    """One date of dynamic optimisation from no position: CPU milliseconds, contracts added by the search, targets."""

    instruments: int
    steps: int
    cpu: float
    target: float
    reference: float | None


def optimiser_figures() -> list[OptimiserFigure]:
    """Small and large portfolios, with few and with many contracts."""
    sizes = ((25, 1.0, 1.0, 29.6), (25, 3.0, 1.0, 29.6), (186, 3.0, 5.0, None), (186, 10.0, 5.0, None))
    return [_one_date(*size) for size in sizes]


def _one_date(count: int, capital: float, target: float, *, reference: float | None) -> OptimiserFigure:
    problem = _problem(count, capital)
    steps = optimise(problem, corrected=True).steps
    repeats = 50
    figure = measure("", lambda: [optimise(problem, corrected=True) for _ in range(repeats)], problem.covariance.nbytes)
    return OptimiserFigure(count, steps, figure.cpu / repeats * 1000.0, target, reference)


@cache
def _problem(count: int, capital: float) -> Problem:
    rng = np.random.default_rng(count)
    loadings = rng.standard_normal((count, 5))
    correlation = loadings @ loadings.T + 5.0 * np.eye(count)
    scale = np.sqrt(np.diagonal(correlation))
    vol = rng.uniform(0.05, 0.4, count)
    value = rng.uniform(0.02, 0.4, count) / capital
    return Problem(
        names=tuple(f"M{place:03d}" for place in range(count)),
        optimal=rng.standard_normal(count) * 0.25 / vol / value / np.sqrt(count),
        value=value,
        covariance=correlation / np.outer(scale, scale) * np.outer(vol, vol),
        cost=rng.uniform(1e-5, 1e-3, count),
        previous=np.zeros(count),
        constraints=Constraints.none(count),
        shadow_cost=50.0,
        tracking_error_buffer=0.0125,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(run(sys.argv[1]))))
