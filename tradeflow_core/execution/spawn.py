"""Contract orders from instrument orders: which contracts a trade uses, given the state of the roll."""

from __future__ import annotations

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.execution.isolation import isolated
from tradeflow_core.ledger import (
    add_contract_order,
    current_roll,
    locked_instruments,
    open_contract_orders,
    open_instrument_orders,
    positions_by_contract,
    roll_state,
)
from tradeflow_core.model import Leg, RollEvent, RollState


def contract_trades(state: RollState, roll: RollEvent, position: int, *, trade: int) -> list[Leg]:
    """Which contracts a `trade` of an instrument uses: a leg for each contract order.

    `position`: contracts held of the priced contract. While a roll is passive, new risk goes to the forward contract and
    reductions come out of the priced one; a trade that reverses the position closes the priced contract and opens the rest in the
    forward. While a roll is forced, only a trade that reduces the priced position is made, since it helps the roll; Close makes none.
    """
    priced, forward = roll.price_contract, roll.forward_contract
    if trade == 0 or state in (RollState.CLOSE, RollState.ROLL_ADJUSTED):
        return []
    if state in (RollState.NO_ROLL, RollState.NO_OPEN):
        return [Leg(priced, trade)]
    against = position * trade < 0
    if state in (RollState.FORCE, RollState.FORCE_OUTRIGHT) and not against and position:
        return []
    if not against:
        return [Leg(forward, trade)]
    if abs(trade) <= abs(position):
        return [Leg(priced, trade)]
    return [Leg(priced, -position), Leg(forward, trade + position)]


def spawn_contract_orders(desk: Desk) -> int:
    """Make the contract orders of every new instrument order whose instrument is not locked; returns how many were made."""
    made = 0
    with desk.ledger.read() as view:
        waiting = open_instrument_orders(view, desk.account, unspawned=True)
    for order in waiting:
        with isolated(desk, order.instrument, "making its contract orders"), desk.ledger.begin() as tx:
            made += _spawn(tx, desk, order.id)
    return made


def _spawn(tx: Connection, desk: Desk, order_id: int) -> int:
    unspawned = open_instrument_orders(tx, desk.account, unspawned=True)
    order = next((order for order in unspawned if order.id == order_id), None)
    if order is None or order.instrument in locked_instruments(tx):
        return 0
    roll = current_roll(tx, order.instrument)
    position = left_to_trade(tx, desk.account, order.instrument, contract=roll.price_contract)
    legs = contract_trades(roll_state(tx, order.instrument), roll, position, trade=order.quantity)
    for leg in legs:
        add_contract_order(
            tx,
            order.id,
            legs=[leg],
            order_type=order.order_type,
            limit_price=order.limit_price,
            now=desk.now(),
            reference_price=order.reference_price if leg.contract == order.reference_contract else None,
        )
    return len(legs)


def left_to_trade(view: Connection, account: str, instrument: str, *, contract: int) -> int:
    """Contracts held of one contract, less what open orders already reduce: two strategies must not reduce the same position twice.

    Orders that would add to the position do not count, since they may not be filled.
    """
    position = positions_by_contract(view, account).get((instrument, contract), 0)
    pending = [
        leg.remaining
        for order in open_contract_orders(view, account)
        if order.instrument == instrument
        for leg in order.legs
        if leg.contract == contract and leg.remaining * position < 0
    ]
    left = position + sum(pending)
    return left if left * position > 0 else 0
