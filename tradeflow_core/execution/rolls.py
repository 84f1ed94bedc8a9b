"""Roll orders: moving a position from the priced into the forward contract when the state of the roll asks for it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
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
    state, roll = roll_state(tx, code), find_roll(tx, code)
    if not state.is_forced or roll is None or code in locked_instruments(tx):
        return False
    position = positions_by_contract(tx, desk.account).get((code, roll.price_contract), 0)
    spawned = {order.instrument_order_id for order in open_contract_orders(tx)}
    busy = any(
        order.instrument == code and (order.strategy == ROLLS or order.id in spawned or order.quantity * position < 0)
        for order in open_instrument_orders(tx)
    )
    if not position or busy:
        return False
    if state is RollState.CLOSE:
        return _close(tx, desk, code, contract=roll.price_contract, position=position)
    order = add_instrument_order(
        tx,
        strategy=ROLLS,
        instrument=code,
        quantity=0,
        order_type=OrderType.ROLL,
        day=desk.today(),
        now=desk.now(),
        reference_contract=roll.price_contract,
    )
    legs = [Leg(roll.price_contract, -position), Leg(roll.forward_contract, position)]
    for children in [legs] if state is RollState.FORCE else [legs[:1], legs[1:]]:
        add_contract_order(tx, order, instrument=code, order_type=OrderType.MARKET, legs=children, now=desk.now())
    return True


def _close(tx: Connection, desk: Desk, code: str, *, contract: int, position: int) -> bool:
    """Close the priced contract for the strategies that hold the instrument on the same side, the largest holder first."""
    holders = {name: held for (name, instrument), held in positions_by_strategy(tx).items() if instrument == code}
    shares, _ = share_out(holders, position)
    for strategy, share in shares:
        order = add_instrument_order(
            tx,
            strategy=strategy,
            instrument=code,
            quantity=-share,
            order_type=OrderType.MARKET,
            day=desk.today(),
            now=desk.now(),
            reference_contract=contract,
        )
        legs = [Leg(contract, -share)]
        add_contract_order(tx, order, instrument=code, order_type=OrderType.MARKET, legs=legs, now=desk.now())
    return bool(shares)


def share_out(holders: Mapping[str, int], position: int) -> tuple[list[tuple[str, int]], int]:
    """Whose a `position` is, given what each of the `holders` has: (holder, contracts), the largest first; and what is nobody's.

    Only holders on the side of the position share in it. Shares and rest add up to the position.
    """
    shares: list[tuple[str, int]] = []
    rest = position
    for holder, held in sorted(holders.items(), key=lambda item: (-abs(item[1]), item[0])):
        if held * rest > 0:
            share = held if abs(held) <= abs(rest) else rest
            shares.append((holder, share))
            rest -= share
    return shares, rest
