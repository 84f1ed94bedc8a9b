"""Account values as the broker reported them, and what was recorded about them by hand."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, select

from tradeflow_core.errors import DataError, StateError
from tradeflow_core.ledger.facts import append
from tradeflow_core.ledger.schema import account_values, capital_events
from tradeflow_core.model import CapitalEvent, CapitalEventKind

MOST_MONEY = Decimal(10) ** 15
"""No account holds more, in any currency: a larger amount is a mistake."""


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
    """Record what the account is worth in one currency at `time`; False if that was recorded before. Raises DataError for what is no money."""
    if not all(amount.is_finite() and abs(amount) <= MOST_MONEY for amount in (net_liquidation, excess_liquidity)):
        raise DataError(
            f"the account {account} reports {net_liquidation} {currency}, of which {excess_liquidity} is free: no amounts of money"
        )
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
    tx: Connection,
    time: datetime,
    kind: CapitalEventKind,
    *,
    amount: Decimal,
    now: datetime,
    who: str,
    why: str,
    voids: int | None = None,
) -> int:
    """Record what a person says of the account at `time` (base currency), and return the id of the event; `voids`: the event that it takes
    back. Raises StateError for an amount that is no money, and for an event to take back that there is not."""
    if not amount.is_finite() or abs(amount) > MOST_MONEY:
        raise StateError(f"{amount} is no amount of money; it has to be a number of at most {MOST_MONEY:,.0f}")
    if voids is not None and tx.execute(select(capital_events.c.id).where(capital_events.c.id == voids)).first() is None:
        raise StateError(f"there is no capital event {voids} to take back")
    values = {"time": time, "kind": str(kind), "amount": amount, "voids": voids, "who": who, "why": why, "recorded_at": now}
    return append(tx, capital_events, **values)


def capital_events_of(view: Connection) -> list[CapitalEvent]:
    """All that people said of the account, in the order in which it was recorded, what was taken back included."""
    names = [field.name for field in fields(CapitalEvent)]
    rows = view.execute(select(*(capital_events.c[name] for name in names)).order_by(capital_events.c.id)).mappings()
    return [CapitalEvent(**{**row, "kind": CapitalEventKind(row["kind"])}) for row in rows]
