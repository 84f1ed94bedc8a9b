"""Roll orders: moving a position from the priced into the forward contract when the state of the roll asks for it."""

from __future__ import annotations

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.ledger import (
    ROLLS,
    add_contract_order,
    add_instrument_order,
    current_rolls,
    locked_instruments,
    open_contract_orders,
    open_instrument_orders,
    positions_by_contract,
    positions_by_strategy,
    roll_state,
)
from tradeflow_core.prices import RollState


def generate_roll_orders(desk: Desk) -> int:
    """Make the roll orders that are due, one family an instrument at a time; returns how many instruments got one.

    Force: one calendar spread that sells the priced contract and buys the forward one (or the reverse). Force_Outright: the same
    as two orders. Close: the strategies that hold the position close it. None is made while an order of the instrument is open, so a
    strategy's own trade, which may do the roll's work, goes first.
    """
    with desk.ledger.read() as view:
        codes = [code for code, _ in positions_by_contract(view, desk.account)]
    made = 0
    for code in sorted(set(codes)):
        with desk.ledger.begin() as tx:
            made += _roll(tx, desk, code)
    return made


def _roll(tx: Connection, desk: Desk, code: str) -> bool:
    state, roll = RollState(roll_state(tx, code)), current_rolls(tx).get(code)
    if (
        state not in (RollState.FORCE, RollState.FORCE_OUTRIGHT, RollState.CLOSE)
        or roll is None
        or code in locked_instruments(tx)
    ):
        return False
    position = positions_by_contract(tx, desk.account).get((code, roll.price_contract), 0)
    spawned = {order.instrument_order_id for order in open_contract_orders(tx)}
    busy = any(
        order["instrument"] == code
        and (order["strategy"] == ROLLS or order["id"] in spawned or int(str(order["quantity"])) * position < 0)
        for order in open_instrument_orders(tx)
    )
    if not position or busy:
        return False
    now, day = desk.now(), desk.today()
    if state == RollState.CLOSE:
        return _close(tx, desk, code, roll.price_contract, position)
    order = add_instrument_order(tx, ROLLS, code, 0, "roll", day, now, reference_contract=roll.price_contract)
    legs = [(roll.price_contract, -position), (roll.forward_contract, position)]
    for children in [legs] if state == RollState.FORCE else [legs[:1], legs[1:]]:
        add_contract_order(tx, order, code, "market", children, now)
    return True


def _close(tx: Connection, desk: Desk, code: str, contract: int, position: int) -> bool:
    """Close the priced contract for the strategies that hold the instrument on the same side, the largest holder first."""
    holders = {
        name: held for (name, instrument), held in positions_by_strategy(tx).items() if instrument == code and held * position > 0
    }
    left = position
    for name, held in sorted(holders.items(), key=lambda item: (-abs(item[1]), item[0])):
        part = held if abs(held) <= abs(left) else left
        if part:
            order = add_instrument_order(tx, name, code, -part, "market", desk.today(), desk.now(), reference_contract=contract)
            add_contract_order(tx, order, code, "market", [(contract, -part)], desk.now())
            left -= part
    return left != position
