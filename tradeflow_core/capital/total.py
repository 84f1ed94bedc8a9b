"""From account values to capital: total capital is computed from the values that the broker reported, strategy capital is a share of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import accumulate

import numpy as np
import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.ledger import account_value_history, capital_event_history, record_account_value
from tradeflow_core.prices import latest_rate, stored_fx


class CapitalJump(DataError):
    """The account value jumped by more than `max_change` and nobody has confirmed it."""


def poll_account(desk: Desk) -> pd.DataFrame:
    """Ask the broker for the account's value, record it, and return the history (index time UTC; value, excess in base currency)."""
    snapshot = desk.broker.account_snapshot(desk.account)
    fx, base = stored_fx(desk), desk.settings.base_currency
    with desk.ledger.begin() as tx:
        for currency, value in snapshot.net_liquidation.items():
            excess = snapshot.excess_liquidity.get(currency, Decimal(0))
            record_account_value(
                tx,
                desk.account,
                snapshot.time,
                currency=currency,
                net_liquidation=value,
                excess_liquidity=excess,
                fx_to_base=latest_rate(fx, currency, base),
            )
    with desk.ledger.read() as view:
        return account_value_history(view, desk.account)


def fold_capital(values: pd.Series, events: pd.DataFrame, method: str, *, max_change: float) -> pd.DataFrame:
    """Total capital from account values.

    `values`: account value in base currency by time (UTC), increasing; `events`: columns time, kind, amount (`flow`: deposit or withdrawal,
    not a profit; `accept`: all changes up to this time are confirmed). Returns, by time, `capital` (the total capital),
    `maximum` (high-water mark), `accumulated` (profit and loss since the beginning), `broker` (the account value). Methods: full: profits
    are added to capital; half: they only make up for earlier losses; fixed: capital stays. Raises CapitalJump where the profit or loss of one
    step exceeds `max_change` of the value before and nobody has confirmed it.
    """
    broker, times = values.to_numpy(dtype=float), pd.DatetimeIndex(values.index)
    flows, accepts = (events[events["kind"] == kind] for kind in ("flow", "accept"))
    # A flow belongs to the step that ends at the first value at or after its time.
    step = times.searchsorted(pd.DatetimeIndex(flows["time"]))
    flow = np.bincount(step, weights=flows["amount"].to_numpy(dtype=float), minlength=len(times))[: len(times)]
    profits = np.diff(broker) - flow[1:]
    jumps = np.abs(profits) > max_change * np.abs(broker[:-1])
    if len(accepts):
        jumps &= times[1:] > accepts["time"].max()
    if jumps.any():
        first = int(jumps.argmax())
        raise CapitalJump(
            f"the account value went from {broker[first]:,.0f} to {broker[first + 1]:,.0f} at {times[first + 1]:%Y-%m-%d %H:%M} UTC, "
            f"more than {max_change:.0%}; if that is right, run `tradeflow capital accept`; "
            "if it was a deposit or withdrawal, run `tradeflow capital flow AMOUNT`"
        )
    start = float(broker[0])
    grow: dict[str, Callable[[float, float], float]] = {
        "full": lambda capital, profit: max(capital + profit, 0.0),
        "half": lambda capital, profit: max(min(capital + profit, start), 0.0),
        "fixed": lambda capital, _profit: capital,
    }
    capital = list(accumulate(profits.tolist(), grow[method], initial=start))
    return pd.DataFrame(
        {
            "capital": capital,
            "maximum": capital if method == "full" else start,
            "accumulated": np.append(0.0, np.cumsum(profits)),
            "broker": broker,
        },
        index=values.index,
    )


def update_total_capital(desk: Desk) -> pd.DataFrame:
    """Fold the recorded account values and store the result as the dataset total_capital. Raises DataError without any value."""
    with desk.ledger.read() as view:
        values, events = account_value_history(view, desk.account), capital_event_history(view)
    if values.empty:
        raise DataError("no account value is recorded yet; materialize the asset account_values")
    rules = desk.settings.capital_rules
    capital = fold_capital(values["value"], events, rules.method, max_change=rules.max_change)
    desk.store.write("total_capital", "total", capital)
    return capital


def allocate(capital: float, weights: Mapping[str, float]) -> dict[str, float]:
    """Capital of each strategy: its weight over the sum of weights. Raises DataError when every weight is zero."""
    total = sum(weights.values())
    if total <= 0:
        raise DataError("every strategy has weight 0; give at least one a positive weight in tradeflow.toml")
    return {name: capital * weight / total for name, weight in weights.items()}


def update_strategy_capital(desk: Desk) -> pd.DataFrame:
    """Divide the newest total capital among the strategies, and store each share in the dataset strategy_capital (time, capital)."""
    total = desk.store.read("total_capital", "total")
    now = pd.Timestamp(desk.now()).as_unit("us")
    shares = allocate(float(total["capital"].iloc[-1]), {name: s.weight for name, s in desk.settings.strategies.items()})
    for name, amount in shares.items():
        row = pd.DataFrame({"capital": [amount]}, index=pd.DatetimeIndex([now], name="time"))
        old = desk.store.read("strategy_capital", name) if desk.store.exists("strategy_capital", name) else row.iloc[:0]
        desk.store.write("strategy_capital", name, pd.concat([old[old.index < now], row]) if len(old) else row)
    return pd.DataFrame({"strategy": list(shares), "capital": list(shares.values())})


def strategy_capital(desk: Desk, strategy: str) -> float:
    """The newest capital of a strategy in base currency. Raises StateError where it has none yet."""
    return float(desk.store.read("strategy_capital", strategy)["capital"].iloc[-1])
