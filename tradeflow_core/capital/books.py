"""What the ledger holds of the account, and what capital would be with more said: the checks of what a person says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd

from tradeflow_core.capital.fold import fold_capital
from tradeflow_core.capital.jump import CapitalJump, ValueState, believed
from tradeflow_core.capital.total import waiting_jump
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.ledger import account_value_history, capital_events_of
from tradeflow_core.model import CapitalEvent, CapitalEventKind, events_in_force

SMALL_FLOW = 0.01
"""A deposit or withdrawal up to this share of the account cannot be told from a day's profit: no change of the account has to match it."""


@dataclass(frozen=True, slots=True)
class CapitalNow:
    """The total capital with everything that was said, in base currency. `time` (UTC), `account`: of the newest account value; `state`:
    whether it counts; `jump`: it does not, and waits for a person; `backing`: the newest account value that nobody refused."""

    time: datetime
    account: float
    state: str
    backing: float
    capital: float
    maximum: float
    accumulated: float
    jump: CapitalJump | None


@dataclass(frozen=True, slots=True)
class CapitalChange:
    """What a person is about to say. `about`: in words; `said`: the events to be recorded, their ids being provisional; `known`: the newest
    event and account value when it was worked out."""

    about: str
    before: CapitalNow
    after: CapitalNow
    warnings: tuple[str, ...]
    said: tuple[CapitalEvent, ...]
    known: tuple[int, datetime]

    @property
    def lines(self) -> list[str]:
        """What is and what would be, a figure a line."""
        names = {"capital": "total capital", "maximum": "its maximum", "accumulated": "profit so far"}
        figures = [
            f"{words}: {getattr(self.before, name):,.2f} -> {getattr(self.after, name):,.2f}" for name, words in names.items()
        ]
        counts = ("counts" if ValueState(now.state).counts else "does not count" for now in (self.before, self.after))
        return [*figures, f"account value: {self.after.account:,.2f}, {next(counts)} -> {next(counts)}"]

    @property
    def row(self) -> dict[str, Any]:
        """The same as plain values."""
        figures = ("capital", "maximum", "accumulated", "account", "state")
        before, after = ({name: getattr(now, name) for name in figures} for now in (self.before, self.after))
        waits = None if self.after.jump is None else self.after.jump.message
        return {"about": self.about, "before": before, "after": after, "waits": waits, "warnings": self.warnings}


class Books:
    """What the ledger holds of the account, and what capital would be with more said."""

    def __init__(self, desk: Desk) -> None:
        with desk.ledger.read() as view:
            self.values, self.events = account_value_history(view, desk.account)["value"], capital_events_of(view)
        if self.values.empty:
            raise StateError(
                "no account value is recorded yet; `tradeflow day`, or the asset account_values, asks the broker for one"
            )
        self.rules, self.currency = desk.settings.capital_rules, desk.settings.base_currency
        self.times = pd.DatetimeIndex(self.values.index)
        self.newest: datetime = self.times[-1].to_pydatetime()
        self.in_force = {event.id: event for event in events_in_force(self.events)}
        self.last_id = max((event.id for event in self.events), default=0)
        self._now, self._local_day = desk.now(), desk.home.local_day

    def says(
        self, kind: CapitalEventKind, amount: Decimal | float, time: datetime, *, voids: int | None = None, number: int = 1
    ) -> CapitalEvent:
        """An event that is not recorded yet, the `number`-th of this change."""
        money = amount if isinstance(amount, Decimal) else Decimal(f"{amount:.2f}")
        return CapitalEvent(self.last_id + number, time, kind, money, voids, "", "", self._now)

    def fold(self, *said: CapitalEvent) -> pd.DataFrame:
        return fold_capital(self.values, [*self.events, *said], self.rules.method, max_change=self.rules.max_change)

    def now(self, *said: CapitalEvent) -> CapitalNow:
        """What capital would be with more said."""
        rows = self.fold(*said)
        last = rows.iloc[-1]
        return CapitalNow(
            time=self.newest,
            account=float(last["broker"]),
            state=str(last["state"]),
            backing=float(rows.loc[rows["state"] != ValueState.REFUSED, "broker"].iloc[-1]),
            capital=float(last["capital"]),
            maximum=float(last["maximum"]),
            accumulated=float(last["accumulated"]),
            jump=waiting_jump(rows, self.currency),
        )

    def time_of(self, amount: Decimal, at: date | datetime | None) -> datetime:
        """The time of a flow: the one given, or that of the account value which shows it best, of a day (or the next one), or the newest."""
        if at is None or isinstance(at, datetime):
            return at or self.newest
        profits = self.fold()["profit"]
        days = [self._local_day(time) for time in self.times]
        since = profits[[day >= at for day in days]].head(days.count(at) + 1)
        if since.empty:
            raise StateError(f"there is no account value since {at}; record it when one shows it")
        place = int((since - float(amount)).abs().to_numpy().argmin())
        return pd.DatetimeIndex(since.index)[place].to_pydatetime()

    def change(self, about: str, *said: CapitalEvent, warnings: Sequence[str] = ()) -> CapitalChange:
        before, after = self.now(), self.now(*said)
        warnings = list(warnings)
        if after.jump and before.jump != after.jump:
            warnings.append(after.jump.message)
        if self.too_much(after):
            warnings.append(f"the capital of {after.capital:,.0f} is more than the account value of {after.backing:,.0f}")
        return CapitalChange(about, before, after, tuple(warnings), said, (self.last_id, self.newest))

    def event(self, number: int) -> CapitalEvent:
        """The event in force of this id."""
        if number in self.in_force:
            return self.in_force[number]
        takers = [event.id for event in self.in_force.values() if event.voids == number]
        known = any(event.id == number for event in self.events)
        raise StateError(
            f"event {number} was taken back by event {takers[0]}"
            if known and takers
            else f"there is no capital event {number}; `tradeflow capital` lists them"
        )

    def waiting(self, value: float | None) -> CapitalJump:
        """The jump that waits; `value`: the account value that it has to be."""
        now = self.now()
        if now.jump is None:
            refusals = [event for event in self.in_force.values() if event.kind == CapitalEventKind.REFUSE]
            by = max(refusals, key=lambda event: event.time).id if now.state == ValueState.REFUSED else None
            state = "counts" if by is None else f"was refused by event {by}, which `tradeflow capital void {by}` takes back"
            raise StateError(f"nothing waits: the account value of {now.account:,.0f} at {now.time:%Y-%m-%d %H:%M} UTC {state}")
        if value is not None and abs(now.jump.value - value) >= 1:
            raise StateError(
                f"another account value waits: {now.jump.value:,.2f} at {now.jump.time:%Y-%m-%d %H:%M} UTC, not {value:,.2f}; look at it first"
            )
        return now.jump

    def too_much(self, now: CapitalNow) -> bool:
        """Whether capital is clearly more than the account value: by more than a change that nobody has to confirm."""
        return now.capital > max(now.backing, 0.0) * (1 + self.rules.max_change)

    def require_backed(self, change: CapitalChange, *, force: bool) -> None:
        """Raise StateError where a change raises the capital clearly above the account value, or says that it is there."""
        by_hand = any(event.kind == CapitalEventKind.TOTAL for event in change.said)
        if self.too_much(change.after) and (by_hand or change.after.capital > change.before.capital) and not force:
            raise StateError(
                f"the capital would be {change.after.capital:,.0f}, with an account of {change.after.backing:,.0f} only, and positions are "
                "sized by the capital; if you mean that, say it with --force"
            )

    def require_fit(self, new: CapitalEvent, *, force: bool) -> None:
        """Raise StateError unless the account did what a flow says: it has to leave a change of the account that is smaller, and ordinary.

        `force` takes one that leaves an ordinary change, or a smaller jump, although the account does not show it.
        """
        place, amount = int(self.times.searchsorted(pd.Timestamp(new.time))), float(new.amount)
        if place == 0:
            raise StateError(f"the first account value is of {self.times[0]:%Y-%m-%d %H:%M} UTC: what was paid before is in it")
        without_old = [] if new.voids is None else [self.says(CapitalEventKind.VOID, Decimal(0), new.time, voids=new.voids)]
        before, after = self.fold(*without_old), self.fold(new)
        counts_before, counts = (frame["state"].map(lambda state: ValueState(state).counts) for frame in (before, after))
        shown = after.iloc[place:]
        shown = (
            shown[counts.iloc[place:]].head(1) if counts.iloc[place:].any() else shown[shown["state"] == ValueState.JUMP].tail(1)
        )
        if shown.empty:
            raise StateError(
                f"no account value since {new.time:%Y-%m-%d %H:%M} UTC shows {flow_in_words(new.amount)}; record it when one does: until "
                "then a change that large waits, and capital stays"
            )
        row = shown.iloc[0]
        left, last = float(row["profit"]), float(row["broker"] - row["change"])
        without, limit = left + amount, believed(last, float(row["flow"]), self.rules.max_change)
        ordinary, smaller = abs(left) <= limit, abs(left) < abs(without)
        if (counts_before & ~counts).any() or not (ordinary or smaller):
            raise StateError(f"{self._did(row)}: {flow_in_words(new.amount)} does not fit, it would leave {_profit(left)}")
        small = abs(amount) <= SMALL_FLOW * abs(last)
        if not (ordinary and (smaller or small)) and not force:
            raise StateError(
                f"{self._did(row)}, which does not show {flow_in_words(new.amount)}: it would leave {_profit(left)}; say when it was with --at, "
                "or, if you are sure, add --force"
            )

    def _did(self, row: pd.Series) -> str:
        """What the account did, in words."""
        return f"the account value went from {row['broker'] - row['change']:,.0f} to {row['broker']:,.0f} at {row.name:%Y-%m-%d %H:%M} UTC"


def flow_in_words(amount: Decimal) -> str:
    return f"a {'deposit' if amount > 0 else 'withdrawal'} of {abs(amount):,.2f}"


def _profit(amount: float) -> str:
    return f"a {'profit' if amount > 0 else 'loss'} of {abs(amount):,.0f}"
