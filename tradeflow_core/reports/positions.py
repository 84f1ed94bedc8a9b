"""Positions of a desk as plain rows: by owner, and by contract."""

from __future__ import annotations

from typing import Any

from tradeflow_core.desk import Desk
from tradeflow_core.ledger import current_rolls, positions_by_contract, positions_by_strategy
from tradeflow_core.model import BY_BROKER, OUTSIDE, ROLLS

Row = dict[str, Any]

NOTES = {
    OUTSIDE: "no strategy: traded elsewhere, to be assigned",
    BY_BROKER: "no strategy: traded by the broker, to be assigned",
    ROLLS: "no strategy: left of a roll that is half done",
}


def owner_rows(desk: Desk, instrument: str | None = None) -> list[Row]:
    """Who holds what: owner, instrument, position, note (empty for a strategy of the settings)."""
    with desk.ledger.read() as view:
        held = positions_by_strategy(view, desk.account)
    return [
        {"owner": owner, "instrument": code, "position": size, "note": _note(desk, owner)}
        for (owner, code), size in sorted(held.items())
        if instrument in (None, code)
    ]


def contract_rows(desk: Desk, instrument: str | None = None) -> list[Row]:
    """What is held of each contract: instrument, contract, position, role (priced, forward, carry, or empty)."""
    with desk.ledger.read() as view:
        held = positions_by_contract(view, desk.account)
        rolls = current_rolls(view)
    rows = []
    for (code, contract), size in sorted(held.items()):
        if instrument in (None, code):
            roll = rolls.get(code)
            roles = (
                {roll.carry_contract: "carry", roll.forward_contract: "forward", roll.price_contract: "priced"} if roll else {}
            )
            rows.append({"instrument": code, "contract": contract, "position": size, "role": roles.get(contract, "")})
    return rows


def _note(desk: Desk, owner: str) -> str:
    if owner in NOTES:
        return NOTES[owner]
    return "" if owner in desk.settings.strategies else "not in the settings any more"
