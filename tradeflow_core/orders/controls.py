"""Position, open orders and controls of an instrument for a strategy, read from the ledger in one place."""

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
    """An instrument for a strategy now, in contracts: `position` of the strategy, `instrument_position` of all strategies, `unfilled`
    of its open orders; and the controls in force. `lock`: why it is locked, empty if it is not."""

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


def standings(view: Connection, strategy: str, instruments: Iterable[str]) -> dict[str, Standing]:
    """The standing for a strategy of each of `instruments` and of those that it holds, by instrument, sorted."""
    locks, positions, unfilled = locked_instruments(view), positions_by_strategy(view), unfilled_by_instrument(view, strategy)
    totals: dict[str, int] = {}
    for (_, instrument), quantity in positions.items():
        totals[instrument] = totals.get(instrument, 0) + quantity
    held = {instrument for holder, instrument in positions if holder == strategy}
    return {
        instrument: Standing(
            positions.get((strategy, instrument), 0),
            totals.get(instrument, 0),
            unfilled.get(instrument, 0),
            locks.get(instrument, ""),
            override_for(view, strategy, instrument),
            position_limit(view, strategy, instrument),
            position_limit(view, ANY, instrument),
        )
        for instrument in sorted({*instruments, *held})
    }
