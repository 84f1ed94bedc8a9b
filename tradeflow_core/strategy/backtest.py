"""The backtest: from prices to positions and their profit and loss, one stage after the other.

    prices -> raw data -> forecasts -> combined forecast -> sizing -> portfolio -> buffers -> accounts

Stages are computed when asked for, once. With `compat: pst` figures are those of pysystemtrade, flaws included; with
`compat: fixed` each known flaw is corrected, at its place (the list, with explanations, is in compat.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import cached_property

import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.accounts import Accounts
from tradeflow_core.strategy.buffers import Buffers, buffered_position, buffers
from tradeflow_core.strategy.combined_forecast import CombinedForecast
from tradeflow_core.strategy.config import StrategyConfig
from tradeflow_core.strategy.data import BacktestData
from tradeflow_core.strategy.forecasts import Forecasts
from tradeflow_core.strategy.panel import Panel
from tradeflow_core.strategy.portfolio import Portfolio
from tradeflow_core.strategy.raw_data import RawData
from tradeflow_core.strategy.sizing import Sizing
from tradeflow_core.strategy.universe import instrument_list


def run_backtest(config: StrategyConfig, data: BacktestData) -> Backtest:
    """A backtest of a strategy on data. Nothing is computed until a stage is asked for.

    Raises ConfigError where the strategy has no instruments, DataError where it has some without prices or facts.
    """
    return Backtest(config, data)


class Backtest:
    """Stages by name (`stage`), and the latest positions (`latest`)."""

    def __init__(self, config: StrategyConfig, data: BacktestData) -> None:
        self.config, self.data = config, data
        self.instruments = instrument_list(config, data)
        for code in self.instruments:
            data.instrument(code)
        self.raw_data = RawData(data, self.instruments, config)
        self.forecasts = Forecasts(self.raw_data, config)
        self.combined = CombinedForecast(self.forecasts, self.instruments, config)
        self.sizing = Sizing(self.raw_data, self.combined, config)
        self.portfolio = Portfolio(self.sizing, self.instruments, config)
        self._stages: dict[str, pd.DataFrame] = {}

    def stage(self, name: str) -> pd.DataFrame:
        """One stage as a table by date.

        A column per instrument, or (instrument, rule), (instrument, upper/lower), (instrument, gross/costs/net). Missing
        outside an instrument's own dates. Raises ConfigError for an unknown name, listing the valid ones.
        """
        if name not in STAGES:
            near = difflib.get_close_matches(name, STAGES, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"there is no stage {name}: {hint}Stages are {', '.join(STAGES)}")
        if name not in self._stages:
            found = STAGES[name](self)
            self._stages[name] = found.values if isinstance(found, Panel) else found
        return self._stages[name].copy(deep=False)

    @cached_property
    def average_position(self) -> Panel:
        """Contracts of an average forecast in the portfolio, on the rows of the positions."""
        share = self.portfolio.share
        return share.like(self.sizing.average_position.at(share.span).ffill().array * share.array)

    @cached_property
    def buffers(self) -> Buffers:
        """The bands within which nobody trades."""
        return buffers(self.portfolio.notional_position, self.average_position, self.config)

    @cached_property
    def buffered_position(self) -> Panel:
        """Whole contracts held."""
        return buffered_position(self.portfolio.notional_position, self.buffers, self.config, rounded=True)

    @cached_property
    def buffered_position_unrounded(self) -> Panel:
        """What would be held if contracts could be divided."""
        return buffered_position(self.portfolio.notional_position, self.buffers, self.config, rounded=False)

    @cached_property
    def accounts(self) -> Accounts:
        """Profit and loss of the buffered, rounded positions."""
        return self.accounts_of(self.buffered_position)

    def accounts_of(self, positions: Panel, rounded: bool = True) -> Accounts:
        """Profit and loss of any portfolio positions; `rounded`: only whole contracts are filled."""
        return Accounts(positions, self._portfolio_average_position, self.sizing, self.config, rounded)

    @cached_property
    def _portfolio_average_position(self) -> Panel:
        average, share = self.sizing.average_position, self.portfolio.share
        return average.like(average.array * share.asof(average.span).array)

    def latest(self) -> pd.DataFrame:
        """The last row of each instrument: what production stores as optimal positions.

        Index: instrument. Columns: lower, upper (edges of the band, contracts), notional_position, combined_forecast,
        daily_returns_volatility (price points), fx, reference_price (last daily price), reference_contract (id priced then,
        0 where unknown), reference_date. Figures are missing for an instrument that has too little history for a position.
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
        table["reference_contract"] = [_last_contract(self.raw_data.multiple[code]) for code in self.instruments]
        priced = self.raw_data.daily_price.values.notna()
        days = pd.Series(self.raw_data.calendar.days, index=priced.index)
        table["reference_date"] = [days[priced[code]].max() for code in self.instruments]
        return table


def _last_contract(multiple_prices: pd.DataFrame) -> int:
    if not len(multiple_prices):
        return 0
    known = multiple_prices.loc[multiple_prices["PRICE"].notna(), "PRICE_CONTRACT"].dropna()
    return int(float(known.iloc[-1])) if len(known) else 0


def _by_rule(panel: Callable[[str], Panel], rules: list[str]) -> pd.DataFrame:
    """Columns (instrument, rule), instruments first."""
    tables = {rule: panel(rule).values for rule in rules}
    joined = pd.concat(tables, axis=1, names=["rule", "instrument"]).swaplevel(axis=1)
    return joined.sort_index(axis=1, level=0, sort_remaining=False)


def _bands(backtest: Backtest) -> pd.DataFrame:
    sides = {"upper": backtest.buffers.upper.values, "lower": backtest.buffers.lower.values}
    joined = pd.concat(sides, axis=1, names=["edge", "instrument"]).swaplevel(axis=1)
    return joined.sort_index(axis=1, level=0, sort_remaining=False)


def _at_own_stamps(series: dict[str, pd.Series]) -> pd.DataFrame:
    columns = {code: one[~one.index.duplicated(keep="last")] for code, one in series.items()}
    return pd.DataFrame(columns).rename_axis(columns="instrument")


def _item(name: str) -> Callable[[Backtest], Panel]:
    return lambda backtest: backtest.raw_data.item(name)


STAGES: dict[str, Callable[[Backtest], Panel | pd.DataFrame]] = {
    **{name: _item(name) for name in RawData.ITEMS},
    "raw_futures_roll": lambda backtest: _at_own_stamps(backtest.raw_data.raw_futures_roll),
    "roll_differentials": lambda backtest: _at_own_stamps(backtest.raw_data.roll_differentials),
    "raw_forecast": lambda backtest: _by_rule(backtest.forecasts.raw, backtest.forecasts.rules),
    "forecast_scalar": lambda backtest: _by_rule(backtest.forecasts.scalars, backtest.forecasts.rules),
    "capped_forecast": lambda backtest: _by_rule(backtest.forecasts.capped, backtest.forecasts.rules),
    "forecast_weights": lambda backtest: _by_rule(backtest.combined.weights, backtest.combined.rules),
    "fdm": lambda backtest: backtest.combined.diversification_multiplier,
    "combined_forecast_before_cap": lambda backtest: backtest.combined.before_cap,
    "combined_forecast": lambda backtest: backtest.combined.combined,
    "fx": lambda backtest: backtest.sizing.fx,
    "block_value": lambda backtest: backtest.sizing.block_value,
    "instrument_currency_vol": lambda backtest: backtest.sizing.instrument_currency_vol,
    "instrument_value_vol": lambda backtest: backtest.sizing.instrument_value_vol,
    "average_position": lambda backtest: backtest.sizing.average_position,
    "subsystem_position": lambda backtest: backtest.sizing.subsystem_position,
    "instrument_weights": lambda backtest: backtest.portfolio.weights,
    "idm": lambda backtest: backtest.portfolio.diversification_multiplier,
    "notional_position": lambda backtest: backtest.portfolio.notional_position,
    "buffers": _bands,
    "buffered_position_rounded": lambda backtest: backtest.buffered_position,
    "buffered_position_unrounded": lambda backtest: backtest.buffered_position_unrounded,
    "instrument_pandl": lambda backtest: backtest.accounts.by_instrument,
    "portfolio_pandl": lambda backtest: backtest.accounts.total,
}
