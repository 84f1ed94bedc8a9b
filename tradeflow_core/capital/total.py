"""From account values to capital: total capital is computed from the values that the broker reported, strategy capital is a share of it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pandas as pd

from tradeflow_core.capital.fold import fold_capital
from tradeflow_core.capital.jump import CapitalJump, ValueState, jump_of
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.ledger import account_value_history, capital_events_of, record_account_value
from tradeflow_core.prices import latest_rate, stored_fx


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


def total_capital(desk: Desk) -> pd.DataFrame:
    """Total capital folded from what the ledger holds now (`fold_capital`). Raises DataError without any account value."""
    with desk.ledger.read() as view:
        values, events = account_value_history(view, desk.account), capital_events_of(view)
    if values.empty:
        raise DataError("no account value is recorded yet; materialize the asset account_values")
    rules = desk.settings.capital_rules
    return fold_capital(values["value"], events, rules.method, max_change=rules.max_change)


def update_total_capital(desk: Desk) -> pd.DataFrame:
    """Fold the recorded account values, store the result as the dataset total_capital, and send an alert where a change of the account waits
    for a person: meanwhile the capital stays. Raises DataError without any account value."""
    capital = total_capital(desk)
    desk.store.write("total_capital", "total", capital)
    if jump := waiting_jump(capital, desk.settings.base_currency):
        desk.alerts.send(jump.subject, jump.message, desk.now())
    return capital


def waiting_jump(capital: pd.DataFrame, currency: str) -> CapitalJump | None:
    """The change of the account that waits for a person, if one does; `capital`: of `fold_capital`."""
    waits = (capital["state"] == ValueState.JUMP).to_numpy()[::-1]
    waiting = capital.tail(len(waits) if waits.all() else int((~waits).argmax())).rename_axis("time").reset_index()
    times = [time.to_pydatetime() for time in waiting["time"]]
    rows = [{**dict(row), "time": time} for row, time in zip(waiting.to_dict("records"), times, strict=True)]
    return jump_of(rows, currency)  # type: ignore[arg-type]


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
        old = desk.former_rows("strategy_capital", name)
        desk.store.write("strategy_capital", name, row if old is None or old.empty else pd.concat([old[old.index < now], row]))
    return pd.DataFrame({"strategy": list(shares), "capital": list(shares.values())})


def strategy_capital(desk: Desk, strategy: str) -> float:
    """The newest capital of a strategy in base currency. Raises StateError where it has none yet."""
    return float(desk.store.read("strategy_capital", strategy)["capital"].iloc[-1])
