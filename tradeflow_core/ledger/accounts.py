"""Account values as the broker reported them, and what was recorded about them by hand."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, select

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.facts import append
from tradeflow_core.ledger.schema import account_values, capital_events


def record_account_value(
    tx: Connection,
    account: str,
    time: datetime,
    *,
    currency: str,
    net_liquidation: Decimal,
    excess_liquidity: Decimal,
    fx_to_base: float,
) -> bool:
    """Record what the account is worth in one currency at `time`; False if that was recorded before."""
    key = (account_values.c.account == account, account_values.c.time == time, account_values.c.currency == currency)
    if tx.execute(select(account_values.c.id).where(*key)).first() is not None:
        return False
    append(
        tx,
        account_values,
        account=account,
        time=time,
        currency=currency,
        net_liquidation=net_liquidation,
        excess_liquidity=excess_liquidity,
        fx_to_base=fx_to_base,
    )
    return True


def record_capital_event(
    tx: Connection, time: datetime, kind: str, *, amount: Decimal, now: datetime, who: str, why: str
) -> None:
    """Record a deposit or withdrawal (`flow`), or that a large change of the account value is right (`accept`)."""
    if kind not in ("accept", "flow"):
        raise StateError(f"capital event {kind!r}: use accept or flow")
    append(tx, capital_events, time=time, kind=kind, amount=amount, who=who, why=why, recorded_at=now)
