"""Roll orders: moving a position from the priced into the forward contract when the state of the roll asks for it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.execution.isolation import isolated
from tradeflow_core.ledger import (
    add_contract_order,
    add_instrument_order,
    find_roll,
    locked_instruments,
    open_contract_orders,
    open_instrument_orders,
    positions_by_contract,
    positions_by_strategy,
    roll_state,
)
from tradeflow_core.model import ROLLS, Leg, OrderType, RollState


def generate_roll_orders(desk: Desk) -> int:
    """Make the roll orders that are due; returns how many instruments got one.

    Force: one calendar spread that sells the priced contract and buys the forward one (or the reverse). Force_Outright: the same
    as two orders. Close: the strategies that hold the position close it. None is made while an order of the instrument is open, so a
    strategy's own trade, which may do the roll's work, goes first.
    """
    with desk.ledger.read() as view:
        instruments = {instrument for instrument, _ in positions_by_contract(view, desk.account)}
    made = 0
    for instrument in sorted(instruments):
        with isolated(desk, instrument, "making its roll orders"), desk.ledger.begin() as tx:
            made += _roll(tx, desk, instrument)
    return made


def _roll(tx: Connection, desk: Desk, instrument: str) -> bool:
    state, roll = roll_state(tx, instrument), find_roll(tx, instrument)
    if not state.is_forced or roll is None or instrument in locked_instruments(tx):
        return False
    position = positions_by_contract(tx, desk.account).get((instrument, roll.price_contract), 0)
    spawned = {order.instrument_order_id for order in open_contract_orders(tx)}
    busy = any(
        order.instrument == instrument and (order.strategy == ROLLS or order.id in spawned or order.quantity * position < 0)
        for order in open_instrument_orders(tx)
    )
    if not position or busy:
        return False
    if state is RollState.CLOSE:
        return _close(tx, desk, instrument, contract=roll.price_contract, position=position)
    order = add_instrument_order(
        tx,
        strategy=ROLLS,
        instrument=instrument,
        quantity=0,
        order_type=OrderType.ROLL,
        day=desk.today(),
        now=desk.now(),
        reference_contract=roll.price_contract,
    )
    legs = [Leg(roll.price_contract, -position), Leg(roll.forward_contract, position)]
    for children in [legs] if state is RollState.FORCE else [legs[:1], legs[1:]]:
        add_contract_order(tx, order, instrument=instrument, order_type=OrderType.MARKET, legs=children, now=desk.now())
    return True


def _close(tx: Connection, desk: Desk, instrument: str, *, contract: int, position: int) -> bool:
    """Close the priced contract for the strategies that hold the instrument on the same side, the largest holder first."""
    holders = {name: held for (name, code), held in positions_by_strategy(tx).items() if code == instrument}
    shares, _ = share_out(holders, position)
    for strategy, share in shares:
        order = add_instrument_order(
            tx,
            strategy=strategy,
            instrument=instrument,
            quantity=-share,
            order_type=OrderType.MARKET,
            day=desk.today(),
            now=desk.now(),
            reference_contract=contract,
        )
        legs = [Leg(contract, -share)]
        add_contract_order(tx, order, instrument=instrument, order_type=OrderType.MARKET, legs=legs, now=desk.now())
    return bool(shares)


def share_out(holders: Mapping[str, int], position: int) -> tuple[list[tuple[str, int]], int]:
    """Divide a `position` among its `holders` (contracts held by each): (holder, share), the largest holder first; and the rest that
    belongs to none.

    Only holders on the same side as the position get a share. Shares and rest add up to the position.
    """
    shares: list[tuple[str, int]] = []
    rest = position
    for holder, held in sorted(holders.items(), key=lambda item: (-abs(item[1]), item[0])):
        if held * rest > 0:
            share = held if abs(held) <= abs(rest) else rest
            shares.append((holder, share))
            rest -= share
    return shares, rest
