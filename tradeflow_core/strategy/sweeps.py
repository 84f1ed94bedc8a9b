"""Many configurations on the same data, with what they have in common computed once.

A backtest is a chain of parts: raw data, forecasts of each rule, combined forecasts, positions of instruments, the portfolio.
Each part reads some settings and the parts before it. It is made once for all configurations in which all of that is equal, and
given up when no later configuration needs it.

A part that is shared gets a configuration with nothing but the settings that it is known to read. So a part that read another
one would fail, and never pass on figures of the wrong configuration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tradeflow_core.strategy.backtest import Backtest
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.costs.sr_costs import turnover
from tradeflow_core.strategy.forecasts.combined_forecast import CombinedForecast
from tradeflow_core.strategy.forecasts.forecast_weights import rules_by_instrument
from tradeflow_core.strategy.forecasts.forecasts import Forecasts
from tradeflow_core.strategy.inputs.data import BacktestData
from tradeflow_core.strategy.inputs.raw_data import RawData
from tradeflow_core.strategy.inputs.universe import instrument_list
from tradeflow_core.strategy.positions.portfolio import Portfolio
from tradeflow_core.strategy.positions.sizing import Sizing
from tradeflow_core.strategy.results.curve_statistics import statistics
from tradeflow_core.strategy.results.curves import portfolio_curve

RAW = frozenset({"compat", "start_date", "volatility_calculation"})
RULE = frozenset({"compat", "trading_rules", "forecast_scalar", "forecast_scalars", "use_forecast_scale_estimates"}) | {
    *("forecast_scalar_estimate", "use_attenuation", "forecast_cap", "forecast_floor", "average_absolute_forecast"),
}
ESTIMATED_WEIGHTS = frozenset({"base_currency", "notional_trading_capital", "percentage_vol_target", "forecast_weight_estimate"})
COMBINED = RULE | {
    *("forecast_weights", "rule_variations", "use_forecast_weight_estimates", "forecast_cost_estimates"),
    *("forecast_post_ceiling_cost_SR", "forecast_weight_ewma_span", "forecast_mapping"),
    *(
        "forecast_div_multiplier",
        "use_forecast_div_mult_estimates",
        "forecast_correlation_estimate",
        "forecast_div_mult_estimate",
    ),
}
SIZING = frozenset(
    {
        *("compat", "average_absolute_forecast", "base_currency", "notional_trading_capital", "percentage_vol_target"),
        *("long_only_instruments", "volatility_calculation"),
    }
)
PORTFOLIO = SIZING | {
    *("allocate_zero_instrument_weights_to_these_instruments", "exclude_instrument_lists", "duplicate_instruments"),
    *("instrument_weights", "use_instrument_weight_estimates", "instrument_weight_estimate", "instrument_weight_ewma_span"),
    *("instrument_div_multiplier", "use_instrument_div_mult_estimates", "instrument_correlation_estimate"),
    *("instrument_div_mult_estimate", "risk_overlay", "instrument_returns_correlation"),
}
SUBSYSTEM_ACCOUNTS = frozenset(
    {
        *("buffer_method", "buffer_size", "buffer_trade_to_edge"),
        *("use_SR_costs", "vol_normalise_currency_costs", "multiply_roll_costs_by"),
    }
)
"""Of the portfolio, where weights or the multiplier are estimated from profits."""
NOT_KEYED = frozenset({"source"})
"""Read for messages only."""


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


def sweep(configs: Mapping[str, StrategyConfig], data: BacktestData, told: Callable[[str], None] | None = None) -> Sweep:
    """Run every configuration on `data`; `told` hears the name of each when it is done.

    Errors are those of the backtest that fails, which names its own source.
    """
    order = sorted(configs, key=lambda name: _group(configs[name], data))
    workshop = Workshop(data, [configs[name] for name in order])
    rows: dict[str, dict[str, float]] = {}
    returns: dict[str, pd.Series] = {}
    for name in order:
        rows[name], returns[name] = _figures(workshop.backtest(configs[name]))
        workshop.finish(configs[name])
        if told:
            told(name)
    table = pd.DataFrame.from_dict({name: rows[name] for name in configs}, orient="index")
    return Sweep(table, pd.DataFrame({name: returns[name] for name in configs}), dict(workshop.shared))


def _figures(backtest: Backtest) -> tuple[dict[str, float], pd.Series]:
    accounts = backtest.accounts
    curve, corrected = portfolio_curve(accounts), backtest.config.corrects(Correction.STATISTICS)
    net, gross, costs = (statistics(curve.returns(part), corrected) for part in ("net", "gross", "costs"))
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

    def __init__(self, data: BacktestData, configs: Iterable[StrategyConfig]) -> None:
        """`configs`: all that will be asked for, each once: a part is kept as long as another of them needs it."""
        self.data = data
        self.shared: Counter[str] = Counter()
        self._parts: dict[str, Any] = {}
        self._needed = Counter(key for config in configs for key in _Keys(config, instrument_list(config, data)).all)

    def backtest(self, config: StrategyConfig) -> Backtest:
        """A backtest whose parts may belong to others too."""
        backtest = Backtest(config, self.data)
        codes, keys = backtest.instruments, _Keys(config, backtest.instruments)
        raw = self._part("raw data", keys.raw, lambda: RawData(self.data, codes, narrowed(config, RAW)))
        combined = self._part("combined forecasts", keys.combined, lambda: self._combined(config, raw, keys))
        backtest.raw_data, backtest.combined, backtest.forecasts = raw, combined, combined.forecasts
        backtest.sizing = self._part(
            "positions of instruments", keys.sizing, lambda: Sizing(raw, combined, narrowed(config, SIZING))
        )
        settings = keys.portfolio_settings
        backtest.portfolio = self._part(
            "portfolio", keys.portfolio, lambda: Portfolio(backtest.sizing, codes, narrowed(config, settings))
        )
        return backtest

    def finish(self, config: StrategyConfig) -> None:
        """Give up the parts that no other configuration needs."""
        for key in _Keys(config, instrument_list(config, self.data)).all:
            self._needed[key] -= 1
            if self._needed[key] <= 0:
                self._parts.pop(key, None)

    def _combined(self, config: StrategyConfig, raw: RawData, keys: _Keys) -> CombinedForecast:
        narrow = narrowed(config, keys.combined_settings)
        forecasts = Forecasts(raw, narrow)
        for rule, key in keys.rules.items():
            forecasts.take_over(rule, self._part("rules", key, partial(keys.one_rule, raw, rule)))
        return CombinedForecast(forecasts, raw.codes, narrow)

    def _part(self, kind: str, key: str, make: Callable[[], Any]) -> Any:
        if key in self._parts:
            self.shared[kind] += 1
        else:
            self._parts[key] = make()
        return self._parts[key]


class _Keys:
    """Texts that are equal where parts of two configurations on the same data are."""

    def __init__(self, config: StrategyConfig, codes: list[str]) -> None:
        self.config, self.codes = config, codes
        self.users = rules_by_instrument(config, codes)
        estimated = ESTIMATED_WEIGHTS if config.use_forecast_weight_estimates else frozenset()
        self.combined_settings = COMBINED | estimated
        self.raw = f"raw {codes} {_dump(config, RAW)}"
        self.rules = {rule: self._rule(rule) for rule in sorted({rule for own in self.users.values() for rule in own})}
        self.combined = f"combined {self.raw} {_dump(config, self.combined_settings)}"
        self.sizing = f"sizing {self.combined} {_dump(config, SIZING)}"
        from_profits = config.use_instrument_weight_estimates or config.use_instrument_div_mult_estimates
        self.portfolio_settings = PORTFOLIO | (SUBSYSTEM_ACCOUNTS if from_profits else frozenset())
        self.portfolio = f"portfolio {self.sizing} {_dump(config, self.portfolio_settings)}"

    @property
    def all(self) -> list[str]:
        """Every key once."""
        return [self.raw, *self.rules.values(), self.combined, self.sizing, self.portfolio]

    def one_rule(self, raw: RawData, rule: str) -> Forecasts:
        """The forecasts of a rule, computed as if there were no other."""
        forecasts = Forecasts(raw, self._config_of(rule))
        forecasts.__dict__["rules_by_instrument"] = {code: (rule,) if rule in own else () for code, own in self.users.items()}
        forecasts.daily_capped(rule)
        return forecasts

    def _rule(self, rule: str) -> str:
        pooled = [code for code, own in self.users.items() if rule in own] if self.config.use_forecast_scale_estimates else []
        return f"rule {self.raw} {pooled} {_dump(self._config_of(rule), RULE)}"

    def _config_of(self, rule: str) -> StrategyConfig:
        config = self.config
        own = {
            "trading_rules": {rule: config.trading_rules[rule]},
            "forecast_scalars": {name: scalar for name, scalar in config.forecast_scalars.items() if name == rule},
            "use_attenuation": tuple(name for name in config.use_attenuation if name == rule),
        }
        return narrowed(config.model_copy(update=own), RULE)


def narrowed(config: StrategyConfig, settings: frozenset[str]) -> StrategyConfig:
    """The configuration with nothing but these settings: reading another one raises AttributeError."""
    kept = {name: getattr(config, name) for name in settings | NOT_KEYED}
    result = StrategyConfig.model_construct(**kept)
    for name in set(StrategyConfig.model_fields) - set(kept):
        result.__dict__.pop(name, None)
    return result


def _dump(config: StrategyConfig, settings: frozenset[str]) -> str:
    # The order of keys counts, as it does in the tables of a backtest.
    values = {name: getattr(config, name) for name in sorted(settings)}
    return repr(values)


def _group(config: StrategyConfig, data: BacktestData) -> tuple[str, ...]:
    """Configurations that share much lie beside each other in this order."""
    keys = _Keys(config, instrument_list(config, data))
    return keys.raw, keys.combined, keys.sizing, keys.portfolio
