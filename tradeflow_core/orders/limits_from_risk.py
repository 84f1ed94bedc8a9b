"""Limits that follow from risk: no position and no trade larger than the strategies could ask for, or than the capital carries.

The largest position of an instrument is the smaller of two, in contracts:

- by risk: risk target x diversification multiplier x instrument weight x capital x (forecast cap / average forecast) / (contract value x
  annual volatility), added up over the strategies. Taken from the newest saved run of each strategy as the stages average_position x
  instrument_weights x idm on their last day, times forecast_cap / average_absolute_forecast of its configuration (20 / 10);
- by leverage: capital x largest leverage / contract value. The contract value in base currency is 100 x instrument_value_vol /
  daily_percentage_volatility, that is held price x point size x FX. The capital is that of the saved runs together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError
from tradeflow_core.ledger import ANY, position_limit, set_position_limit, set_trade_limit, trade_limits_in_force
from tradeflow_core.nightly import SavedRun, open_run
from tradeflow_core.orders.by_hand import held

SMALLEST_TRADE_LIMIT = 4
TRADED_PER_DAY = 0.33
"""Share of the largest position that may be traded in a day; in N days the square root of N times as much."""


@dataclass(frozen=True, slots=True)
class RiskLimit:
    """The limits of an instrument, over all strategies, that follow from risk. `by_risk`, `by_leverage`: the largest position (contracts)
    by each, NaN where unknown. `before`, `after`: contracts of the position limit (days 0) and of the trade limits by days; None: no
    limit, which is also what follows where figures are missing. `source`: the saved runs."""

    instrument: str
    position: int
    by_risk: float
    by_leverage: float
    before: dict[int, int | None]
    after: dict[int, int | None]
    source: str

    @property
    def is_known(self) -> bool:
        """Whether the saved runs have the figures of the instrument."""
        return not (math.isnan(self.by_risk) or math.isnan(self.by_leverage))

    @property
    def changed(self) -> list[int]:
        """The days of the limits that would change (0: the position limit)."""
        return [days for days, contracts in self.after.items() if self.is_known and contracts != self.before[days]]


def limits_from_risk(desk: Desk, days: Sequence[int] = (1,), *, max_leverage: float = 1.0) -> list[RiskLimit]:
    """The limits of every instrument of the universe beside those in force; nothing is written. `days`: periods of the trade limits.

    Raises ConfigError where a strategy has no saved run, or for a leverage or period that is not positive.
    """
    if not max_leverage > 0 or any(period < 1 for period in days):
        raise ConfigError(f"leverage {max_leverage:g}, days {', '.join(map(str, days))}: give numbers above 0")
    runs = [open_run(desk.store, strategy) for strategy in desk.settings.strategies]
    source = ", ".join(run.name for run in runs)
    largest = _largest(runs, max_leverage).reindex(desk.universe)
    limits = []
    with desk.ledger.read() as view:
        for instrument, (by_risk, by_leverage) in zip(desk.universe, largest.to_numpy(float).tolist(), strict=True):
            trades = {
                each.days: each.contracts
                for each in trade_limits_in_force(view, desk.account, now=desk.now(), instruments=[instrument])
                if each.strategy == ANY
            }
            before = {0: position_limit(view, ANY, instrument), **{period: trades.get(period) for period in days}}
            contracts = min(by_risk, by_leverage) if not (math.isnan(by_risk) or math.isnan(by_leverage)) else None
            after = {period: None if contracts is None else _limit(contracts, period) for period in before}
            position = held(view, desk.account, ANY, instrument=instrument)
            limits.append(RiskLimit(instrument, position, by_risk, by_leverage, before, after, source))
    return limits


def apply_limits_from_risk(desk: Desk, limits: Sequence[RiskLimit], *, who: str, why: str) -> int:
    """Put the limits that differ from those in force in their place, all or none; returns how many.

    Raises ConfigError for a missing reason.
    """
    if not why.strip():
        raise ConfigError("give the reason: it is kept in the ledger")
    now, count = desk.now(), 0
    with desk.ledger.begin() as tx:
        for limit in limits:
            by = "leverage" if limit.by_leverage < limit.by_risk else "risk"
            reason = f"{why} (by {by}, {limit.source})"
            for days in limit.changed:
                contracts, key = limit.after[days], (ANY, limit.instrument)
                if days:
                    set_trade_limit(tx, *key, days=days, contracts=contracts, now=now, who=who, why=reason)
                else:
                    set_position_limit(tx, *key, contracts=contracts, now=now, who=who, why=reason)
                count += 1
    return count


def _limit(largest: float, days: int) -> int:
    """The position limit (days 0), or the trade limit of so many days, that follows from the largest position."""
    if not days:
        return max(1, int(largest))
    # Rounded first, so that 33.000000000000004 is 33.
    return max(SMALLEST_TRADE_LIMIT, math.ceil(round(largest * TRADED_PER_DAY * math.sqrt(days), 6)))


def _largest(runs: Sequence[SavedRun], max_leverage: float) -> pd.DataFrame:
    """The largest position by instrument, in contracts: columns by_risk and by_leverage; missing where no run has the figures."""
    by_risk = pd.concat([_by_risk(run) for run in runs], axis=1).sum(axis=1, min_count=1)
    values = pd.concat([_contract_value(run) for run in runs], axis=1).bfill(axis=1).iloc[:, 0]
    capital = sum(run.manifest.capital for run in runs)
    return pd.DataFrame({"by_risk": by_risk, "by_leverage": capital * max_leverage / values})


def _by_risk(run: SavedRun) -> pd.Series:
    """Contracts of a strategy at its largest forecast, by instrument."""
    ratio = run.config["forecast_cap"] / run.config["average_absolute_forecast"]
    multiplier = float(run.stage("idm")["idm"].ffill().iloc[-1])
    return (ratio * multiplier * _last(run, "average_position") * _last(run, "instrument_weights")).abs()


def _contract_value(run: SavedRun) -> pd.Series:
    """The value of a contract in base currency by instrument; missing where price or volatility are not known."""
    value = 100.0 * _last(run, "instrument_value_vol") / _last(run, "daily_percentage_volatility")
    return value.abs().replace([np.inf, 0.0], np.nan)


def _last(run: SavedRun, stage: str) -> pd.Series:
    """A stage on the last day of each instrument."""
    return run.stage(stage).ffill().iloc[-1].replace([np.inf, -np.inf], np.nan)
