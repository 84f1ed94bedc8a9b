"""What people want to see of a desk as plain rows, read without pandas: `tradeflow status` must answer at once.

`reports.tables` gives the same as data frames.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

from tradeflow_core.desk import Desk
from tradeflow_core.home import business_days_between
from tradeflow_core.ledger import instrument_orders_of, locked_instruments, positions_by_strategy
from tradeflow_core.nightly import optimal_rows
from tradeflow_core.orders import ORDER_DECISIONS

Row = dict[str, Any]
NEWEST = 50
"""So many of the newest rows are looked at first: two days of hourly bars."""


def order_rows(desk: Desk, day: date) -> list[Row]:
    """Instrument orders made for `day`: id, strategy, instrument, quantity, filled, type, status."""
    with desk.ledger.read() as view:
        orders = instrument_orders_of(view, day)
    names = ("id", "strategy", "instrument", "quantity", "filled")
    return [{**{name: getattr(order, name) for name in names}, "type": str(order.order_type), "status": str(order.status)} for order in orders]


def position_rows(desk: Desk) -> list[Row]:
    """For each strategy and instrument that is held or wanted: position, optimal, lower, upper, price (missing: None), and why no order was
    made (last_decision)."""
    with desk.ledger.read() as view:
        held = positions_by_strategy(view)
    rows = []
    for strategy in desk.settings.strategies:
        wanted = optimal_rows(desk, strategy) if desk.store.exists("optimal_positions", strategy) else {}
        decided = desk.store.rows(ORDER_DECISIONS, strategy) if desk.store.exists(ORDER_DECISIONS, strategy) else []
        reasons = {row["instrument"]: row["reason"] for row in decided}
        for code in sorted({*wanted, *(code for name, code in held if name == strategy)}):
            optimal = wanted.get(code, {})
            rows.append(
                {
                    "strategy": strategy,
                    "instrument": code,
                    "position": held.get((strategy, code), 0),
                    "optimal": _figure(optimal.get("notional_position")),
                    "lower": _figure(optimal.get("lower")),
                    "upper": _figure(optimal.get("upper")),
                    "price": _figure(optimal.get("reference_price")),
                    "last_decision": reasons.get(code, ""),
                }
            )
    return rows


def newest_capital(desk: Desk) -> Row | None:
    """The newest total capital: time (UTC), capital, maximum, accumulated, broker; None before the first account value."""
    rows = desk.store.rows("total_capital", "total") if desk.store.exists("total_capital", "total") else []
    return rows[-1] if rows else None


def freshness_rows(desk: Desk) -> list[Row]:
    """The newest price of every instrument: instrument, last_time (UTC), age in business days, lock (why it is locked, or empty)."""
    with desk.ledger.read() as view:
        locked = locked_instruments(view)
    stored, today = set(desk.store.names("adjusted_prices")), desk.today()
    rows = []
    for code in desk.universe:
        last = _last_priced(desk, code) if code in stored else None
        age = None if last is None else business_days_between(desk.home.local_day(last), today)
        rows.append({"instrument": code, "last_time": last, "age": age, "lock": locked.get(code, "")})
    return rows


def _last_priced(desk: Desk, code: str) -> datetime | None:
    """The time of the newest adjusted price that is there."""
    for newest in (NEWEST, None):  # nearly always among the last few
        for row in reversed(desk.store.rows("adjusted_prices", code, newest)):
            if _figure(row["price"]) is not None:
                time: datetime = row["date"]
                return time
    return None


def _figure(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
