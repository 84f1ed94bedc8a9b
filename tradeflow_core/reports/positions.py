"""Positions of a desk as plain rows: by owner, by contract, and by account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradeflow_core.brokers import BrokerUnavailable
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


def account_rows(desk: Desk, instrument: str | None = None) -> list[Row]:
    """What the account holds by instrument: account, instrument, position (by the ledger), at_the_broker (None where the broker does not
    answer)."""
    with desk.ledger.read() as view:
        here = _by_instrument(positions_by_contract(view, desk.account))
    try:
        there = _by_instrument(desk.broker.positions(desk.account))
    except BrokerUnavailable:
        there = None
    return [
        {
            "account": desk.account,
            "instrument": code,
            "position": here.get(code, 0),
            "at_the_broker": None if there is None else there.get(code, 0),
        }
        for code in sorted({*here, *(there or {})})
        if instrument in (None, code)
    ]


def _by_instrument(held: Mapping[tuple[str, int], int]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for (code, _), size in held.items():
        totals[code] = totals.get(code, 0) + size
    return totals


def _note(desk: Desk, owner: str) -> str:
    if owner in NOTES:
        return NOTES[owner]
    return "" if owner in desk.settings.strategies else "not in the settings any more"
