"""Profit and loss by trading rule: how much of a portfolio's result each rule made, had rules been traded separately.

The P&L of each forecast is weighted by what it counts in the portfolio: weight of the rule x forecast multiplier x weight of
the instrument x instrument multiplier, divided by the sum of all these weights.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats, Panel
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.costs.sr_costs import daily_costs
from tradeflow_core.strategy.forecasts.combined_forecast import CombinedForecast
from tradeflow_core.strategy.forecasts.forecast_accounts import ForecastAccounts
from tradeflow_core.strategy.positions.portfolio import Portfolio

Weighting = Literal["weighted", "within_rule", "unweighted"]
PARTS = ("gross", "costs", "net")


class RuleAccounts:
    """P&L by rule and instrument in base currency; tables by instrument are made anew each time, since together they are large."""

    def __init__(self, combined: CombinedForecast, portfolio: Portfolio, accounts: ForecastAccounts) -> None:
        self.combined, self.portfolio, self.accounts = combined, portfolio, accounts
        self.forecasts = combined.forecasts
        self.raw = self.forecasts.raw_data

    @property
    def rules(self) -> list[str]:
        """Rules with a weight anywhere."""
        return self.combined.rules

    @cached_property
    def _days(self) -> slice:
        index = self.raw.calendar.days
        days = self.portfolio.weights.index
        return slice(int(index.searchsorted(days[0])), int(index.searchsorted(days[-1])) + 1) if len(days) else slice(0, 0)

    @cached_property
    def _weight_by_rule(self) -> dict[str, Floats]:
        """What each forecast counts: (days of the portfolio, instruments)."""
        share = self.portfolio.weights.to_numpy() * self.portfolio.diversification_multiplier.to_numpy()
        share = share * self._on_all_days(self.combined.diversification_multiplier)
        return {rule: np.nan_to_num(share * self._on_all_days(weights)) for rule, weights in self.combined.all_weights.items()}

    def _on_all_days(self, panel: Panel) -> Floats:
        return pd.DataFrame(panel.array[self._days]).ffill().bfill().to_numpy()

    @cached_property
    def _total_weight(self) -> Floats:
        total = np.zeros(len(self.portfolio.weights))
        for weights in self._weight_by_rule.values():
            total += weights.sum(axis=1)
        return total

    def _normalised(self, rule: str, weighting: Weighting, like: Panel) -> Floats:
        weights = self._weight_by_rule[rule]
        divisor = weights.sum(axis=1) if weighting == "within_rule" else self._total_weight
        result = np.full(like.array.shape, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            result[self._days] = weights / divisor[:, None]
        return result

    def forecast(self, rule: str, weighting: Weighting = "weighted") -> dict[str, pd.DataFrame]:
        """P&L of a rule: `gross`, `costs` and `net`, days x instruments; of the portfolio's capital but for `unweighted`."""
        costs = self.combined.tables.costs
        sr_cost = costs.total(costs.final)[:, costs.rules.index(rule)]
        account = self.accounts.of(rule, sr_cost)
        gross, drain = account.gross.values, account.costs.values
        if weighting != "unweighted":
            gross, drain = self._reweighted(rule, weighting, account.decided, average=account.average, sr_cost=sr_cost)
        return {"gross": gross, "costs": drain, "net": gross + drain}

    def _reweighted(
        self, rule: str, weighting: Weighting, decided: Panel, *, average: Panel, sr_cost: Floats
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The same with positions and risk times the weight.

        The reference weights what is held, which it then fills a day late once more; corrected (WEIGHTED_PANDL_LAGGED_ONCE),
        what was decided is weighted.
        """
        weight = decided.like(self._normalised(rule, weighting, decided))
        lagged_once = self.accounts.section.corrects(Correction.WEIGHTED_PANDL_LAGGED_ONCE)
        before = decided if lagged_once else decided.map(lambda values: values.shift(1))
        held = before.like(before.array * weight.ffill().array).map(lambda values: values.shift(1))
        risk_weight = average.like(self._normalised(rule, weighting, average)).ffill()
        risk = average.like(average.array * risk_weight.array)
        money = self.accounts.money_per_point
        points = daily_costs(sr_cost, risk, self.raw.daily_returns_volatility, held=held)
        gross = decided.like(self.accounts.gross_points(held) * money)
        return gross.values, decided.like(np.nan_to_num(points * money)).values

    def of_rule(self, rule: str, weighting: Weighting = "weighted") -> pd.DataFrame:
        """P&L of a rule over all instruments, by business day: gross, costs, net."""
        tables = self.forecast(rule, weighting)
        return self._on_portfolio_days(pd.DataFrame({part: tables[part].sum(axis=1) for part in PARTS}))

    def of_instrument(self, instrument: str) -> pd.DataFrame:
        """P&L of all rules in one instrument, by business day: gross, costs, net."""
        sums = pd.DataFrame(0.0, index=self.raw.calendar.days, columns=list(PARTS))
        for rule in self.rules:
            tables = self.forecast(rule)
            sums += pd.DataFrame({part: tables[part][instrument].fillna(0.0) for part in PARTS})
        return self._on_portfolio_days(sums)

    @cached_property
    def by_rule(self) -> pd.DataFrame:
        """Columns (rule, gross/costs/net), each rule over all instruments, weighted: they add up to `total`."""
        return pd.concat({rule: self.of_rule(rule) for rule in self.rules}, axis=1, names=["rule", "part"])

    @cached_property
    def total(self) -> pd.DataFrame:
        """P&L of all rules in all instruments, by business day: gross, costs, net."""
        return self.by_rule.T.groupby(level="part").sum().T[list(PARTS)]

    def _on_portfolio_days(self, table: pd.DataFrame) -> pd.DataFrame:
        return table.iloc[self._days]
