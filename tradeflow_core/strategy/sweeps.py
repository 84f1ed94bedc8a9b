"""Many configurations on the same data, with what they have in common computed once.

A backtest is a chain of parts: raw data, forecasts of each rule, combined forecasts, positions of instruments, the portfolio.
Each part reads its own section of the settings and the parts before it. It is made once for all configurations in which all of
that is equal, and given up when no later configuration needs it. A part has nothing but its section, so it cannot pass on figures
of the wrong configuration.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tradeflow_core.strategy.backtest import Backtest
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.costs.sr_costs import turnover
from tradeflow_core.strategy.inputs.data import BacktestData
from tradeflow_core.strategy.parts import Parts
from tradeflow_core.strategy.results.curve_statistics import statistics
from tradeflow_core.strategy.results.curves import portfolio_curve


@dataclass(frozen=True, eq=False)
class Sweep:
    """What each configuration made, by its name.

    `table`: percent of notional capital a year: ann_return, ann_vol, costs (negative), gross_return; sharpe, gross_sharpe and
    sortino; worst_drawdown and avg_drawdown in percent of capital; skew; turnover of the portfolio in average positions a year.
    `returns`: daily net profit and loss in percent of capital, a column each. `shared`: how many parts were taken over, by kind.
    """

    table: pd.DataFrame
    returns: pd.DataFrame
    shared: dict[str, int]


def sweep(configs: Mapping[str, StrategyConfig], data: BacktestData, done: Callable[[str], None] | None = None) -> Sweep:
    """Run every configuration on `data`; `done` is called with the name of each when it is finished.

    Errors are those of the backtest that fails, which names its own source.
    """
    workshop = Workshop(data, configs)
    rows: dict[str, dict[str, float]] = {}
    returns: dict[str, pd.Series] = {}
    for name in workshop.order:
        rows[name], returns[name] = _figures(workshop.backtest(name))
        workshop.finish(name)
        if done:
            done(name)
    table = pd.DataFrame.from_dict({name: rows[name] for name in configs}, orient="index")
    return Sweep(table, pd.DataFrame({name: returns[name] for name in configs}), dict(workshop.shared))


def _figures(backtest: Backtest) -> tuple[dict[str, float], pd.Series]:
    accounts = backtest.accounts
    curve, corrected = portfolio_curve(accounts), backtest.config.corrects(Correction.STATISTICS)
    net, gross, costs = (statistics(curve.returns(part), corrected=corrected) for part in ("net", "gross", "costs"))
    traded = turnover(accounts.positions, backtest.sizing.average_position).replace([np.inf, -np.inf], np.nan)
    row = {
        "sharpe": net["sharpe"],
        "ann_return": net["ann_mean"],
        "ann_vol": net["ann_std"],
        "worst_drawdown": net["worst_drawdown"],
        "avg_drawdown": net["avg_drawdown"],
        "sortino": net["sortino"],
        "skew": net["skew"],
        "gross_sharpe": gross["sharpe"],
        "gross_return": gross["ann_mean"],
        "costs": costs["ann_mean"],
        "turnover": float(traded.sum()),
    }
    return row, curve.returns("net").values


class Workshop:
    """Makes backtests of many configurations on the same data, out of parts that are shared where that is sound."""

    def __init__(self, data: BacktestData, configs: Mapping[str, StrategyConfig]) -> None:
        """`configs`: by name, all that will be asked for: a part is kept as long as another of them needs it."""
        self.data, self.configs = data, configs
        self.shared: Counter[str] = Counter()
        self._parts: dict[str, Any] = {}
        self._keys = {name: self._keys_of(config) for name, config in configs.items()}
        self._needed = Counter(key for keys in self._keys.values() for key in keys)

    @property
    def order(self) -> list[str]:
        """The names of the configurations, those that share much beside each other."""
        return sorted(self.configs, key=self._keys.__getitem__)

    def backtest(self, name: str) -> Backtest:
        """A backtest whose parts may belong to others too."""
        return Backtest(self.configs[name], self.data, self._part)

    def finish(self, name: str) -> None:
        """Give up the parts that no other configuration needs."""
        for key in self._keys[name]:
            self._needed[key] -= 1
            if self._needed[key] <= 0:
                self._parts.pop(key, None)

    def _part(self, kind: str, depends_on: str, make: Callable[[], Any]) -> Any:
        key = _digest(kind, depends_on)
        if key in self._parts:
            self.shared[kind] += 1
        else:
            self._parts[key] = make()
        return self._parts[key]

    def _keys_of(self, config: StrategyConfig) -> list[str]:
        """The keys of a configuration's parts, in the order of the calculation. Putting parts together computes nothing."""
        keys = []

        def noted(kind: str, depends_on: str, make: Callable[[], Any]) -> Any:
            keys.append(_digest(kind, depends_on))
            return make()

        Parts(config, self.data, noted)
        return keys


def _digest(kind: str, depends_on: str) -> str:
    """A short text for what may be many kilobytes of settings."""
    return hashlib.sha256(f"{kind} {depends_on}".encode()).hexdigest()
