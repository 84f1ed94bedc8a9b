"""Profit and loss of positions: gross, costs and net, in base currency by business day.

A position decided with the prices of one day is filled at the close of the next, so it earns the change after that. Costs
are negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Floats, Panel, by_business_day
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import AccountSection, TradingSection
from tradeflow_core.strategy.costs.cash_costs import cash_costs, paid_on
from tradeflow_core.strategy.costs.sr_costs import costs_per_trade, daily_costs, rolls_per_year, turnover, turnover_before
from tradeflow_core.strategy.inputs.data import rate_at
from tradeflow_core.strategy.positions.buffers import buffered_position, buffers
from tradeflow_core.strategy.positions.sizing import Sizing


@dataclass(frozen=True)
class Accounts:
    """P&L of `positions` (decided, rounded where they are whole contracts), by instrument and in total.

    `average_position`: contracts of an average forecast, which Sharpe-ratio costs and turnover are measured in.
    `rounded`: fills are whole contracts. `delayed`: filled at the close after the decision, not at the one it was made with.
    `roll_multiplier`: share of a roll's cost that is paid; the configured one by default.
    `charged`: positions whose turnover Sharpe-ratio costs are for; by default those of the account. `known_then`: costs are in
    money, not in proportion to today's volatility, and paid on days with a price: later data change none of them.
    """

    positions: Panel
    average_position: Panel
    sizing: Sizing
    section: AccountSection
    rounded: bool = True
    delayed: bool = True
    roll_multiplier: float | None = None
    charged: Panel | None = None
    known_then: bool = False

    @property
    def instruments(self) -> list[str]:
        """Instruments, in order."""
        return [str(instrument) for instrument in self.positions.values.columns]

    @cached_property
    def held(self) -> Panel:
        """Contracts held at each close: those decided the day before, if filling is delayed."""
        lagged = self.positions.map(lambda decided: decided.shift(1)) if self.delayed else self.positions
        return lagged.like(np.round(lagged.array)) if self.rounded else lagged

    @cached_property
    def price(self) -> Panel:
        """Adjusted price on the rows of the positions."""
        return self.sizing.raw_data.daily_price.asof(self.positions.span)

    @cached_property
    def fx(self) -> Floats:
        """Base currency for one unit of each instrument's currency, (days, instruments)."""
        return self.sizing.raw_data.rates(self.section.base_currency)

    @cached_property
    def gross(self) -> Panel:
        """Change of price times contracts held since the close before, in base currency."""
        held, price = self.held.ffill().values, self.price.ffill().values
        points = (held.shift(1) * price.diff()).fillna(0.0)
        return self.positions.like(points.to_numpy() * self.sizing.raw_data.point_sizes * self.fx)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Costs by instrument, negative; missing before the first and after the last one."""
        days = self.positions.index
        daily = {instrument: by_business_day(costs.index, costs.to_numpy()) for instrument, costs in self.costs_at_stamps.items()}
        return pd.DataFrame({instrument: costs.reindex(days) for instrument, costs in daily.items()}, index=days)

    @cached_property
    def costs_at_stamps(self) -> dict[str, pd.Series]:
        """Costs by instrument, negative, at the dates they are charged on: rolls may fall on weekends."""
        costs_of = self._sr_costs if self.section.use_SR_costs and not self.known_then else self._cash_costs
        return {instrument: costs_of(place) for place, instrument in enumerate(self.instruments)}

    @cached_property
    def net(self) -> pd.DataFrame:
        """Gross plus costs; a day without costs has none."""
        gross = self.gross.values
        return (gross.fillna(0.0) + self.costs.fillna(0.0)).where(gross.notna() | self.costs.notna())

    @cached_property
    def by_instrument(self) -> pd.DataFrame:
        """Columns (instrument, gross/costs/net)."""
        parts = {"gross": self.gross.values, "costs": self.costs, "net": self.net}
        joined = pd.concat(parts, axis=1, names=["part", "instrument"]).swaplevel(axis=1)
        order = pd.MultiIndex.from_product([self.instruments, list(parts)], names=["instrument", "part"])
        return joined.reindex(columns=order)

    @cached_property
    def total(self) -> pd.DataFrame:
        """Sum over instruments, on the days of any: columns gross, costs (missing before the first and after the last), net."""
        days = self.positions.index[np.flatnonzero(self.positions.rows.any(axis=1))]
        parts = {"gross": self.gross.values, "costs": self.costs, "net": self.net}
        sums = pd.DataFrame({name: table.sum(axis=1) for name, table in parts.items()})
        charged = self.costs.notna().any(axis=1)
        sums["costs"] = sums["costs"].where(charged[::-1].cummax()[::-1] & charged.cummax())
        return sums.loc[days]

    @cached_property
    def turnovers(self) -> pd.Series:
        """Average positions traded a year, by instrument."""
        return turnover(self.charged or self.positions, self.average_position)

    def sr_costs_known_before(self, rows: list[int]) -> Floats:
        """Costs a year in Sharpe-ratio units, positive, as known before each of `rows` of the calendar: (rows, instruments)."""
        raw = self.sizing.raw_data
        vol = raw.daily_returns_volatility
        per_trade = np.stack([costs_per_trade(raw.commission_price, vol, raw.facts, before=row) for row in rows])
        traded = turnover_before(self.positions, self.average_position, rows, counted=raw.priced)
        return np.asarray(per_trade * (traded + 2 * rolls_per_year(raw.facts)))

    def _cash_costs(self, place: int) -> pd.Series:
        instrument, rows, raw = self.instruments[place], self.positions.own_rows(place), self.sizing.raw_data
        costs = cash_costs(
            days=self.positions.index[rows],
            held=self.held.array[rows, place],
            price=self.price.array[rows, place],
            charged=self._charged_price.array[rows, place],
            instrument=raw.facts[place],
            roll_multiplier=self.section.multiply_roll_costs_by if self.roll_multiplier is None else self.roll_multiplier,
            deflated=self.section.vol_normalise_currency_costs and not self.known_then,
        )
        if self.known_then:
            costs = paid_on(costs, self.positions.index[rows][raw.priced[rows, place]])
        by_date = costs.groupby(level=0).sum()
        return by_date * rate_at(raw.fx(instrument, self.section.base_currency), by_date.index)

    @cached_property
    def _charged_price(self) -> Panel:
        """The price that commissions in percent are of; corrected (COMMISSION_ON_HELD_PRICE), the last known one."""
        price = self.sizing.raw_data.commission_price.asof(self.positions.span)
        return price.ffill() if self.section.corrects(Correction.COMMISSION_ON_HELD_PRICE) else price

    def _sr_costs(self, place: int) -> pd.Series:
        rows = self.positions.own_rows(place)
        return pd.Series(np.nan_to_num(self._sr_drain[rows, place]), index=self.positions.index[rows])

    @cached_property
    def _sr_drain(self) -> Floats:
        """Costs in Sharpe-ratio units, as money, negative: (days, instruments)."""
        raw = self.sizing.raw_data
        per_trade = costs_per_trade(raw.commission_price, raw.daily_returns_volatility, raw.facts)
        per_year = per_trade * (self.turnovers.to_numpy(dtype=float) + 2 * rolls_per_year(raw.facts))
        points = daily_costs(per_year, self.average_position, raw.daily_returns_volatility, held=self.held)
        return np.asarray(points * self.sizing.raw_data.point_sizes * self.fx, dtype=float)


def subsystem_accounts(sizing: Sizing, trading: TradingSection) -> Accounts:
    """P&L of each instrument traded with the whole capital, in whole contracts; rolls cost their full price here."""
    position, average = sizing.subsystem_position, sizing.average_position
    band = buffers(position, average.at(position.span).ffill(), trading)
    held = buffered_position(position, band, trading, rounded=True)
    return Accounts(held, average, sizing, trading, roll_multiplier=1.0, charged=position)
