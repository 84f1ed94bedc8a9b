"""Weights of instruments and their diversification multiplier: given, or estimated from the P&L of each traded alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.grouping import grouped_weights, is_grouped
from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.common.weight_smoothing import ALWAYS
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import PortfolioSection
from tradeflow_core.strategy.estimation.after_costs import (
    cost_sharpe_ratios,
    mean_less_costs,
    net_returns,
    with_equal_means,
    without_zeros,
)
from tradeflow_core.strategy.estimation.correlation import Correlation, fitted_correlations
from tradeflow_core.strategy.estimation.diversification import multiplier_over_time
from tradeflow_core.strategy.estimation.periods import FitPeriod
from tradeflow_core.strategy.estimation.stacking import Stacked, after_label, returns_at, stack, sums
from tradeflow_core.strategy.estimation.weights import (
    estimated_weights,
    period_estimates,
    weight_periods,
    weights_of,
    with_cost_weights,
    with_cost_weights_by_row,
)
from tradeflow_core.strategy.positions.accounts import Accounts


class InstrumentWeights:
    """Weights and multiplier of `instruments`; `without_weight` get none. `accounts` gives the P&L of each instrument traded alone."""

    def __init__(
        self,
        instruments: list[str],
        without_weight: frozenset[str],
        accounts: Callable[[], Accounts],
        *,
        section: PortfolioSection,
    ) -> None:
        self.instruments, self.without_weight, self.accounts, self.section = instruments, without_weight, accounts, section

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each day from which it is in force, a column for each instrument; rows need not sum to 1."""
        names = pd.Index(self.instruments, name="instrument")
        if not self.section.use_instrument_weight_estimates:
            return pd.DataFrame(self._given[None, :], index=ALWAYS, columns=names)
        if not self._trading:
            return pd.DataFrame(0.0, index=ALWAYS, columns=names)
        known_then = self.section.corrects(Correction.COSTS_KNOWN_THEN)
        weights = self._with_costs_known_then() if known_then else self._with_costs_of_history()
        return weights.reindex(columns=names).fillna(dict.fromkeys(self.without_weight, 0.0))

    @property
    def _trading(self) -> list[str]:
        return [instrument for instrument in self.instruments if instrument not in self.without_weight]

    def _with_costs_of_history(self) -> pd.DataFrame:
        """As the reference: each instrument's average cost of all its history, spread over the days with P&L."""
        accounts, estimate = self.accounts(), self.section.instrument_weight_estimate
        gross, costs = accounts.gross.values[self._trading], accounts.costs[self._trading]
        own_cost = cost_sharpe_ratios(gross, costs, over_all_days=self.section.corrects(Correction.COSTS_OVER_ALL_DAYS))
        before_costs = with_equal_means([gross])[0] if estimate.equalise_gross else gross
        net = net_returns(before_costs, own_cost * estimate.cost_multiplier)
        weights = estimated_weights(self._weekly(net), estimate, self.section.corrections, solver=self.section.solver)
        return with_cost_weights(weights, own_cost, self.section.solver) if estimate.apply_cost_weight else weights

    def _with_costs_known_then(self) -> pd.DataFrame:
        """Corrected: at each fit, mean returns before costs less the costs known then."""
        accounts, estimate, corrections = self.accounts(), self.section.instrument_weight_estimate, self.section.corrections
        gross = accounts.gross.values[self._trading]
        returns = self._weekly(without_zeros(gross))
        periods = weight_periods(returns, estimate, corrections)
        rows = [int(accounts.positions.index.searchsorted(period.fit_end)) for period in periods]
        costs = pd.DataFrame(accounts.sr_costs_known_before(rows), columns=self.instruments)[list(returns.columns)].to_numpy()
        net_estimates = []
        for fitted, cost in zip(period_estimates(returns, periods, estimate, corrections=corrections), costs, strict=True):
            # Costs that are unknown at a fit count as none.
            drag = np.nan_to_num(cost) * estimate.cost_multiplier
            mean = mean_less_costs(fitted.estimates, drag, equal_means=estimate.equalise_gross)
            net_estimates.append(replace(fitted, estimates=replace(fitted.estimates, mean=mean)))
        weights = weights_of(net_estimates, returns.columns, estimate, corrections=corrections, solver=self.section.solver)
        return with_cost_weights_by_row(weights, list(costs), self.section.solver) if estimate.apply_cost_weight else weights

    def _weekly(self, daily: pd.DataFrame) -> Stacked:
        """P&L by week. A week without any is 0, from the first day of any instrument on; corrected (MISSING_WEEKS), missing."""
        frequency, missing = self.section.instrument_weight_estimate.frequency, self.section.corrects(Correction.MISSING_WEEKS)
        pandl = daily.iloc[_known_rows(self.accounts().gross.values)]
        return stack(
            [sums(pandl, frequency, missing_stays_missing=missing)], known_after=after_label(frequency, self.section.corrections)
        )

    @property
    def _given(self) -> Floats:
        """Fixed weights by instrument; equal where the strategy gives none."""
        weights = self.section.instrument_weights
        if weights is None:
            trading = [instrument for instrument in self.instruments if instrument not in self.without_weight]
            weights = dict.fromkeys(trading, 1.0 / max(len(trading), 1))
        elif is_grouped(weights):
            ignored = frozenset(self.section.exclude_instrument_lists.ignore_instruments)
            weights = grouped_weights(weights, ignored | self.section.duplicate_instruments.excluded)
        return np.array(
            [0.0 if instrument in self.without_weight else float(weights[instrument]) for instrument in self.instruments]
        )

    @cached_property
    def correlations(self) -> list[tuple[FitPeriod, Correlation]]:
        """Correlation of the instruments' P&L for each fit period, columns in alphabetical order.

        Corrected (COSTS_KNOWN_THEN), of P&L before costs, which a later change of volatility does not change.
        """
        estimate = self.section.instrument_correlation_estimate
        accounts = self.accounts()
        daily = accounts.gross.values if self.section.corrects(Correction.COSTS_KNOWN_THEN) else accounts.net
        daily = daily.iloc[_known_rows(daily)]
        returns = returns_at(daily, estimate.frequency, forward_fill=estimate.forward_fill_price_index)
        data = stack([returns], known_after=after_label(estimate.frequency, self.section.corrections))
        return list(fitted_correlations(data, estimate, self.section.corrections))

    def multiplier(self, weights: pd.DataFrame) -> Floats:
        """The diversification multiplier on each day of the weights in use."""
        if not self.section.use_instrument_div_mult_estimates:
            return np.full(len(weights), self.section.instrument_div_multiplier)
        settings = self.section.instrument_div_mult_estimate
        current = self.section.corrects(Correction.CURRENT_WEIGHTS)
        return multiplier_over_time(
            self.correlations, weights, settings.dm_max, ewma_span=settings.ewma_span, current_weights=current
        ).to_numpy()


def _known_rows(table: pd.DataFrame) -> slice:
    """From the first to the last row with a value."""
    rows = np.flatnonzero(table.notna().any(axis=1))
    return slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
