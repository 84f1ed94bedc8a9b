"""What the last run of a strategy left, read without pandas: for commands that only look."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from tradeflow_core.desk import Desk


def optimal_rows(desk: Desk, strategy: str) -> dict[str, dict[str, Any]]:
    """The newest stored optimal positions of a strategy by instrument, as plain values. Raises StateError where there are none."""
    return _newest(desk.store.rows("optimal_positions", strategy))


def traded_rows(desk: Desk, strategy: str) -> dict[str, dict[str, Any]]:
    """The optimal positions that the orders of the present business day follow, as `optimal_rows`: the newest ones.

    In a replay that fills at the close after next they are those of the day before, and on its first day there are none.
    """
    replay = desk.settings.replay
    if desk.settings.market != "replay" or replay is None or not replay.decisions_wait:
        return optimal_rows(desk, strategy)
    today = datetime.combine(desk.business_day(), time())
    return _newest([row for row in desk.store.rows("optimal_positions", strategy) if row["day"] < today])


def _newest(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    newest = max((row["day"] for row in rows), default=None)
    return {row["instrument"]: row for row in rows if row["day"] == newest}
