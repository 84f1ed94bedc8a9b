"""Fills of a backtest by simulated orders, and the profit and loss they lead to.

Elsewhere a position is simply held from the day after it was decided. No command uses this yet; it is for research in Python.

Orders go to the wanted position, rounded, without a buffer; the account begins flat, so its first trade costs. Three ways:

- `daily_market`: each business day one market order, filled at the price of the next;
- `hourly_market`: the same by hours;
- `hourly_limit`: each hour an order at the current price, filled there if the next price is strictly through it, else dropped;
  it waits to be hit, so it pays no spread.

A daily position is decided at the close, so hourly orders follow it from the next calendar day on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.strategy.backtest import Backtest
from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.costs.cash_costs import deflator_at, fill_costs, roll_costs
from tradeflow_core.strategy.inputs.data import rate_at
from tradeflow_core.strategy.results.curves import AccountCurve, CurveGroup

OrderKind = Literal["daily_market", "hourly_market", "hourly_limit"]
Lagged = Literal["never", "rolls", "all"]


@dataclass(frozen=True, eq=False)
class Trading:
    """What orders led to: `position` after each row of prices, and `fills`, a row for each: quantity and price."""

    position: pd.Series
    fills: pd.DataFrame

    @property
    def quantity(self) -> Floats:
        """Contracts of each fill, negative where sold."""
        return self.fills["quantity"].to_numpy(dtype=float)


def trade(wanted: pd.Series, price: pd.Series, *, limit_orders: bool = False) -> Trading:
    """Fills of orders towards `wanted` (contracts, at the stamps it is known) at the prices of the rows that follow.

    Both at naive, sorted, unique stamps. On a row without price market orders are filled all the same, at no known price, and
    limit orders are not.
    """
    whole_contracts = wanted.ffill().round()
    target = whole_contracts.reindex(whole_contracts.index.union(price.index)).ffill().reindex(price.index).to_numpy(dtype=float)
    ordered, prices = pd.Series(target).shift(1).to_numpy(), price.to_numpy(dtype=float)
    position = _filled_at_limit(ordered, np.diff(prices, prepend=np.nan)) if limit_orders else np.nan_to_num(ordered)
    quantity = np.diff(position, prepend=0.0)
    rows = np.flatnonzero(quantity)
    fills = pd.DataFrame(
        {"quantity": quantity[rows], "price": prices[rows - 1 if limit_orders else rows]}, index=price.index[rows]
    )
    return Trading(pd.Series(position, index=price.index), fills)


def _filled_at_limit(ordered: Floats, change: Floats) -> Floats:
    """Row by row: a falling price fills what is to be bought, a rising one what is to be sold."""
    lowest = np.where((change < 0) & ~np.isnan(ordered), ordered, -np.inf).tolist()
    highest = np.where((change > 0) & ~np.isnan(ordered), ordered, np.inf).tolist()
    position, held = np.zeros(len(ordered)), 0.0
    for row in range(len(ordered)):
        held = min(max(held, lowest[row]), highest[row])
        position[row] = held
    return position


def simulated_curves(backtest: Backtest, kind: OrderKind) -> CurveGroup:
    """The curve of a portfolio traded with simulated orders, and those of its instruments.

    Raises ConfigError where costs are in Sharpe-ratio units, which are not those of single fills, and DataError for hourly
    orders in an instrument with daily prices only.
    """
    curves = {instrument: simulated_curve(backtest, instrument, kind) for instrument in backtest.instruments}
    return CurveGroup.of(curves, backtest.config.notional_trading_capital)


def simulated_curve(backtest: Backtest, instrument: str, kind: OrderKind, *, lagged: Lagged = "never") -> AccountCurve:
    """The curve of one instrument of the portfolio traded with simulated orders; errors as `simulated_curves`.

    `lagged`, as in pysystemtrade: positions are those of one fill before, for `rolls` or for `all` profit and loss.
    """
    if backtest.config.use_SR_costs:
        raise ConfigError(f"{backtest.config.source}: simulated orders pay for each fill in money; set use_SR_costs to false")
    raw, config, facts = backtest.raw_data, backtest.config, backtest.data.instrument(instrument)
    wanted, daily, price = _market(backtest, instrument, kind)
    trading = trade(wanted, price, limit_orders=kind == "hourly_limit")
    filled, late = price.ffill(), trading.fills["quantity"].cumsum().shift(1)
    rate = raw.fx(instrument, config.base_currency)

    held = trading.position if lagged != "all" else late.reindex(price.index).ffill()
    points = (held.shift(1) * filled.diff()).fillna(0.0)
    if kind == "hourly_limit":
        since_fill = trading.quantity * (filled[trading.fills.index] - trading.fills["price"])
        points = points.add(since_fill, fill_value=0.0)
    gross = points * facts.point_size * rate_at(rate, price.index)

    charged = _charged(backtest, instrument, trading.fills["price"])
    paid = fill_costs(trading.quantity, charged.to_numpy(dtype=float), facts, spread=kind != "hourly_limit")
    rolled_position = trading.position if lagged == "never" else late
    rolled = roll_costs(
        rolled_position, _charged(backtest, instrument, filled), facts, roll_multiplier=config.multiply_roll_costs_by
    )
    costs = pd.concat([pd.Series(-paid, index=trading.fills.index), rolled])
    if config.vol_normalise_currency_costs and len(daily):
        costs = costs * deflator_at(costs.index, daily.ffill())
    costs = costs.groupby(level=0).sum()
    return AccountCurve(gross, costs * rate_at(rate, costs.index), config.notional_trading_capital)


def _charged(backtest: Backtest, instrument: str, price: pd.Series) -> pd.Series:
    """Adjusted prices brought to the level of those that commissions in percent are of."""
    raw = backtest.raw_data
    level = (raw.commission_price.values[instrument] - raw.daily_price.values[instrument]).ffill()
    return price + rate_at(level, price.index)


def _market(backtest: Backtest, instrument: str, kind: OrderKind) -> tuple[pd.Series, pd.Series, pd.Series]:
    """The wanted position at the stamps it is known, daily prices, and the prices that orders meet."""
    position = backtest.portfolio.notional_position
    rows = position.own_rows(backtest.instruments.index(instrument))
    wanted = position.values[instrument].iloc[rows]
    daily = backtest.raw_data.daily_price.asof(position.span).values[instrument].iloc[rows]
    if kind == "daily_market":
        return wanted, daily, daily
    hourly = backtest.raw_data.hourly_price[instrument]
    if not len(hourly):
        raise DataError(
            f"instrument {instrument} has no prices within the day for hourly orders: choose daily_market, or leave it out"
        )
    return wanted.set_axis(wanted.index + pd.Timedelta(days=1)), daily, hourly
