"""How much of a proposed trade overrides and position limits allow. Whole contracts, exact integer arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """Contracts of an instrument that open orders may still buy, and sell (0 or less)."""

    buying: int = 0
    selling: int = 0

    def __add__(self, quantity: int) -> OnTheWay:
        return OnTheWay(self.buying + max(quantity, 0), self.selling + min(quantity, 0))


NOTHING = OnTheWay()


def apply_position_limit(position: int, trade: int, limit: int | None, *, on_the_way: OnTheWay = NOTHING) -> int:
    """The trade closest to `trade` after which |position| is at most `limit`, whichever of the orders on the way are filled.

    A position beyond the limit is brought back to it, as far as orders on the way do not do that already. Orders on the way are never
    traded against: where they alone may break the limit, the trade is zero.
    """
    if limit is None:
        return trade
    highest = min(limit - position - on_the_way.selling, 0) if position > limit else max(limit - position - on_the_way.buying, 0)
    lowest = (
        max(-limit - position - on_the_way.buying, 0) if position < -limit else min(-limit - position - on_the_way.selling, 0)
    )
    return max(lowest, min(highest, trade))


def apply_position_limits(
    strategy_position: int,
    instrument_position: int,
    trade: int,
    *,
    strategy_limit: int | None,
    instrument_limit: int | None,
    own_on_the_way: OnTheWay = NOTHING,
    all_on_the_way: OnTheWay = NOTHING,
) -> int:
    """The trade closest to the proposed one that satisfies the strategy's limit and the instrument's.

    Each limit allows an interval of trades; the answer is the proposal moved into both. Where they exclude each other, the limit of
    the whole instrument decides, since it bounds the risk of the account.
    """
    for_strategy = apply_position_limit(strategy_position, trade, strategy_limit, on_the_way=own_on_the_way)
    return apply_position_limit(instrument_position, for_strategy, instrument_limit, on_the_way=all_on_the_way)


def largest_position(override: Override, strategy_limit: int | None, instrument_limit: int | None) -> int | None:
    """The most contracts that a strategy may hold on either side: the smaller of the limits that there are, 0 where an override
    closes the position; None without any limit."""
    closed = 0 if override.closes else None
    return min((limit for limit in (closed, strategy_limit, instrument_limit) if limit is not None), default=None)


def cut_to_caps(quantities: tuple[int, ...], caps: tuple[int, ...]) -> tuple[int, ...]:
    """The largest trade in the same whole-number ratio in which no leg exceeds its cap; zeros where there is none.

    Exact integer arithmetic: the legs are multiples of a smallest unit (their greatest common divisor), and as many units are kept
    as every cap allows.
    """
    unit = math.gcd(*quantities)
    if unit == 0:
        return quantities
    allowed = [cap // (abs(quantity) // unit) for quantity, cap in zip(quantities, caps, strict=True) if quantity]
    units = max(min(unit, *allowed), 0)
    return tuple(quantity // unit * units for quantity in quantities)


def cut_to_total(quantities: tuple[int, ...], total: int) -> tuple[int, ...]:
    """The largest trade in the same whole-number ratio whose legs together are at most `total` contracts; zeros where there is none."""
    unit = math.gcd(*quantities)
    if unit == 0:
        return quantities
    ratio = [quantity // unit for quantity in quantities]
    units = max(min(unit, total // sum(map(abs, ratio))), 0)
    return tuple(units * each for each in ratio)
