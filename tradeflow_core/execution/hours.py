"""The broker is the judge of whether a market is open; where our own hours say otherwise, somebody has to know."""

from __future__ import annotations

from datetime import timedelta

from tradeflow_core.desk import Desk
from tradeflow_core.errors import TradeflowError

MARGIN = timedelta(minutes=5)
"""Clocks differ by a little: what our own hours say has to hold so long before and after."""


def odd_hours(desk: Desk, instrument: str, *, is_open: bool) -> str:
    """In which way what the broker says (`is_open`) is not what our own hours say now; an empty text where they agree.

    In a replay nobody has hours but the bars of the tape. Where our own hours are not known, the broker alone knows.
    """
    if desk.settings.market == "replay":
        return ""
    now, sessions = desk.now(), desk.home.sessions
    try:
        ours = {sessions.is_open(instrument, time) for time in (now - MARGIN, now, now + MARGIN)}
    except TradeflowError:
        return ""
    if ours != {not is_open}:
        return ""
    says, say = ("open", "closed") if is_open else ("closed", "open")
    return (
        f"the broker says that the market is {says}, and sessions.csv has it {say} at {now:%Y-%m-%d %H:%M} UTC; the broker's word counts: if it is a "
        "day of other hours, write it in special_days.csv in the home's config folder"
    )
