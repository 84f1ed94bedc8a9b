"""Our positions against the broker's. An instrument in which they differ is locked until they agree again."""

from __future__ import annotations

from dataclasses import dataclass

from tradeflow_core.desk import Desk
from tradeflow_core.ledger import lock_instrument, locked_instruments, positions_by_contract, unlock_instrument
from tradeflow_core.model import LockOwner, contract_label


@dataclass(frozen=True, slots=True)
class PositionBreak:
    """One contract in which the ledger and the broker do not agree."""

    instrument: str
    contract: int
    ledger: int
    broker: int


def position_breaks(desk: Desk) -> list[PositionBreak]:
    """Every contract in which they differ. Raises BrokerUnavailable when the broker does not answer: unknown is not flat."""
    theirs = desk.broker.positions(desk.account)
    with desk.ledger.read() as view:
        ours = positions_by_contract(view, desk.account)
    return [
        PositionBreak(code, contract, ours.get((code, contract), 0), theirs.get((code, contract), 0))
        for code, contract in sorted(set(ours) | set(theirs))
        if ours.get((code, contract), 0) != theirs.get((code, contract), 0)
    ]


def reconcile(desk: Desk) -> list[PositionBreak]:
    """Lock the instruments with a break, unlock those that this check had locked and that agree again; locks of others stay."""
    breaks = position_breaks(desk)
    broken: dict[str, list[str]] = {}
    for found in breaks:
        broken.setdefault(found.instrument, []).append(
            f"{contract_label(found.contract)} is {found.ledger} here and {found.broker} at the broker"
        )
    fresh = []
    with desk.ledger.begin() as tx:
        for code, parts in broken.items():
            if lock_instrument(tx, code, LockOwner.RECONCILIATION, now=desk.now(), why="; ".join(parts)):
                fresh.append(f"{code}: {'; '.join(parts)}")
        for code in set(locked_instruments(tx)) - set(broken):
            unlock_instrument(tx, code, LockOwner.RECONCILIATION)
    if fresh:
        desk.alerts.send("position break", f"{'; '.join(fresh)}. Trading in it is locked until the two agree", desk.now())
    return breaks
