"""What people say about the account: events, which total capital is made of beside the account values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class CapitalEventKind(StrEnum):
    """What an event says of the account (amounts in base currency).

    flow: money was paid in (+) or out (-), which is no profit. accept, refuse: the account value at that time is right, or wrong, however far
    it is from the one before (amount: the value). total, maximum, accumulated: from the account value at that time on, that figure is the
    amount. void: nothing but that an earlier event is taken back.
    """

    FLOW = "flow"
    ACCEPT = "accept"
    REFUSE = "refuse"
    TOTAL = "total"
    MAXIMUM = "maximum"
    ACCUMULATED = "accumulated"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class CapitalEvent:
    """One event. `time`: of which it speaks (UTC); `voids`: the id of an earlier event that it takes back, or replaces."""

    id: int
    time: datetime
    kind: CapitalEventKind
    amount: Decimal
    voids: int | None
    who: str
    why: str
    recorded_at: datetime


def events_in_force(events: Iterable[CapitalEvent]) -> list[CapitalEvent]:
    """The events that are not taken back, in the order in which they were recorded.

    An event that was taken back takes nothing back: what it had voided is in force again, as if it had never been.
    """
    kept: list[CapitalEvent] = []
    taken_back: set[int] = set()
    for event in sorted(events, key=lambda each: each.id, reverse=True):
        if event.id in taken_back:
            continue
        if event.voids is not None:
            taken_back.add(event.voids)
        kept.append(event)
    return kept[::-1]
