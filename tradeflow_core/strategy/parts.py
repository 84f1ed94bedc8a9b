"""The parts of a backtest, each made of those before it and computed when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Panel
from tradeflow_core.strategy.common.threads import one_thread
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import (
    CombinedForecastSection,
    DynamicSection,
    ForecastAccountSection,
    PortfolioSection,
    RawDataSection,
    SizingSection,
    TradingSection,
)
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.forecasts.combined_forecast import CombinedForecast
from tradeflow_core.strategy.forecasts.forecast_accounts import ForecastAccounts
from tradeflow_core.strategy.forecasts.forecast_weights import rules_by_instrument
from tradeflow_core.strategy.forecasts.forecasts import Forecasts
from tradeflow_core.strategy.forecasts.rule_forecast import RuleForecast
from tradeflow_core.strategy.inputs.data import BacktestData
from tradeflow_core.strategy.inputs.raw_data import RawData
from tradeflow_core.strategy.inputs.universe import instrument_list
from tradeflow_core.strategy.positions.accounts import Accounts, subsystem_accounts
from tradeflow_core.strategy.positions.buffers import Buffers, buffered_position, buffers
from tradeflow_core.strategy.positions.dynamic_positions import DynamicPositions
from tradeflow_core.strategy.positions.multipliers import capital_multiplier
from tradeflow_core.strategy.positions.portfolio import Portfolio
from tradeflow_core.strategy.positions.rule_accounts import RuleAccounts
from tradeflow_core.strategy.positions.sizing import Sizing

Make = Callable[[str, str, Callable[[], Any]], Any]
"""Gives a part: its kind, a key that says all that it depends on, and how it is made."""


def made_anew(kind: str, key: str, make: Callable[[], Any]) -> Any:
    """A part that is shared with no other backtest."""
    return make()


class Parts:
    """A strategy on data: its parts, from raw data to accounts."""

    def __init__(self, config: StrategyConfig, data: BacktestData, make: Make = made_anew) -> None:
        """`make`: where parts come from; those with equal keys on the same data are the same. Nothing is computed yet."""
        self.config, self.data = config, data
        self.instruments = instrument_list(config, data)
        for instrument in self.instruments:
            data.instrument(instrument)
        section = RawDataSection.of(config)
        key = f"{self.instruments} {section!r}"
        self.raw_data: RawData = make("raw data", key, lambda: RawData(data, self.instruments, section))
        combined_key = self._make_forecasts(make, key)
        self._make_positions(make, combined_key)

    def _make_forecasts(self, make: Make, raw_key: str) -> str:
        """The forecasts; returns the key of the combined ones, which positions depend on."""
        section = CombinedForecastSection.of(self.config)
        accounts = ForecastAccountSection.of(self.config) if section.use_forecast_weight_estimates else None
        key = f"{raw_key} {section!r} {accounts!r}"

        def combined() -> CombinedForecast:
            forecasts = self._forecasts(section, make, raw_key)
            return CombinedForecast(forecasts, section, ForecastAccounts(forecasts, accounts) if accounts else None)

        self.combined: CombinedForecast = make("combined forecasts", key, combined)
        self.forecasts = self.combined.forecasts
        return key

    def _forecasts(self, section: CombinedForecastSection, make: Make, raw_key: str) -> Forecasts:
        users = rules_by_instrument(section, self.instruments)

        def of_rule(rule: str) -> RuleForecast:
            used = np.array([rule in rules for rules in users.values()], dtype=bool)
            settings = section.of_rule(rule)
            if not used.any():
                return RuleForecast(rule, self.raw_data, settings, used=used)
            pooled = used.tolist() if section.use_forecast_scale_estimates else None
            key = f"{raw_key} {settings!r} {pooled}"
            forecast: RuleForecast = make("rules", key, lambda: RuleForecast(rule, self.raw_data, settings, used=used))
            return forecast

        return Forecasts(self.raw_data, {rule: of_rule(rule) for rule in section.trading_rules}, users)

    def _make_positions(self, make: Make, combined_key: str) -> None:
        sizing, portfolio = SizingSection.of(self.config), PortfolioSection.of(self.config)
        trading = TradingSection.of(self.config) if portfolio.learns_from_profits else None
        key = f"{combined_key} {sizing!r}"
        self.sizing: Sizing = make("positions of instruments", key, lambda: Sizing(self.raw_data, self.combined, sizing))
        key = f"{key} {portfolio!r} {trading!r}"
        self.portfolio: Portfolio = make("portfolio", key, lambda: Portfolio(self.sizing, portfolio, trading))

    @cached_property
    def trading(self) -> TradingSection:
        """How wanted positions are traded: buffers and costs."""
        return TradingSection.of(self.config)

    @cached_property
    def subsystem_accounts(self) -> Accounts:
        """P&L of each instrument traded with the whole capital, in whole contracts; rolls cost their full price here."""
        return subsystem_accounts(self.sizing, self.trading)

    @cached_property
    def buffers(self) -> Buffers:
        """The bands within which nothing is traded."""
        return buffers(self.portfolio.notional_position, self.portfolio.average_position, self.trading)

    @cached_property
    def buffered_position(self) -> Panel:
        """Whole contracts held."""
        return buffered_position(self.portfolio.notional_position, self.buffers, self.trading, rounded=True)

    @cached_property
    def buffered_position_unrounded(self) -> Panel:
        """What would be held if contracts could be divided."""
        return buffered_position(self.portfolio.notional_position, self.buffers, self.trading, rounded=False)

    @cached_property
    def dynamic(self) -> DynamicPositions:
        """Positions by dynamic optimisation."""
        return DynamicPositions(self.portfolio, DynamicSection.of(self.config))

    @property
    def held_position(self) -> Panel:
        """Whole contracts that the strategy holds at its starting capital: optimised ones, or those within the buffers."""
        return self.dynamic.positions if self.config.dynamic_optimisation else self.buffered_position

    @cached_property
    def accounts(self) -> Accounts:
        """Profit and loss of the positions held."""
        with one_thread():
            return self.accounts_of(self.held_position)

    @cached_property
    def rule_accounts(self) -> RuleAccounts:
        """Profit and loss by trading rule."""
        return RuleAccounts(
            self.combined, self.portfolio, ForecastAccounts(self.forecasts, ForecastAccountSection.of(self.config))
        )

    @cached_property
    def rule_costs(self) -> pd.DataFrame:
        """Turnover and costs of each rule in each instrument, in Sharpe-ratio units a year."""
        return self.combined.tables.costs.frame()

    @property
    def forecast_weight_tables(self) -> dict[str, pd.DataFrame]:
        """The weights of rules before they are smoothed, by instrument: a row for each date from which it is in force."""
        return {instrument: self.combined.tables.of(instrument) for instrument in self.instruments}

    @cached_property
    def capital_multiplier(self) -> pd.Series:
        """What the starting capital has become, as a factor, by the strategy's rule for compounding.

        From profit and loss at the costs that are reported; corrected (COSTS_KNOWN_THEN), at those of the prices known then.
        """
        known_then = self.config.corrects(Correction.COSTS_KNOWN_THEN)
        net = (replace(self.accounts, known_then=True) if known_then else self.accounts).total["net"]
        percent = 100.0 * net.to_numpy(dtype=float) / self.config.notional_trading_capital
        once = self.config.corrects(Correction.HALF_COMPOUNDING_ONCE)
        factor = capital_multiplier(self.config.capital_multiplier.func, percent, corrected=once)
        return pd.Series(factor, index=net.index, name="capital_multiplier")

    @cached_property
    def actual_position(self) -> Panel:
        """Contracts wanted at the capital of the day."""
        return self._at_actual_capital(self.portfolio.notional_position)

    @cached_property
    def actual_buffers(self) -> Buffers:
        """The bands at the capital of the day."""
        return Buffers(self._at_actual_capital(self.buffers.upper), self._at_actual_capital(self.buffers.lower))

    @cached_property
    def actual_accounts(self) -> Accounts:
        """Profit and loss of whole contracts within the bands at the capital of the day."""
        return self.accounts_of(buffered_position(self.actual_position, self.actual_buffers, self.trading, rounded=True))

    def _at_actual_capital(self, contracts: Panel) -> Panel:
        factor = self.capital_multiplier.reindex(contracts.index).ffill().to_numpy()
        return contracts.like(contracts.array * factor[:, None])

    def accounts_of(self, positions: Panel, *, rounded: bool = True) -> Accounts:
        """Profit and loss of any portfolio positions; `rounded`: only whole contracts are filled."""
        return Accounts(positions, self._portfolio_average_position, self.sizing, self.trading, rounded)

    @cached_property
    def _portfolio_average_position(self) -> Panel:
        average, share = self.sizing.average_position, self.portfolio.share
        return average.like(average.array * share.asof(average.span).array)
