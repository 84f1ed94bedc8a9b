"""What the last run of a strategy left, read without pandas: for commands that only look."""

from __future__ import annotations

from typing import Any

from tradeflow_core.desk import Desk


def optimal_rows(desk: Desk, strategy: str) -> dict[str, dict[str, Any]]:
    """The newest stored optimal positions of a strategy by instrument, as plain values. Raises StateError where there are none."""
    rows = desk.store.rows("optimal_positions", strategy)
    newest = max(row["day"] for row in rows)
    return {row["instrument"]: row for row in rows if row["day"] == newest}
