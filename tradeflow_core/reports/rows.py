"""Orders, positions, capital and freshness of a desk as plain rows, read without pandas, since `tradeflow status` must answer at once.

`reports.tables` gives the same as data frames.
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import date, datetime
from typing import Any

from tradeflow_core import capital
from tradeflow_core.desk import Desk
from tradeflow_core.home import business_days_between
from tradeflow_core.ledger import instrument_orders_of, locked_instruments, positions_by_strategy
from tradeflow_core.nightly import optimal_rows
from tradeflow_core.orders import ORDER_DECISIONS
from tradeflow_core.parquet import DamagedFile

Row = dict[str, Any]
NEWEST_ROWS = 50
"""How many of the newest rows are read first: two days of hourly bars."""


def order_rows(desk: Desk, day: date) -> list[Row]:
    """Instrument orders made for `day`: id, strategy, instrument, quantity, filled, type, status."""
    with desk.ledger.read() as view:
        orders = instrument_orders_of(view, desk.account, day)
    names = ("id", "strategy", "instrument", "quantity", "filled")
    return [
        {**{name: getattr(order, name) for name in names}, "type": str(order.order_type), "status": str(order.status)}
        for order in orders
    ]


def position_rows(desk: Desk) -> list[Row]:
    """For each strategy and instrument that is held or wanted: position, optimal, lower, upper, price (missing: None), and why no order was
    made (last_decision)."""
    with desk.ledger.read() as view:
        held = positions_by_strategy(view, desk.account)
    rows = []
    for strategy in desk.settings.strategies:
        optimal_by_instrument, reasons = _wanted(desk, strategy)
        for instrument in sorted({*optimal_by_instrument, *(instrument for name, instrument in held if name == strategy)}):
            optimal = optimal_by_instrument.get(instrument, {})
            rows.append(
                {
                    "strategy": strategy,
                    "instrument": instrument,
                    "position": held.get((strategy, instrument), 0),
                    "optimal": _number_or_none(optimal.get("notional_position")),
                    "lower": _number_or_none(optimal.get("lower")),
                    "upper": _number_or_none(optimal.get("upper")),
                    "price": _number_or_none(optimal.get("reference_price")),
                    "last_decision": reasons.get(instrument, ""),
                }
            )
    return rows


def _wanted(desk: Desk, strategy: str) -> tuple[dict[str, Row], dict[str, str]]:
    """Optimal positions and reasons of the last decision by instrument. A damaged file counts as missing here; `damaged_files` names it."""
    optimal: dict[str, Row] = {}
    reasons: dict[str, str] = {}
    with suppress(DamagedFile):
        optimal = optimal_rows(desk, strategy) if desk.store.exists("optimal_positions", strategy) else {}
    with suppress(DamagedFile):
        decisions = desk.store.rows(ORDER_DECISIONS, strategy) if desk.store.exists(ORDER_DECISIONS, strategy) else []
        reasons = {row["instrument"]: row["reason"] for row in decisions}
    return optimal, reasons


def damaged_files(desk: Desk) -> list[str]:
    """What is wrong with the files of capital, optimal positions and decisions, as sentences with the remedy. (Damaged prices and rates lock
    their instruments.)"""
    names = [("total_capital", "total")]
    names += [(dataset, strategy) for strategy in desk.settings.strategies for dataset in ("optimal_positions", ORDER_DECISIONS)]
    problems = []
    for dataset, name in names:
        try:
            if desk.store.exists(dataset, name):
                desk.store.files.read(dataset, name)
        except DamagedFile as error:
            problems.append(str(error))
    return problems


def newest_capital(desk: Desk) -> Row | None:
    """The newest total capital: time (UTC), capital, maximum, accumulated, broker (account value), waits (a sentence where a change of the
    account waits for a person, or None); None before the first account value."""
    try:
        rows = desk.store.rows("total_capital", "total", 1) if desk.store.exists("total_capital", "total") else []
    except DamagedFile:  # it is computed from the ledger, which takes longer
        rows = capital.total_capital(desk).tail(1).rename_axis("time").reset_index().to_dict("records")  # type: ignore[assignment]
    if not rows:
        return None
    jump = capital.jump_of(rows, desk.settings.base_currency)
    figures = {name: rows[0][name] for name in ("time", "capital", "maximum", "accumulated", "broker")}
    return {**figures, "waits": None if jump is None else jump.message}


def freshness_rows(desk: Desk) -> list[Row]:
    """The newest price of every instrument: instrument, last_time (UTC), age in business days, lock (why it is locked, what is wrong
    with its file, or empty)."""
    with desk.ledger.read() as view:
        locked = locked_instruments(view)
    stored, today = set(desk.store.names("adjusted_prices")), desk.today()
    rows = []
    for instrument in desk.universe:
        last, problem = None, ""
        try:
            last = _last_priced(desk, instrument) if instrument in stored else None
        except DamagedFile as error:
            problem = str(error)
        age = None if last is None else business_days_between(desk.home.local_day(last), today)
        rows.append({"instrument": instrument, "last_time": last, "age": age, "lock": locked.get(instrument, problem)})
    return rows


def _last_priced(desk: Desk, instrument: str) -> datetime | None:
    """The time of the newest adjusted price that is not missing."""
    for count in (NEWEST_ROWS, None):  # all rows only if the newest have no price
        for row in reversed(desk.store.rows("adjusted_prices", instrument, count)):
            if _number_or_none(row["price"]) is not None:
                time: datetime = row["date"]
                return time
    return None


def _number_or_none(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
