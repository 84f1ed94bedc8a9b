"""Closing positions in contracts that the tape has rolled out of, at their last price.

A tape rolls on its own day, whether or not our orders to roll were filled by then, and often has no price of the old contract after it.
"""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.execution import new_reference, poll_orders, share_out, submit_intent, trading_session
from tradeflow_core.ledger import (
    add_broker_order,
    add_contract_order,
    add_instrument_order,
    current_roll,
    open_contract_orders,
    positions_by_contract,
    positions_by_strategy,
)
from tradeflow_core.model import ROLLS, ContractOrder, Leg, OrderIntent, OrderType, contract_label
from tradeflow_core.rolls import tape_events


def close_rolled_contracts(desk: Desk) -> list[str]:
    """Close positions in contracts older than the one that the tape has rolled into; returns lines for the report of the day."""
    lines = []
    with desk.ledger.read() as view:
        held = positions_by_contract(view, desk.account)
    for instrument, contract in sorted(held):
        with desk.ledger.read() as view:
            current = current_roll(view, instrument)
        events = tape_events(desk, instrument)
        later_rolls = events[events["after"] > pd.Timestamp(current.after)] if current.after else events[events["after"].notna()]
        if (
            len(later_rolls)
            and later_rolls["after"].iloc[0] < pd.Timestamp(desk.now())
            and contract < later_rolls["price_contract"].iloc[0]
        ):
            lines += close_rolled_contract(desk, instrument, contract)
    return lines


def close_rolled_contract(desk: Desk, instrument: str, contract: int) -> list[str]:
    """Close the position in one contract at its last price, for the strategies that hold it; returns lines for the report of the day.

    If it was interrupted, another call goes on: fills at the broker are booked first, and orders made before are used. Raises StateError
    while a stack handler is at work.
    """
    with trading_session(desk):
        return _close_contract(desk, instrument, contract)


def _close_contract(desk: Desk, instrument: str, contract: int) -> list[str]:
    poll_orders(desk)
    with desk.ledger.begin() as tx:
        position = positions_by_contract(tx, desk.account).get((instrument, contract), 0)
        if not position:
            return []
        closing_orders = [order for order in open_contract_orders(tx, desk.account) if _closes(order, instrument, contract)]
        uncovered = position + sum(leg.remaining for order in closing_orders for leg in order.legs)
        for strategy, share in _shares(tx, desk.account, instrument, position=uncovered):
            _balance(tx, desk, strategy, instrument=instrument, leg=Leg(contract, -share))
    with desk.ledger.read() as view:
        orders = [order for order in open_contract_orders(view, desk.account) if _closes(order, instrument, contract)]
    for order in orders:
        _close_at_last_price(desk, order)
    poll_orders(desk)
    return [f"{instrument}: {position} of {contract_label(contract)} closed at the last price, because the tape rolled"]


def _closes(order: ContractOrder, instrument: str, contract: int) -> bool:
    is_balance = order.instrument == instrument and order.order_type is OrderType.BALANCE
    return is_balance and [leg.contract for leg in order.legs] == [contract]


def _shares(tx: Connection, account: str, instrument: str, *, position: int) -> list[tuple[str, int]]:
    """The position split among the strategies that hold it; what none of them holds goes to the first one."""
    holders = {
        name: held for (name, code), held in positions_by_strategy(tx, account).items() if code == instrument and name != ROLLS
    }
    shares, rest = share_out(holders, position)
    return [*shares, (min(holders, default=ROLLS), rest)] if rest else shares


def _balance(tx: Connection, desk: Desk, strategy: str, *, instrument: str, leg: Leg) -> None:
    order = add_instrument_order(
        tx,
        account=desk.account,
        strategy=strategy,
        instrument=instrument,
        quantity=leg.quantity if strategy != ROLLS else 0,
        order_type=OrderType.BALANCE,
        day=desk.today(),
        now=desk.now(),
        reference_contract=leg.contract,
    )
    add_contract_order(tx, order, order_type=OrderType.BALANCE, legs=[leg], now=desk.now())


def _close_at_last_price(desk: Desk, order: ContractOrder) -> None:
    """Send an order for what is left of `order` at the last price, market open or not. Only the paper exchange of a replay accepts it."""
    legs = tuple(Leg(leg.contract, leg.remaining) for leg in order.legs)
    intent = OrderIntent(new_reference(), desk.account, order.instrument, legs, OrderType.LAST)
    with desk.ledger.begin() as tx:
        broker_order = add_broker_order(tx, order.id, intent, now=desk.now())
    submit_intent(desk, intent, broker_order=broker_order, contract_order=order.id)
