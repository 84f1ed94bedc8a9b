"""Account curves: profit and loss over time, gross, costs or net, in money or percent of capital, by day to year.

Profit and loss of a period is the sum of that of its days, never compounded: percents are of the capital of the day, so with
a fixed capital they add up.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.lazy import LazyMapping
from tradeflow_core.strategy.common.panel import by_business_day, nanoseconds
from tradeflow_core.strategy.common.years import BUSINESS_DAYS_PER_YEAR, CALENDAR_DAYS_PER_YEAR
from tradeflow_core.strategy.positions.accounts import Accounts

Part = Literal["gross", "costs", "net"]
Unit = Literal["money", "percent"]
Frequency = Literal["daily", "weekly", "monthly", "annual"]

PARTS: tuple[Part, ...] = ("gross", "costs", "net")
PERIODS_PER_YEAR: dict[Frequency, float] = {
    "daily": BUSINESS_DAYS_PER_YEAR,
    "weekly": CALENDAR_DAYS_PER_YEAR / 7,
    "monthly": 12.0,
    "annual": 1.0,
}
_BINS: dict[Frequency, str] = {"weekly": "W", "monthly": "ME", "annual": "YE"}


@dataclass(frozen=True, eq=False)
class Returns:
    """Profit and loss by period, one view of a curve. `per_year`: periods a year."""

    values: pd.Series
    per_year: float

    @cached_property
    def cumulative(self) -> pd.Series:
        """The running sum."""
        return self.values.cumsum()

    def drawdown(self, *, corrected: bool = True) -> pd.Series:
        """How far the running sum lies below its highest value so far, 0 or less.

        Not `corrected`, as in pysystemtrade: the first value is the first peak, so that a loss on the first day is none.
        """
        total = self.cumulative
        peak = total.cummax()
        return total - (peak.clip(lower=0.0) if corrected else peak)

    def rolling_annual_std(self, periods: int = 40) -> pd.Series:
        """Standard deviation a year over `periods` around each one, at least 4."""
        return self.values.rolling(periods, min_periods=4, center=True).std() * np.sqrt(self.per_year)


class AccountCurve:
    """Profit and loss of one position, or of many together."""

    def __init__(
        self, gross: pd.Series, costs: pd.Series, capital: float | pd.Series, *, held_since: pd.Timestamp | None = None
    ) -> None:
        """`gross` and `costs` (negative): money by naive stamp, sorted. `capital`: what percents are of.

        `held_since`: when a position was first held; the first stamp if not given.
        """
        self.gross, self.costs, self.capital = gross, costs, capital
        self.held_since = held_since if held_since is not None or not len(gross) else pd.Timestamp(gross.index[0])
        self._views: dict[tuple[Hashable, ...], Returns] = {}

    @staticmethod
    def of_returns(returns: pd.Series, capital: float, costs: pd.Series | None = None) -> AccountCurve:
        """The curve of bare returns: the profit and loss of holding one unit of what has these changes of price."""
        changes = returns.dropna()
        return AccountCurve(changes, pd.Series(dtype=float, index=changes.index[:0]) if costs is None else costs, capital)

    @cached_property
    def net(self) -> pd.Series:
        """Gross plus costs; what is missing on one side counts as 0."""
        return self.gross.add(self.costs, fill_value=0.0) if len(self.costs) else self.gross

    def part(self, part: Part) -> pd.Series:
        """Gross, costs or net in money, at its own stamps."""
        chosen: pd.Series = {"gross": lambda: self.gross, "costs": lambda: self.costs, "net": lambda: self.net}[part]()
        return chosen

    def returns(
        self, part: Part = "net", unit: Unit = "percent", frequency: Frequency = "daily", *, capital_at_bins: bool = False
    ) -> Returns:
        """A view of the curve; a period without profit or loss has 0. It spans the first to the last known figure of the part.

        Days are business days (a weekend belongs to its Friday), weeks end on Sundays; weeks, months and years are labelled by
        their last day.

        `capital_at_bins`: as pysystemtrade where the frequency is chosen before the percentage. Capital is then known at the
        ends of periods only, and what was made before the first one counts 0.
        """
        key = (part, unit, frequency, capital_at_bins)
        if key not in self._views:
            money = self.part(part).dropna()
            since = _first_label(self.gross, frequency) if capital_at_bins else None
            values = money if unit == "money" else self._percent(money, since)
            self._views[key] = Returns(binned(values, frequency), PERIODS_PER_YEAR[frequency])
        return self._views[key]

    def _percent(self, money: pd.Series, capital_since: pd.Timestamp | None) -> pd.Series:
        if isinstance(self.capital, pd.Series):
            place = np.searchsorted(nanoseconds(self.capital.index), nanoseconds(money.index), side="right") - 1
            levels = self.capital.to_numpy(dtype=float)
            capital = pd.Series(np.where(place >= 0, levels[np.maximum(place, 0)], np.nan), index=money.index)
        else:
            capital = pd.Series(float(self.capital), index=money.index)
        if capital_since is not None:
            capital = capital.where(money.index >= capital_since)
        return (100.0 * money / capital).fillna(0.0)


class CurveGroup(AccountCurve):
    """The curve of several together, its `members` by name. Members' percents are of their own capital."""

    def __init__(
        self,
        members: Mapping[str, AccountCurve],
        gross: pd.Series,
        costs: pd.Series,
        *,
        capital: float | pd.Series,
        held_since: pd.Timestamp | None = None,
    ) -> None:
        super().__init__(gross, costs, capital, held_since=held_since)
        self.members = members

    @staticmethod
    def of(members: Mapping[str, AccountCurve], capital: float | pd.Series) -> CurveGroup:
        """The sum of members over the stamps of any; a member without a figure adds nothing."""
        since = [curve.held_since for curve in members.values() if curve.held_since is not None]
        gross = _total([curve.gross for curve in members.values()])
        costs = _total([curve.costs.dropna() for curve in members.values()])
        return CurveGroup(members, gross, costs, capital=capital, held_since=min(since, default=None))

    @staticmethod
    def of_table(table: pd.DataFrame, capital: float | pd.Series) -> CurveGroup:
        """Members from a table of money by business day with columns (name, gross/costs/net), such as profit and loss by rule."""
        names = list(dict.fromkeys(str(name) for name in table.columns.get_level_values(0)))
        curves = {name: AccountCurve(table[name]["gross"].dropna(), table[name]["costs"].dropna(), capital) for name in names}
        return CurveGroup.of(curves, capital)

    def grouped(self, group_of: Mapping[str, str]) -> CurveGroup:
        """The same total with groups of members as its members, each on the capital of the whole; sorted by name."""
        names = sorted({group_of[name] for name in self.members})
        inside = {group: {name: curve for name, curve in self.members.items() if group_of[name] == group} for group in names}
        groups = {group: CurveGroup.of(members, self.capital) for group, members in inside.items()}
        return CurveGroup(groups, self.gross, self.costs, capital=self.capital, held_since=self.held_since)

    def table(self, part: Part = "net", unit: Unit = "percent", frequency: Frequency = "daily") -> pd.DataFrame:
        """A view of every member, a column each; missing outside a member's own dates."""
        return pd.DataFrame({name: curve.returns(part, unit, frequency).values for name, curve in self.members.items()})


def portfolio_curve(accounts: Accounts, capital: float | pd.Series | None = None) -> CurveGroup:
    """The curve of a portfolio with those of its instruments, in percent of `capital` (the strategy's notional capital)."""
    of = accounts.section.notional_trading_capital if capital is None else capital
    members = LazyMapping(accounts.instruments, lambda instrument: _instrument_curve(accounts, instrument, of))
    costs = _total(list(accounts.costs_at_stamps.values()))
    return CurveGroup(
        members, accounts.total["gross"], costs, capital=of, held_since=_first_true(accounts.held.values.notna().any(axis=1))
    )


def _instrument_curve(accounts: Accounts, instrument: str, capital: float | pd.Series) -> AccountCurve:
    rows = accounts.positions.own_rows(accounts.instruments.index(instrument))
    since = _first_true(accounts.held.values[instrument].notna())
    return AccountCurve(
        accounts.gross.values[instrument].iloc[rows], accounts.costs_at_stamps[instrument], capital, held_since=since
    )


def _first_true(flags: pd.Series) -> pd.Timestamp | None:
    return pd.Timestamp(flags.index[int(flags.to_numpy().argmax())]) if flags.any() else None


def _total(series: list[pd.Series]) -> pd.Series:
    with_rows = [values for values in series if len(values)]
    return (
        pd.concat(with_rows, axis=1, sort=True).sum(axis=1) if with_rows else pd.Series(dtype=float, index=pd.DatetimeIndex([]))
    )


def binned(values: pd.Series, frequency: Frequency) -> pd.Series:
    """Sums over the periods of a frequency, from the first to the last stamp; an empty period has 0."""
    if not len(values) or frequency == "daily":
        return by_business_day(values.index, values.to_numpy(dtype=float)) if len(values) else values
    return values.resample(_BINS[frequency]).sum()


def _first_label(values: pd.Series, frequency: Frequency) -> pd.Timestamp | None:
    labels = binned(values.iloc[:1], frequency).index
    return pd.Timestamp(labels[0]) if len(labels) else None
