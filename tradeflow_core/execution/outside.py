"""Trades that were made elsewhere: they are booked at once and belong to no strategy until a person assigns them."""

from __future__ import annotations

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.ledger import instruments_locked_by, lock_instrument, positions_by_strategy, unlock_instrument
from tradeflow_core.model import BY_BROKER, UNASSIGNED, Fill, LockOwner, contract_label


def hold_outside_trade(tx: Connection, desk: Desk, fill: Fill) -> None:
    """Lock the instrument of a trade that is not of an order of ours, until everything in it belongs to a strategy."""
    what = "the broker has liquidated" if fill.is_liquidation else "somebody has traded"
    why = (
        f"{what} {fill.quantity} of {contract_label(fill.contract)} at {fill.price:g} ({fill.exec_id}); `tradeflow positions assign` gives it "
        "to a strategy"
    )
    lock_instrument(
        tx, fill.instrument, LockOwner.OUTSIDE_TRADE, now=desk.now(), why=why, who=BY_BROKER if fill.is_liquidation else "broker"
    )


def release_assigned(tx: Connection, desk: Desk) -> list[str]:
    """Lift the locks of instruments in which everything belongs to a strategy; returns them."""
    unassigned = {name for owner, name in positions_by_strategy(tx, desk.account) if owner in UNASSIGNED}
    assigned = [name for name in instruments_locked_by(tx, LockOwner.OUTSIDE_TRADE) if name not in unassigned]
    for instrument in assigned:
        unlock_instrument(tx, instrument, LockOwner.OUTSIDE_TRADE, now=desk.now(), why="all of it belongs to a strategy")
    return assigned
