"""How much of a proposed trade overrides and position limits allow. Whole contracts, exact integer arithmetic."""

from __future__ import annotations

import math

from tradeflow_core.model import Override, OverrideKind


def apply_override(position: int, trade: int, override: Override) -> int:
    """The trade that an override leaves of `trade`, from the strategy's `position`.

    A fraction f moves the position to floor(desired * f); reduce only lets a trade shrink the position, to zero at most;
    no trading leaves nothing.
    """
    desired = position + trade
    if override.kind is OverrideKind.NO_TRADING:
        return 0
    if override.kind is OverrideKind.REDUCE_ONLY:
        if desired * position < 0:
            return -position
        return 0 if abs(desired) > abs(position) else trade
    return math.floor(desired * override.fraction) - position


def apply_position_limit(position: int, trade: int, limit: int | None) -> int:
    """The trade closest to `trade` after which |position| is at most `limit`; a position beyond the limit is brought back to it."""
    if limit is None:
        return trade
    return max(-limit, min(limit, position + trade)) - position


def apply_position_limits(
    strategy_position: int, instrument_position: int, trade: int, *, strategy_limit: int | None, instrument_limit: int | None
) -> int:
    """The trade closest to the proposed one that satisfies the strategy's limit and the instrument's.

    Each limit allows an interval of trades; the answer is the proposal moved into both. Where they exclude each other, the limit of
    the whole instrument decides, since it bounds the risk of the account.
    """
    for_strategy = apply_position_limit(strategy_position, trade, strategy_limit)
    return apply_position_limit(instrument_position, for_strategy, instrument_limit)


def largest_position(override: Override, strategy_limit: int | None, instrument_limit: int | None) -> int | None:
    """The most contracts that a strategy may hold on either side: the smaller of the limits that there are, 0 where an override
    closes the position; None without any limit."""
    closed = 0 if override.closes else None
    return min((limit for limit in (closed, strategy_limit, instrument_limit) if limit is not None), default=None)
