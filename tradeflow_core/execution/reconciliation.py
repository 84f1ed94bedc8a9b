"""Our positions against the broker's. An instrument in which they differ is locked until they agree again."""

from __future__ import annotations

from dataclasses import dataclass

from tradeflow_core.desk import Desk
from tradeflow_core.ledger import instruments_locked_by, lock_instrument, positions_by_contract, unlock_instrument
from tradeflow_core.model import LockOwner, contract_label


@dataclass(frozen=True, slots=True)
class PositionBreak:
    """A contract in which the ledger and the broker differ, with the contracts held according to each."""

    instrument: str
    contract: int
    ledger: int
    broker: int


def position_breaks(desk: Desk) -> list[PositionBreak]:
    """Every contract in which they differ. Raises BrokerUnavailable when the broker does not answer: unknown is not flat."""
    broker = desk.broker.positions(desk.account)
    with desk.ledger.read() as view:
        ledger = positions_by_contract(view, desk.account)
    return [
        PositionBreak(*key, ledger.get(key, 0), broker.get(key, 0))
        for key in sorted(set(ledger) | set(broker))
        if ledger.get(key, 0) != broker.get(key, 0)
    ]


def reconcile(desk: Desk) -> list[PositionBreak]:
    """Lock the instruments with a break, and lift the locks of this check where ledger and broker agree again; other locks stay."""
    breaks = position_breaks(desk)
    broken: dict[str, list[str]] = {}
    for each in breaks:
        broken.setdefault(each.instrument, []).append(
            f"{contract_label(each.contract)} is {each.ledger} here and {each.broker} at the broker"
        )
    new = []
    with desk.ledger.begin() as tx:
        for instrument, parts in broken.items():
            if lock_instrument(tx, instrument, LockOwner.RECONCILIATION, now=desk.now(), why="; ".join(parts)):
                new.append(f"{instrument}: {'; '.join(parts)}")
        for instrument in instruments_locked_by(tx, LockOwner.RECONCILIATION):
            if instrument not in broken:
                unlock_instrument(tx, instrument, LockOwner.RECONCILIATION, now=desk.now(), why="ledger and broker agree again")
    if new:
        text = f"{'; '.join(new)}. Trading in it is locked until the two agree; `tradeflow reconcile` says what mends it"
        desk.alerts.send("position break", text, desk.now(), is_new=True)
    return breaks
