"""How much a strategy trades, and what that costs in Sharpe-ratio units, by instrument."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.strategy.backtest import Backtest
from tradeflow_core.strategy.costs.sr_costs import costs_per_trade, rolls_per_year, turnover


def turnover_table(backtest: Backtest) -> pd.DataFrame:
    """Turnover and Sharpe-ratio costs, a row per instrument, in average positions and annual Sharpe ratio.

    `turnover`: of what is held, in average positions of the portfolio. `portfolio_turnover`: the same in average positions if
    the whole capital traded the instrument, so that its sum is the portfolio's. `subsystem_turnover`: of what is wanted at
    subsystem level, before buffers. `SR_cost_per_trade`: of one contract, at the prices and volatility of its last year.
    `rolls_per_year`. `SR_cost_per_year`: of trading as much as that, a roll being two trades.
    """
    raw, positions = backtest.raw_data, backtest.accounts.positions
    average = backtest.sizing.average_position
    table = pd.DataFrame(
        {
            "turnover": backtest.accounts.turnovers,
            "portfolio_turnover": turnover(positions, average),
            "subsystem_turnover": turnover(backtest.sizing.subsystem_position, average),
            "SR_cost_per_trade": costs_per_trade(raw.commission_price, raw.daily_returns_volatility, raw.facts),
            "rolls_per_year": rolls_per_year(raw.facts),
        },
        index=pd.Index(backtest.instruments, name="instrument"),
    ).replace([np.inf, -np.inf], np.nan)
    table["SR_cost_per_year"] = table["SR_cost_per_trade"] * (table["turnover"] + 2 * table["rolls_per_year"])
    return table
