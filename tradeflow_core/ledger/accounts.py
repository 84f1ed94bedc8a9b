"""Account values as the broker told them, and what a person said about them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pandas as pd
from sqlalchemy import Connection, insert, select

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.schema import account_values, capital_events


def record_account_value(
    tx: Connection,
    account: str,
    time: datetime,
    currency: str,
    net_liquidation: Decimal,
    excess_liquidity: Decimal,
    fx_to_base: float,
) -> bool:
    """Record what the account is worth in one currency at `time`; False if that was recorded before."""
    key = (account_values.c.account == account, account_values.c.time == time, account_values.c.currency == currency)
    if tx.execute(select(account_values.c.id).where(*key)).first() is not None:
        return False
    tx.execute(
        insert(account_values).values(
            account=account,
            time=time,
            currency=currency,
            net_liquidation=net_liquidation,
            excess_liquidity=excess_liquidity,
            fx_to_base=fx_to_base,
        )
    )
    return True


def account_value_history(view: Connection, account: str) -> pd.DataFrame:
    """By time (UTC): `value` and `excess` of the account in base currency (floats), summed over currencies."""
    rows = view.execute(select(account_values).where(account_values.c.account == account).order_by(account_values.c.time)).all()
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime([row.time for row in rows], utc=True).astype("datetime64[us, UTC]"),
            "value": [float(row.net_liquidation) * row.fx_to_base for row in rows],
            "excess": [float(row.excess_liquidity) * row.fx_to_base for row in rows],
        }
    )
    return frame.groupby("time")[["value", "excess"]].sum()


def record_capital_event(tx: Connection, time: datetime, kind: str, amount: Decimal, now: datetime, who: str, why: str) -> None:
    """Record a deposit or withdrawal (`flow`), or that a large change of the account value is right (`accept`)."""
    if kind not in ("accept", "flow"):
        raise StateError(f"capital event {kind!r}: use accept or flow")
    tx.execute(insert(capital_events).values(time=time, kind=kind, amount=amount, who=who, why=why, recorded_at=now))


def capital_event_history(view: Connection) -> pd.DataFrame:
    """All capital events in order of time: columns time (UTC), kind, amount (float, base currency)."""
    rows = view.execute(select(capital_events).order_by(capital_events.c.time, capital_events.c.id)).all()
    return pd.DataFrame(
        {
            "time": pd.to_datetime([row.time for row in rows], utc=True).astype("datetime64[us, UTC]"),
            "kind": [row.kind for row in rows],
            "amount": [float(row.amount) for row in rows],
        }
    )
