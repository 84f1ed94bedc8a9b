"""Capital: what the account is worth, how much of it is traded with, and which strategy gets how much."""

from tradeflow_core.capital.total import (
    CapitalJump,
    allocate,
    fold_capital,
    poll_account,
    strategy_capital,
    update_strategy_capital,
    update_total_capital,
)

__all__ = [
    "CapitalJump",
    "allocate",
    "fold_capital",
    "poll_account",
    "strategy_capital",
    "update_strategy_capital",
    "update_total_capital",
]
