"""What was wanted on a day and not traded, with the reason and what can be done about it: one list for status, report, JSON and Dagster."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import Any

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.execution import held_back
from tradeflow_core.ledger import (
    DAY_ENDED,
    SYSTEM,
    OrderEvent,
    contract_orders_below,
    events_of_orders,
    instrument_orders_of,
    live_broker_orders,
)
from tradeflow_core.model import InstrumentOrder, Leg, OrderLevel, OrderStatus, contract_label
from tradeflow_core.orders import ORDER_DECISIONS
from tradeflow_core.parquet import DamagedFile

Row = dict[str, Any]

WHAT_TO_DO = (
    ("trading is stopped", "`tradeflow resume` lifts the stop"),
    ("locked (", "`tradeflow locks` says whose lock it is and how it is lifted"),
    ("override", "`tradeflow overrides` shows and clears overrides"),
    ("position limit", "`tradeflow limits` shows and changes limits"),
    ("trade limit", "`tradeflow limits` shows and changes limits"),
    ("is in the state", "`tradeflow roll` shows the states of rolls, `tradeflow roll set` changes one"),
    ("rejected", "`tradeflow orders show` has the broker's words"),
    ("max_price_change", "raise execution.max_price_change if the price is right"),
    ("too wide", "raise execution.max_spread_ratio if that is its usual spread"),
    ("live trading is switched off", "set live_trading = true"),
)
"""What a person can do, by words of the reason; where none of them occurs, time does it."""
TIME_DOES_IT = "the next business day decides anew"


def not_traded(desk: Desk, day: date) -> list[Row]:
    """Orders of `day` that are not filled, or only in part, and trades that were wanted and became no order.

    Each: order (id; None where there is none), strategy, instrument, wanted, filled, left (contracts; of a roll in words), status, why, and
    what_to_do. The reasons are those of the events of the orders, and of the day's decisions.
    """
    with desk.ledger.read() as view:
        orders = [order for order in instrument_orders_of(view, desk.account, day) if not _is_done(order)]
        events = events_of_orders(view, [(OrderLevel.INSTRUMENT, order.id) for order in orders])
        left = {order.id: _left(view, order) for order in orders}
        at_work = {share.instrument_order_id for order in live_broker_orders(view, desk.account) for share in order.shares}
    waits = held_back(desk, [order for order in orders if order.status is OrderStatus.OPEN and order.id not in at_work])
    endings = {event.order: event for event in events}
    rows = [
        _row(
            desk,
            order.id,
            strategy=order.strategy,
            instrument=order.instrument,
            wanted=order.quantity,
            filled=order.filled,
            left=left[order.id],
            status=str(order.status),
            why=_why(order, endings[order.id], waits.get(order.id, ""), at_work=order.id in at_work),
        )
        for order in orders
    ]
    return rows + [row for strategy in desk.settings.strategies for row in _without_order(desk, strategy, day)]


def not_traded_lines(rows: list[Row]) -> list[str]:
    """The rows as sentences, for reports."""
    return [
        f"{row['instrument']} ({row['strategy']}): {row['left']} of {row['wanted']} not traded, {row['status']}: {row['why']}; {row['what_to_do']}"
        if row["wanted"]
        else f"{row['instrument']} (roll): {row['left']} not traded, {row['status']}: {row['why']}; {row['what_to_do']}"
        for row in rows
    ]


def _is_done(order: InstrumentOrder) -> bool:
    return order.status is OrderStatus.COMPLETED and order.filled == order.quantity


def _left(view: Connection, order: InstrumentOrder) -> int | str:
    """What is left to trade: contracts, or the legs of a roll, whose own quantity is nothing."""
    if order.quantity:
        return order.quantity - order.filled
    legs = [Leg(leg.contract, leg.remaining) for child in contract_orders_below(view, order.id) for leg in child.legs]
    return ", ".join(f"{leg.quantity:+d} of {contract_label(leg.contract)}" for leg in legs if leg.quantity)


def _why(order: InstrumentOrder, ending: OrderEvent, waits: str, *, at_work: bool) -> str:
    """Why an order is not filled, by its last event, or by what holds it back now."""
    if order.status is OrderStatus.OPEN:
        return "it is at work at the broker" if at_work else waits or "the next pass of the stack handler works it"
    if order.status is OrderStatus.COMPLETED:
        return "executions of it were voided or corrected after it was filled"
    if ending.who != SYSTEM:
        return f"cancelled by {ending.who}: {ending.why}"
    return ending.why.removeprefix(f"{DAY_ENDED}: ") if ending.why != DAY_ENDED else "the session ended before it was filled"


def _without_order(desk: Desk, strategy: str, day: date) -> list[Row]:
    """Trades that a strategy wanted and that became no order. A damaged file counts as missing; `tradeflow check` names it."""
    decisions: list[Row] = []
    with suppress(DamagedFile):
        decisions = desk.store.rows(ORDER_DECISIONS, strategy) if desk.store.exists(ORDER_DECISIONS, strategy) else []
    return [
        _row(
            desk,
            None,
            strategy=strategy,
            instrument=row["instrument"],
            wanted=row["wanted"],
            filled=0,
            left=row["wanted"],
            status="no order",
            why=row["reason"],
        )
        for row in decisions
        if row["day"].date() == day and row["wanted"] and not row["quantity"] and not row["unfilled"]
    ]


def _row(
    desk: Desk,
    order: int | None,
    *,
    strategy: str,
    instrument: str,
    wanted: int,
    filled: int,
    left: int | str,
    status: str,
    why: str,
) -> Row:
    todo = [remedy for words, remedy in WHAT_TO_DO if words in why]
    if not todo and "market closed" in why and desk.settings.market == "replay":
        todo = ["the tape has neither an intraday bar nor, before `day.session_end`, a close of it then"]
    return {
        "order": order,
        "strategy": strategy,
        "instrument": instrument,
        "wanted": wanted,
        "filled": filled,
        "left": left,
        "status": status,
        "why": why,
        "what_to_do": "; ".join(dict.fromkeys(todo)) or TIME_DOES_IT,
    }
