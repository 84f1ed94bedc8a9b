"""What holds orders back: now, and in the course of a session, in the words in which it is recorded when they end unfilled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.errors import TradeflowError
from tradeflow_core.execution.send import Blocked, blocked_orders
from tradeflow_core.execution.spawn import legs_now
from tradeflow_core.ledger import (
    LedgerTrouble,
    active_stop,
    broker_orders_below,
    contract_orders_below,
    locked_instruments,
    open_instrument_orders,
    rejections,
    roll_states_now,
)
from tradeflow_core.model import BrokerOrderStatus, InstrumentOrder, OrderLevel

MOST_REASONS = 6
"""So many different reasons are kept of one contract order, the newest: some hold figures, and would be without end."""


class Hindrances:
    """What held contract orders back in the passes of one session, with the times of the first and last pass (UTC).

    It is only told: an interrupted session loses it, and the next one begins anew.
    """

    def __init__(self) -> None:
        self._of: dict[int, dict[str, tuple[datetime, datetime]]] = {}

    def note(self, blocked: Iterable[Blocked], now: datetime) -> None:
        """What a pass held back at `now`."""
        for each in blocked:
            reasons = self._of.setdefault(each.order.id, {})
            first = reasons.pop(each.why, (now, now))[0]
            reasons[each.why] = (first, now)  # at the end, as the newest
            if len(reasons) > MOST_REASONS:
                del reasons[next(iter(reasons))]

    def of(self, contract_order: int) -> list[str]:
        """What held a contract order back, the newest last."""
        return [
            f"{why} ({first:%H:%M} UTC)" if first == last else f"{why} ({first:%H:%M} to {last:%H:%M} UTC)"
            for why, (first, last) in self._of.get(contract_order, {}).items()
        ]


def held_back(desk: Desk, orders: Sequence[InstrumentOrder]) -> dict[int, str]:
    """Why nothing is at work now for open instrument orders, by order; empty where the next pass would send something."""
    if not orders:
        return {}
    why: dict[int, list[str]] = {}
    for blocked in blocked_orders(desk):
        for share in blocked.order.shares:
            why.setdefault(share.instrument_order_id, []).append(blocked.why)
    with desk.ledger.read() as view:
        stop, locked, states = active_stop(view), locked_instruments(view), roll_states_now(view)
        waiting = {order.id for order in open_instrument_orders(view, desk.account, unspawned=True)}
        for order in orders:
            if order.id in waiting:
                if stop:
                    why[order.id] = [f"trading is stopped ({stop.why})"]
                elif order.instrument in locked:
                    why[order.id] = [f"locked ({locked[order.instrument]})"]
                elif not legs_now(view, desk, order.instrument, trade=order.quantity):
                    why[order.id] = [f"the roll of {order.instrument} is in the state {states.get(order.instrument)}"]
    return {order.id: "; ".join(dict.fromkeys(why.get(order.id, []))) for order in orders}


def why_unfilled(desk: Desk, seen: Hindrances) -> dict[tuple[OrderLevel, int], str]:
    """Why the orders that are still open at the end of a session were not filled, by level and id.

    What the passes of the session saw, or else what holds an order back now; what the broker has not filled, and how often it refused it.
    """
    with desk.ledger.read() as view:
        orders = open_instrument_orders(view, desk.account)
        below = {order.id: contract_orders_below(view, order.id) for order in orders}
        sent = {child.id: _unfilled_at_broker(view, child.id) for children in below.values() for child in children}
        refused = rejections(view, [child.id for children in below.values() for child in children])
    try:
        now = held_back(desk, orders)
    except LedgerTrouble:
        raise
    except TradeflowError as error:  # an order ends all the same
        now = {order.id: str(error) for order in orders}
    reasons: dict[tuple[OrderLevel, int], str] = {}
    for order in orders:
        of_order: list[str] = []
        for child in below[order.id]:
            if not any(leg.remaining for leg in child.legs):
                continue
            parts = seen.of(child.id) or ([now[order.id]] if now[order.id] else [])
            parts += sent[child.id]
            if child.id in refused:
                parts.append(f"rejected {refused[child.id].count} times ({refused[child.id].reason})")
            reasons[OrderLevel.CONTRACT, child.id] = "; ".join(parts)
            of_order += parts
        of_order = of_order or [now[order.id] or "no pass of the stack handler worked it"]
        reasons[OrderLevel.INSTRUMENT, order.id] = "; ".join(dict.fromkeys(of_order))
    return reasons


def _unfilled_at_broker(view: Connection, contract_order: int) -> list[str]:
    """What became of broker orders that were sent and are not filled here, in words."""
    words = []
    for order in broker_orders_below(view, contract_order):
        left = ", ".join(f"{leg.remaining:+d}" for leg in order.legs if leg.remaining)
        if left and order.status is BrokerOrderStatus.FILLED:
            words.append(f"the broker calls {order.client_ref} filled and has not told the executions of {left}")
        elif left and order.status is BrokerOrderStatus.NEVER_ARRIVED:
            words.append(f"{order.client_ref}: {order.reason}")
        elif left and order.status is not BrokerOrderStatus.REJECTED and order.sent_at is not None:
            words.append(f"{left} were at work at the broker since {order.sent_at:%H:%M} UTC and not filled")
    return words
