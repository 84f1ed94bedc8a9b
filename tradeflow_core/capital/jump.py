"""Which account values count, and the change of one that is too large to be believed without a person. Without pandas, for
`tradeflow status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile
from typing import Any


class ValueState(StrEnum):
    """counted: an ordinary change; accepted, set: a jump that a person confirmed, as a profit or loss, or with a capital of their own;
    refused: a person says that the value is wrong; jump: it changed by more than is believed without a person."""

    COUNTED = "counted"
    ACCEPTED = "accepted"
    SET = "set"
    REFUSED = "refused"
    JUMP = "jump"

    @property
    def counts(self) -> bool:
        """Whether capital was made of it, and the next value is compared with it."""
        return self not in (ValueState.REFUSED, ValueState.JUMP)


ROUNDING = 1e-9
"""Differences of account values below this share of them are of floating point, not of money."""


def believed(before: float, flow: float, max_change: float) -> float:
    """The largest profit or loss that is believed without a person: a share of what the account was with the deposits and withdrawals since.

    After flows, since it is earned with what is there: a loss of 1.8 % after 10 million were paid into an account of one is ordinary, half of what
    is left of it after nine tenths were taken out is not.
    """
    return max_change * abs(before + flow)


def acceptable(change: float, profit: float) -> bool:
    """Whether a person may accept a profit or loss: it is no more than the account value has moved."""
    return abs(profit) <= abs(change) * (1 + ROUNDING)


@dataclass(frozen=True, slots=True)
class CapitalJump:
    """The newest account value does not count, and waits for a person. Amounts in base currency, times UTC.

    `before`: the account value that counted last; `flow`: deposits and withdrawals recorded since; `profit`: what is left of the change as
    profit or loss; `capital`: the total capital that is held meanwhile; `since`: when the first value came that waits.
    """

    time: datetime
    value: float
    before: float
    flow: float
    profit: float
    capital: float
    since: datetime
    currency: str

    @property
    def acceptable(self) -> bool:
        """Whether a person may accept it as a profit or loss."""
        return acceptable(self.value - self.before, self.profit)

    @property
    def subject(self) -> str:
        """The subject of an alert about it, the same as long as it waits."""
        return f"the account value jumped at {self.since:%Y-%m-%d %H:%M} UTC and waits for a person"

    @property
    def message(self) -> str:
        """What is wrong, what happens meanwhile, and what to do, in one line."""
        with_flows = self.before + self.flow
        percent = f" ({self.profit / abs(with_flows):+.1%})" if with_flows else ""
        what = f"a {'profit' if self.profit > 0 else 'loss'} of {abs(self.profit):,.0f}{percent}"
        seen = (
            f"the account value of {self.time:%Y-%m-%d %H:%M} UTC does not count: {self.value:,.0f} {self.currency}, "
            f"{self.before:,.0f} when it counted last; "
        )
        held = f"the capital stays {self.capital:,.0f} until somebody decides"
        if not self.acceptable:
            return (
                f"{seen}with the recorded deposits and withdrawals of {self.flow:+,.0f} that would be {what}, more than the account moved, "
                f"so they do not fit; {held}: `tradeflow capital` lists the events, `tradeflow capital void EVENT` takes back a wrong one"
            )
        flow = f"without the {self.flow:+,.0f} that were paid in or out " if self.flow else ""
        return (
            f"{seen}{flow}{what}; {held}: if money was paid in or out, `tradeflow capital flow AMOUNT`; if it is a profit or loss, "
            "`tradeflow capital accept`; if the value is wrong, `tradeflow capital refuse`"
        )


def jump_of(newest: Sequence[Mapping[str, Any]], currency: str) -> CapitalJump | None:
    """The jump that waits, if one does: `newest` are the newest rows of total capital, with their `time`."""
    # What an older version stored has no state: there every stored value counted.
    waiting = list(takewhile(lambda row: row.get("state") == ValueState.JUMP, reversed(newest)))
    if not waiting:
        return None
    row = waiting[0]
    return CapitalJump(
        time=row["time"],
        value=row["broker"],
        before=row["broker"] - row["change"],
        flow=row["flow"],
        profit=row["profit"],
        capital=row["capital"],
        since=waiting[-1]["time"],
        currency=currency,
    )
