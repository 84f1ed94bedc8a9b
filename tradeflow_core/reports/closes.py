"""Which fills of a replay were at a day's close, and how a replay fills its orders, in words."""

from __future__ import annotations

import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.model import CLOSING_HOUR

WHEN = {
    "next close": "the first close after its decision",
    "close after next": "the second close after its decision, since every decision is traded one business day late",
}


def fills_at_close(desk: Desk, fills: pd.DataFrame) -> int:
    """How many of a day's fills (as of `fills_of_day`) a replay made at the day's close; 0 where the market is no replay."""
    if desk.settings.market != "replay":
        return 0
    return int((pd.DatetimeIndex(fills["time"]).hour >= CLOSING_HOUR).sum())


def how_filled(desk: Desk) -> str:
    """How this desk's orders are filled, as a sentence; empty where the market is no replay."""
    replay = desk.settings.replay
    if desk.settings.market != "replay" or replay is None:
        return ""
    return (
        f"an order that no intraday bar fills is filled at {WHEN[replay.fill_at]}, never at a price that it was decided on "
        f'(replay.fill_at = "{replay.fill_at}")'
    )
