"""Dynamic optimisation in a backtest: every day the whole contracts that best track what the strategy wants, at little cost."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats, Panel, Span
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import DynamicSection
from tradeflow_core.strategy.costs.cash_costs import deflator, fill_costs
from tradeflow_core.strategy.inputs.data import rate_at
from tradeflow_core.strategy.positions.dynamic import Constraints, OptimisedHistory, OptimiserInputs, optimise_over_time
from tradeflow_core.strategy.positions.portfolio import Portfolio

NEVER_TRADE = 10_000.0
"""A cost, as a share of capital, that no gain is worth."""


class DynamicPositions:
    """Optimised positions of a strategy on every day of its portfolio; they begin with none."""

    def __init__(self, portfolio: Portfolio, section: DynamicSection) -> None:
        self.portfolio, self.section = portfolio, section
        self.sizing = portfolio.sizing
        self.raw = portfolio.sizing.raw_data
        self.days = portfolio.days

    @cached_property
    def contract_value(self) -> Floats:
        """Value of a contract as a share of capital: (days, instruments). The first one is also used for all days before it;
        corrected (NO_BACKFILL), those have none."""
        value = self.portfolio.risk.contract_value.values.iloc[self.days].ffill()
        return (value if self.section.corrects(Correction.NO_BACKFILL) else value.bfill()).to_numpy()

    @cached_property
    def costs(self) -> Floats:
        """Cost of trading a weight of 1, as a share of capital: (days, instruments).

        As the reference, it is today's, in proportion to the volatility of each day; corrected (COSTS_KNOWN_THEN), that of the
        prices of the day. Where nothing is known of a day it is so high that nothing is traded.
        """
        per_contract = self._cost_then() if self.section.corrects(Correction.COSTS_KNOWN_THEN) else self._cost_of_today()
        return self.section.small_system.cost_multiplier * per_contract

    def _cost_then(self) -> Floats:
        price = self.raw.daily_denominator_price.values.iloc[self.days].ffill().to_numpy()
        money = np.column_stack(
            [fill_costs(np.ones(len(price)), price[:, place], instrument) for place, instrument in enumerate(self.raw.facts)]
        )
        fx = self.raw.rates(self.section.base_currency)[self.days]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(money * fx / np.abs(self.contract_value) / self.section.notional_trading_capital)

    def _cost_of_today(self) -> Floats:
        columns = [self._cost_of(place) for place in range(len(self.raw.instruments))]
        return np.column_stack(columns)

    def _cost_of(self, place: int) -> Floats:
        """Today's cost in proportion to volatility, which is that of the prices known at the start of each day."""
        days = self.raw.calendar.days
        price = self.raw.adjusted[self.raw.instruments[place]]
        value = self.portfolio.risk.contract_value.values.iloc[:, place].dropna()
        if not price.notna().any() or not len(value):
            return np.full(len(days[self.days]), NEVER_TRADE)
        span = self.raw.daily_price.span
        priced_days = days[int(span.first[place]) : int(span.last[place]) + 1]
        price_by_day = pd.Series(rate_at(price, priced_days), index=priced_days).ffill()
        scale = pd.Series(deflator(np.asarray(price_by_day, dtype=np.float64)), index=priced_days).reindex(days[self.days])
        money = fill_costs(np.ones(1), np.array([price.dropna().iloc[-1]]), self.raw.facts[place])[0] * self._last_fx(place)
        with np.errstate(divide="ignore", invalid="ignore"):
            today = np.divide(money, value.iloc[-1]) / self.section.notional_trading_capital
            return np.asarray(today * scale.ffill().fillna(NEVER_TRADE).to_numpy())

    def _last_fx(self, place: int) -> float:
        rate = self.raw.fx(self.raw.instruments[place], self.section.base_currency)
        return 1.0 if rate is None else float(rate.iloc[-1]) if len(rate) else np.nan

    @cached_property
    def constraints(self) -> Constraints:
        """Long only as the strategy says; instruments in bad markets or under trading restrictions are only reduced."""
        instruments, lists = self.raw.instruments, self.section.exclude_instrument_lists
        free = Constraints.none(len(instruments))
        reduce_only = np.isin(instruments, [*lists.bad_markets, *lists.trading_restrictions])
        long_only = np.isin(instruments, self.section.long_only_instruments_DO_ONLY)
        return Constraints(free.no_trade, reduce_only, long_only, free.maximum)

    @cached_property
    def wanted(self) -> Panel:
        """Contracts that are tracked, unrounded: before the risk overlay; corrected (CAREFUL_OPTIMISER), within its limits.

        Corrected (PAUSED_MARKETS), on a day without price those of the last day with one.
        """
        corrected = self.section.corrects(Correction.CAREFUL_OPTIMISER)
        wanted = self.portfolio.notional_position if corrected else self.portfolio.position_before_overlay
        if self.section.corrects(Correction.PAUSED_MARKETS):
            wanted = wanted.map(lambda contracts: contracts.where(self.raw.priced).ffill())
        return wanted

    @cached_property
    def history(self) -> OptimisedHistory:
        """Positions of every day, with tracking errors and what failed."""
        settings = self.section.small_system
        inputs = OptimiserInputs(
            names=tuple(self.raw.instruments),
            optimal=self.wanted.values.iloc[self.days].ffill().to_numpy(),
            value=self.contract_value,
            cost=self.costs,
            constraints=self.constraints,
            shadow_cost=settings.shadow_cost,
            tracking_error_buffer=settings.tracking_error_buffer,
        )
        covariances = self.portfolio.risk.covariances(self.days, settings.shrink_instrument_returns_correlation)
        return optimise_over_time(inputs, covariances, corrected=self.section.corrects(Correction.CAREFUL_OPTIMISER))

    @cached_property
    def positions(self) -> Panel:
        """Whole contracts on every day of the portfolio."""
        like = self.portfolio.position_before_overlay
        array = np.full(like.array.shape, np.nan)
        array[self.days] = self.history.positions
        count = np.ones(len(self.raw.instruments), dtype=np.int64)
        return like.like(array, Span(count * self.days.start, count * (self.days.stop - 1)))

    def latest(self) -> pd.DataFrame:
        """What the optimiser needs of the last day, beside the covariance and the wanted positions. Index: instrument.

        Columns: contract_value (of one contract, as a share of capital), annual_volatility (share of price), trading_cost (of a weight
        of 1, as a share of capital), restricted (may only be reduced, as the strategy says), long_only. Figures that are not known
        are missing; a volatility is not known either of a price that has not moved.
        """
        days = self.days.stop > self.days.start
        unknown = np.full(len(self.raw.instruments), np.nan)
        figures = {
            "contract_value": self.contract_value[-1] if days else unknown,
            "annual_volatility": self._volatility() if days else unknown,
            "trading_cost": self.costs[-1] if days else unknown,
        }
        long_only = [*self.section.long_only_instruments_DO_ONLY, *self.section.long_only_instruments]
        return (
            pd.DataFrame(figures, index=pd.Index(self.raw.instruments, name="instrument"))
            .replace([np.inf, -np.inf], np.nan)
            .assign(
                restricted=pd.array(self.constraints.reduce_only, dtype="boolean"),
                long_only=pd.array(np.isin(self.raw.instruments, long_only), dtype="boolean"),
            )
        )

    def _volatility(self) -> Floats:
        """Annual volatilities of the last day."""
        daily = self.raw.daily_returns_volatility.values.iloc[: self.days.stop].ffill().iloc[-1].to_numpy(float)
        moving = daily > self.section.volatility_calculation.lowest
        return np.where(moving, self.portfolio.risk.volatilities[self.days.stop - 1], np.nan)

    def latest_covariance(self) -> pd.DataFrame:
        """Covariance of annual percentage returns on the last day, index and columns instrument; missing where it is not known."""
        instruments = self.raw.instruments
        last = slice(self.days.stop - 1, self.days.stop)
        shrinkage = self.section.small_system.shrink_instrument_returns_correlation
        matrices = list(self.portfolio.risk.covariances(last, shrinkage)) if self.days.stop > self.days.start else []
        values = matrices[0].copy() if matrices else np.full((len(instruments), len(instruments)), np.nan)
        unknown = self.latest()["annual_volatility"].isna().to_numpy()
        values[unknown] = values[:, unknown] = np.nan
        return pd.DataFrame(values, index=pd.Index(instruments, name="instrument"), columns=instruments)
