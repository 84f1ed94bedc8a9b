"""The capital, what it was made of, and what waits for a person, as `tradeflow capital` shows it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tradeflow_core.capital import total_capital, waiting_jump
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.ledger import capital_events_of
from tradeflow_core.model import events_in_force
from tradeflow_core.parquet import DamagedFile


def capital_view(desk: Desk, newest: int) -> dict[str, Any]:
    """What the ledger holds now, amounts in base currency, times UTC, at most the `newest` rows of each, in order.

    `rows`: total capital by account value; `events`: what people said, and by which event it was taken back; `strategies`: the newest share
    of each; `waits`: a sentence about the change that waits for a person, if one does.
    """
    with desk.ledger.read() as view:
        events = capital_events_of(view)
    by = {event.voids: event.id for event in events_in_force(events) if event.voids is not None}
    said = [
        {
            "event": event.id,
            "time": event.time,
            "kind": str(event.kind),
            "amount": float(event.amount),
            "takes_back": event.voids,
            "taken_back_by": by.get(event.id),
            "who": event.who,
            "why": event.why,
            "recorded_at": event.recorded_at,
        }
        for event in events
    ]
    try:
        capital = total_capital(desk)
    except DataError:  # before the first account value
        return {"rows": [], "events": said[-newest:], "strategies": [], "waits": []}
    jump = waiting_jump(capital, desk.settings.base_currency)
    names = {"broker": "account_value", "state": "state", "change": "change", "flow": "paid_in", "profit": "profit"}
    rows = capital.rename(columns=names)[[*names.values(), "capital", "maximum", "accumulated"]].tail(newest)
    return {
        "rows": rows.rename_axis("time").reset_index().to_dict("records"),
        "events": said[-newest:],
        "strategies": [row for name in desk.settings.strategies for row in _newest_share(desk, name)],
        "waits": [] if jump is None else [jump.message],
    }


def _newest_share(desk: Desk, strategy: str) -> list[dict[str, Any]]:
    if not desk.store.exists("strategy_capital", strategy):
        return []
    try:
        last: pd.Series = desk.store.read("strategy_capital", strategy)["capital"].tail(1)
    except DamagedFile:  # `tradeflow check` names it; the next business day makes it anew
        return []
    return [{"strategy": strategy, "since": time, "capital": float(value)} for time, value in last.items()]
