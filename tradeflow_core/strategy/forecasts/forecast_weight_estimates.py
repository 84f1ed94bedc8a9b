"""Weights of rules from what each would have earned: the P&L of every rule in every instrument, after costs.

Gross returns may be pooled over the instruments that use the same rules; costs are those of the instrument whose weights are
sought. Corrected (COSTS_KNOWN_THEN), costs are those known at each fit, and enter as a Sharpe ratio taken off the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.common.years import ROOT_BUSINESS_DAYS_PER_YEAR
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import CombinedForecastSection
from tradeflow_core.strategy.estimation.after_costs import mean_less_costs
from tradeflow_core.strategy.estimation.shared_costs import SharedReturns
from tradeflow_core.strategy.estimation.stacking import Stacked, after_label, stack, sums
from tradeflow_core.strategy.estimation.weights import (
    PeriodEstimates,
    period_estimates,
    weight_periods,
    weights_of,
    with_cost_weights,
    with_cost_weights_by_row,
)
from tradeflow_core.strategy.forecasts.forecast_accounts import ForecastAccounts
from tradeflow_core.strategy.forecasts.forecast_costs import ForecastCosts

GroupOf = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class RulePandl:
    """Gross P&L of one rule by instrument: sums by week (missing without any), days with P&L a week, mean, standard deviation
    and number of days, and the mean cost a day. Days of exactly 0 do not count."""

    weekly: pd.DataFrame
    days: pd.DataFrame
    mean: pd.Series
    deviation: pd.Series
    count: pd.Series
    cost: pd.Series


class ForecastWeightEstimates:
    """Tables of estimated weights, by instrument."""

    def __init__(
        self, accounts: ForecastAccounts, costs: ForecastCosts, group_of: GroupOf, *, section: CombinedForecastSection
    ) -> None:
        self.accounts, self.costs, self.group_of, self.section = accounts, costs, group_of, section
        self.forecasts = accounts.forecasts
        self.estimate = section.forecast_weight_estimate
        self.corrections = section.corrections
        self._shared: dict[tuple[tuple[str, ...], tuple[str, ...]], SharedReturns] = {}
        self._gross_estimates: dict[tuple[tuple[str, ...], tuple[str, ...]], list[PeriodEstimates]] = {}

    def table(self, instrument: str, rules: tuple[str, ...]) -> pd.DataFrame:
        """Weights of `rules` in an instrument: a row for each date from which it is in force."""
        if self.section.corrects(Correction.COSTS_KNOWN_THEN):
            return self._with_costs_known_then(instrument, rules)
        cost = self._cost_sharpe(instrument, rules)
        net_of = (cost * self.estimate.cost_multiplier).to_numpy(dtype=float)
        estimates = self._shared_returns(self._pooled(instrument), rules).estimates(net_of)
        weights = weights_of(estimates, rules, self.estimate, corrections=self.corrections, solver=self.section.solver)
        return with_cost_weights(weights, cost, self.section.solver) if self.estimate.apply_cost_weight else weights

    @cached_property
    def _pandl(self) -> dict[str, RulePandl]:
        total = self.costs.total(self.costs.final)
        return {rule: self._pandl_of(rule, total[:, place]) for place, rule in enumerate(self.costs.rules)}

    def _pandl_of(self, rule: str, sr_cost: Floats) -> RulePandl:
        account = self.accounts.of(rule, sr_cost)
        gross, costs = (table.values.mask(table.values == 0.0) for table in (account.gross, account.costs))
        weekly = sums(gross, self.estimate.frequency, missing_stays_missing=True)
        days = sums(gross.notna().astype(float), self.estimate.frequency)
        return RulePandl(weekly, days, gross.mean(), gross.std(), gross.notna().sum(), costs.mean())

    def _pooled(self, instrument: str) -> tuple[str, ...]:
        return self.group_of(instrument) if self.estimate.pool_gross_returns else (instrument,)

    # As the reference: costs of the whole history, spread over the days with P&L

    def _cost_sharpe(self, instrument: str, rules: tuple[str, ...]) -> pd.Series:
        """Sharpe ratio a year that costs take from each rule, negative."""
        own_costs = pd.Series({rule: self._own_cost(rule, instrument) for rule in rules})
        group = self.group_of(instrument)
        if len(group) == 1:
            return own_costs
        if self.section.forecast_cost_estimates.use_pooled_costs:
            return pd.Series({rule: np.mean([self._own_cost(rule, other) for other in group]) for rule in rules})
        if not self.section.forecast_cost_estimates.use_pooled_turnover:
            return own_costs
        if self.section.corrects(Correction.COST_POOLING):
            total = self.costs.total(self.costs.final)[self.costs.instruments.index(instrument)]
            return -pd.Series(total, index=self.costs.rules)[list(rules)]
        turnover = pd.DataFrame(self.costs.final.turnover, index=self.costs.instruments, columns=self.costs.rules)[list(rules)]
        turnover = turnover.where(turnover != 0.0)
        return own_costs / turnover.T[instrument] * turnover.loc[list(group)].mean()

    def _own_cost(self, rule: str, instrument: str) -> float:
        pandl = self._pandl[rule]
        return float(ROOT_BUSINESS_DAYS_PER_YEAR * pandl.cost[instrument] / pandl.deviation[instrument])

    def _shared_returns(self, instruments: tuple[str, ...], rules: tuple[str, ...]) -> SharedReturns:
        """Weekly gross P&L of all instruments that are pooled, and what costs of one Sharpe ratio a year come to in each week."""
        if (instruments, rules) not in self._shared:
            shift = self._to_equal_means(instruments, rules) if self.estimate.equalise_gross else None
            gross = [
                self._weekly(instrument, rules, None if shift is None else shift.T[instrument]) for instrument in instruments
            ]
            units = [self._cost_units(instrument, rules, frame) for instrument, frame in zip(instruments, gross, strict=True)]
            shared = SharedReturns.of(self._stacked(gross), self._stacked(units), self.estimate, corrections=self.corrections)
            self._shared[instruments, rules] = shared
        return self._shared[instruments, rules]

    def _stacked(self, frames: list[pd.DataFrame]) -> Stacked:
        by_key = Correction.CALENDAR_FITS in self.corrections
        return stack(frames, by_key=by_key, known_after=after_label(self.estimate.frequency, self.corrections))

    def _cost_units(self, instrument: str, rules: tuple[str, ...], gross: pd.DataFrame) -> pd.DataFrame:
        units = {
            rule: self._pandl[rule].days[instrument] * self._pandl[rule].deviation[instrument] / ROOT_BUSINESS_DAYS_PER_YEAR
            for rule in rules
        }
        return pd.DataFrame(units).loc[gross.index].fillna(0.0).where(gross.notna())

    def _to_equal_means(self, instruments: tuple[str, ...], rules: tuple[str, ...]) -> pd.DataFrame:
        """What brings every rule in every instrument to the same mean: that of the rules, over all instruments together."""
        means = pd.DataFrame({rule: self._pandl[rule].mean[list(instruments)] for rule in rules})
        counts = pd.DataFrame({rule: self._pandl[rule].count[list(instruments)] for rule in rules})
        target = ((means * counts).sum() / counts.sum()).mean()
        return target - means

    def _weekly(self, instrument: str, rules: tuple[str, ...], shift: pd.Series | None = None) -> pd.DataFrame:
        """Weekly P&L of an instrument's rules over its own weeks, with `shift` added to each day that has some."""
        pandl = {rule: self._pandl[rule] for rule in rules}
        table = pd.DataFrame({rule: of_rule.weekly[instrument] for rule, of_rule in pandl.items()})
        if shift is not None:
            table += pd.DataFrame({rule: of_rule.days[instrument] * shift[rule] for rule, of_rule in pandl.items()})
        weeks = table.loc[slice(*self._weeks_of(instrument, table.index, rules))]
        return weeks if self.section.corrects(Correction.MISSING_WEEKS) else weeks.fillna(0.0)

    def _weeks_of(self, instrument: str, weeks: pd.Index, rules: tuple[str, ...]) -> tuple[pd.Timestamp, pd.Timestamp]:
        column, days = self.costs.instruments.index(instrument), self.forecasts.raw_data.calendar.days
        spans = [self.forecasts.of(rule).capped.span for rule in rules]
        first = min(int(span.first[column]) for span in spans)
        last = max(int(span.last[column]) for span in spans)
        ends = weeks.searchsorted(days[[first, last]])
        return weeks[ends[0]], weeks[ends[1]]

    # Corrected: costs known at each fit

    def _with_costs_known_then(self, instrument: str, rules: tuple[str, ...]) -> pd.DataFrame:
        fitted = self._estimates_of_gross(self._pooled(instrument), rules)
        costs = self._costs_at([at_fit.period.fit_end for at_fit in fitted], instrument, rules)
        net = [self._net(at_fit, cost) for at_fit, cost in zip(fitted, costs, strict=True)]
        weights = weights_of(net, rules, self.estimate, corrections=self.corrections, solver=self.section.solver)
        too_dear = np.array([(cost > self.estimate.ceiling_cost_SR).all() for cost in costs])
        weights[too_dear & np.array([not at_fit.period.no_data for at_fit in net])] = 0.0
        return with_cost_weights_by_row(weights, costs, self.section.solver) if self.estimate.apply_cost_weight else weights

    def _estimates_of_gross(self, instruments: tuple[str, ...], rules: tuple[str, ...]) -> list[PeriodEstimates]:
        if (instruments, rules) not in self._gross_estimates:
            frames = [self._weekly(instrument, rules) for instrument in instruments]
            returns = self._stacked(frames)
            periods = weight_periods(returns, self.estimate, corrections=self.corrections)
            self._gross_estimates[instruments, rules] = list(
                period_estimates(returns, periods, self.estimate, corrections=self.corrections)
            )
        return self._gross_estimates[instruments, rules]

    def _costs_at(self, dates: list[pd.Timestamp], instrument: str, rules: tuple[str, ...]) -> list[Floats]:
        """Costs of the rules as known at each date; those of an instrument that has none yet are the average of its group's."""
        rows = [int(self.forecasts.raw_data.calendar.days.searchsorted(day)) for day in dates]
        place = [self.costs.rules.index(rule) for rule in rules]
        column, group = (
            self.costs.instruments.index(instrument),
            [self.costs.instruments.index(other) for other in self.group_of(instrument)],
        )
        costs = []
        for table in self.costs.known_before_cached(rows):
            total = self.costs.total(table)
            average = pd.DataFrame(total[np.ix_(group, place)]).mean().to_numpy()
            of_instrument = total[column, place]
            costs.append(np.where(np.isnan(of_instrument), average, of_instrument))
        return costs

    def _net(self, at_fit: PeriodEstimates, cost: Floats) -> PeriodEstimates:
        """Estimates after costs; rules that cost too much, or whose costs are unknown then, take no part."""
        if at_fit.period.no_data:
            return at_fit
        allowed = cost <= self.estimate.ceiling_cost_SR
        mean = mean_less_costs(at_fit.estimates, cost * self.estimate.cost_multiplier, equal_means=self.estimate.equalise_gross)
        net = np.where(allowed, mean, np.nan)
        return replace(at_fit, estimates=replace(at_fit.estimates, mean=net), has_data=at_fit.has_data & allowed)
