"""What the ledger says about trading one instrument for a strategy, read once for everything that asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from tradeflow_core.ledger import (
    ANY,
    locked_instruments,
    override_for,
    position_limit,
    positions_by_strategy,
    unfilled_by_instrument,
)
from tradeflow_core.model import Override, OverrideKind
from tradeflow_core.orders.sizing import largest_position


@dataclass(frozen=True, slots=True)
class Standing:
    """An instrument at this moment: contracts that the strategy and all strategies hold, what its open orders still want to trade,
    and what a person or a watchful part of the system allows. `lock`: why it is locked, empty if it is not."""

    position: int
    instrument_position: int
    unfilled: int
    lock: str
    override: Override
    strategy_limit: int | None
    instrument_limit: int | None

    @property
    def no_trade(self) -> bool:
        """The position has to stay as it is."""
        return bool(self.lock) or self.override.kind is OverrideKind.NO_TRADING

    @property
    def reduce_only(self) -> bool:
        """The position may only shrink."""
        return self.override.kind is OverrideKind.REDUCE_ONLY

    @property
    def largest(self) -> int | None:
        """The most contracts that the strategy may hold on either side; None: no limit."""
        return largest_position(self.override, self.strategy_limit, self.instrument_limit)


def standings(view: Connection, strategy: str, codes: Iterable[str]) -> dict[str, Standing]:
    """Where each instrument stands for a strategy: those of `codes` and those that it holds, sorted."""
    locked, held, unfilled = locked_instruments(view), positions_by_strategy(view), unfilled_by_instrument(view, strategy)
    totals: dict[str, int] = {}
    for (_, code), quantity in held.items():
        totals[code] = totals.get(code, 0) + quantity
    every = sorted({*codes, *(code for name, code in held if name == strategy)})
    return {
        code: Standing(
            held.get((strategy, code), 0),
            totals.get(code, 0),
            unfilled.get(code, 0),
            locked.get(code, ""),
            override_for(view, strategy, code),
            position_limit(view, strategy, code),
            position_limit(view, ANY, code),
        )
        for code in every
    }
