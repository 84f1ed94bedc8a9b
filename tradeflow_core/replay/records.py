"""What the days of a replay did, one record a day."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import date, time, timedelta

import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.home import ReplaySettings, next_business_day
from tradeflow_core.ledger import recorded_steps, rolls_recorded
from tradeflow_core.model import ROLLS, OrderType
from tradeflow_core.replay.seeding import left_out_instruments, replay_settings
from tradeflow_core.reports import (
    capital_history,
    fills_at_close,
    fills_of_day,
    how_filled,
    not_traded,
    not_traded_lines,
    orders_of_day,
    profit_of_day,
)
from tradeflow_core.rolls import open_tape


@dataclass(frozen=True, slots=True)
class DayRecord:
    """What one day of a replay did. `orders` of strategies, `roll_orders` of forced rolls, `closed` positions in contracts that the tape had
    rolled out of, `fills_at_close`: those of the `fills` that were at the day's close, `not_traded`: a sentence for each order that was not
    filled in full, `rolls` of price series, `profit` the change of the account value over the day, `value` of the account and `capital` at
    its end (base currency), `seconds` the measured time of its work; `prices` is the summary of the price step."""

    day: date
    prices: str
    orders: int
    roll_orders: int
    closed: int
    fills: int
    fills_at_close: int
    not_traded: list[str]
    rolls: int
    profit: float
    value: float
    capital: float
    seconds: float

    def line(self) -> str:
        """The day in one line."""
        at_close = f" ({self.fills_at_close} at the close)" if self.fills_at_close else ""
        unfilled = f", {len(self.not_traded)} orders not filled in full" if self.not_traded else ""
        closed = f", {self.closed} closed at the last price because the tape rolled" if self.closed else ""
        return (
            f"{self.day}: {self.prices}; {self.orders} orders, {self.roll_orders} roll orders, "
            f"{self.fills} fills{at_close}, {self.rolls} rolls{closed}{unfilled}; "
            f"profit {self.profit:+,.0f}, account {self.value:,.0f}, capital {self.capital:,.0f}"
        )


@dataclass(frozen=True)
class ReplaySummary:
    """A replay so far: its days, and the instruments of the tape that it had to leave out, with the reason.

    `fill_at`: the setting `replay.fill_at`; `how_filled` the same as a sentence; `only_closes`: the instruments that have no intraday bar in the
    whole period, so that every order of theirs is filled at a close.
    """

    home: str
    tape: str
    base_currency: str
    days: list[DayRecord]
    left_out: dict[str, str] = field(default_factory=dict)
    fill_at: str = "next close"
    how_filled: str = ""
    only_closes: list[str] = field(default_factory=list)

    @property
    def totals(self) -> dict[str, float]:
        """Sums over all days, and the account value at the end."""
        names = ("orders", "roll_orders", "closed", "fills", "fills_at_close", "rolls", "profit", "seconds")
        sums: dict[str, float] = {name: sum(getattr(day, name) for day in self.days) for name in names}
        return {"days": len(self.days), **sums, "value": self.days[-1].value if self.days else 0.0}

    def to_json(self) -> str:
        """The summary as JSON text."""
        return json.dumps(asdict(self) | {"totals": self.totals}, indent=1, default=str)


def replay_summary(desk: Desk) -> ReplaySummary:
    """The replay of this home so far."""
    settings = replay_settings(desk.home)
    last_done = desk.last_done_day()
    days, day = [], settings.start
    while last_done is not None and day <= last_done:
        days.append(day_record(desk, day))
        day = next_business_day(day)
    return ReplaySummary(
        str(desk.home.path),
        settings.tape,
        desk.settings.base_currency,
        days,
        left_out_instruments(desk.home),
        fill_at=settings.fill_at,
        how_filled=how_filled(desk),
        only_closes=_only_closes(desk, settings),
    )


def _only_closes(desk: Desk, settings: ReplaySettings) -> list[str]:
    tape = open_tape(settings.tape)
    start, end = desk.home.at(settings.start, time()), desk.home.at(settings.end + timedelta(days=1), time())
    return [instrument for instrument in desk.universe if not tape.has_intraday(instrument, start, end)]


def day_record(desk: Desk, day: date) -> DayRecord:
    """The record of a day that is done."""
    orders, fills, capital = orders_of_day(desk, day), fills_of_day(desk, day), capital_history(desk)
    start, end = desk.home.at(day, time()), desk.home.at(day + timedelta(days=1), time())
    with desk.ledger.read() as view:
        steps = recorded_steps(view)
        rolls = rolls_recorded(view, "tape", since=start, until=end)
    steps = steps[steps["day"] == day].set_index("step")
    last_capital = capital[capital.index < pd.Timestamp(end)].iloc[-1]
    is_closing = orders["type"] == OrderType.BALANCE
    return DayRecord(
        day=day,
        prices=str(steps.loc["prices", "summary"]),
        orders=int((~is_closing & (orders["strategy"] != ROLLS)).sum()),
        roll_orders=int((~is_closing & (orders["strategy"] == ROLLS)).sum()),
        closed=int(is_closing.sum()),
        fills=len(fills),
        fills_at_close=fills_at_close(desk, fills),
        not_traded=not_traded_lines([row for row in not_traded(desk, day) if row["order"] is not None]),
        rolls=int(rolls),
        profit=profit_of_day(desk, day) or 0.0,
        value=float(last_capital["broker"]),
        capital=float(last_capital["capital"]),
        seconds=float(steps["seconds"].sum()),
    )
