"""Roll orders: moving a position from the priced into the forward contract when the state of the roll asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.execution.isolation import Failures, collecting, lock_failures
from tradeflow_core.ledger import (
    add_contract_order,
    add_instrument_order,
    current_roll,
    filled_of,
    find_roll,
    locked_instruments,
    newest_fill_time,
    open_contract_orders,
    open_instrument_orders,
    positions_by_contract,
    positions_by_strategy,
    roll_states_now,
    unfinished_rolls,
)
from tradeflow_core.model import (
    ROLLS,
    ContractOrder,
    InstrumentOrder,
    Leg,
    OrderType,
    RollEvent,
    RollState,
    contract_label,
)

LAG = timedelta(minutes=15)
"""How long the second leg of an outright roll may lag behind the first before a person is told."""


def finish_rolls(desk: Desk) -> int:
    """Make orders for what is left of rolls that are half done; returns how many. Nothing else of such an instrument is traded first.

    What `ROLLS` holds has left one contract and not arrived in the other, or the other way round: it is traded back to zero, out of the
    priced contract where that is too many, into the forward one where it is too few.
    """
    with desk.ledger.read() as view:
        rests = unfinished_rolls(view, desk.account)
        locked = locked_instruments(view) if rests else {}
        at_work = (
            {order.instrument for order in open_instrument_orders(view, desk.account) if order.strategy == ROLLS}
            if rests
            else set()
        )
    due = {instrument: rest for instrument, rest in rests.items() if instrument not in at_work and instrument not in locked}
    failures: Failures = {}
    if due:
        with desk.ledger.begin() as tx:
            for instrument, rest in due.items():
                with collecting(failures, instrument, "finishing its roll"):
                    _finish_roll(tx, desk, instrument, rest=rest)
    lock_failures(desk, failures)
    return len(due) - len(failures)


def _finish_roll(tx: Connection, desk: Desk, instrument: str, *, rest: int) -> None:
    roll = current_roll(tx, instrument)
    priced = positions_by_contract(tx, desk.account).get((instrument, roll.price_contract), 0)
    contract = roll.price_contract if priced * rest > 0 else roll.forward_contract
    why = f"{rest} were left of a roll"
    order = _add_roll_order(tx, desk, instrument, contract=contract, why=why)
    add_contract_order(tx, order, legs=[Leg(contract, -rest)], order_type=OrderType.MARKET, now=desk.now(), why=why)


def generate_roll_orders(desk: Desk) -> int:
    """Make the roll orders that are due; returns how many instruments got one.

    Force: one calendar spread that sells the priced contract and buys the forward one (or the reverse). Force_Outright: the same
    as two orders, of which the second follows the fills of the first. Close: the strategies that hold the position close it, with one order
    for all of them. None is made while an order of the instrument is open, so a strategy's own trade, which may do the roll's work, goes
    first.
    """
    with desk.ledger.read() as view:
        forced = {instrument: state for instrument, state in roll_states_now(view).items() if state.is_forced}
        if not forced:
            return 0
        held = {instrument for instrument, _ in positions_by_contract(view, desk.account)}
        locked = locked_instruments(view)
        stack = _Stack.read(view, desk.account)
        due = [name for name in sorted(set(forced) & held - set(locked)) if stack.position_to_roll(name, find_roll(view, name))]
    failures: Failures = {}
    made = 0
    if due:
        with desk.ledger.begin() as tx:
            stack = _Stack.read(tx, desk.account)
            for instrument in due:
                with collecting(failures, instrument, "making its roll orders"):
                    made += _roll(tx, desk, stack, instrument=instrument, state=forced[instrument])
    lock_failures(desk, failures)
    return made


@dataclass(frozen=True)
class _Stack:
    """What is held and open, read once for all instruments."""

    held: Mapping[tuple[str, int], int]
    rests: Mapping[str, int]
    orders: Sequence[InstrumentOrder]
    spawned: frozenset[int]

    @classmethod
    def read(cls, view: Connection, account: str) -> _Stack:
        parts = [share.instrument_order_id for order in open_contract_orders(view, account) for share in order.shares]
        orders = open_instrument_orders(view, account)
        return cls(positions_by_contract(view, account), unfinished_rolls(view, account), orders, frozenset(parts))

    def position_to_roll(self, instrument: str, roll: RollEvent | None) -> int:
        """Contracts held of the priced contract, if they may be rolled now; else 0."""
        position = self.held.get((instrument, roll.price_contract), 0) if roll else 0
        is_busy = any(
            order.strategy == ROLLS or order.id in self.spawned or order.quantity * position < 0
            for order in self.orders
            if order.instrument == instrument
        )
        return 0 if is_busy or instrument in self.rests else position


def _roll(tx: Connection, desk: Desk, stack: _Stack, *, instrument: str, state: RollState) -> bool:
    roll = current_roll(tx, instrument)
    position = stack.position_to_roll(instrument, roll)
    if not position:
        return False
    if state is RollState.CLOSE:
        return _close(tx, desk, instrument, contract=roll.price_contract, position=position)
    order = _add_roll_order(tx, desk, instrument, contract=roll.price_contract, why=f"roll state {state}")
    out, into = Leg(roll.price_contract, -position), Leg(roll.forward_contract, position)
    if state is RollState.FORCE:
        add_contract_order(tx, order, legs=[out, into], order_type=OrderType.MARKET, now=desk.now())
    else:
        first = add_contract_order(tx, order, legs=[out], order_type=OrderType.MARKET, now=desk.now())
        add_contract_order(tx, order, legs=[into], order_type=OrderType.MARKET, follows=first, now=desk.now())
    return True


def _add_roll_order(tx: Connection, desk: Desk, instrument: str, *, contract: int, why: str) -> int:
    return add_instrument_order(
        tx,
        account=desk.account,
        strategy=ROLLS,
        instrument=instrument,
        quantity=0,
        order_type=OrderType.ROLL,
        day=desk.today(),
        now=desk.now(),
        reference_contract=contract,
        why=why,
    )


def _close(tx: Connection, desk: Desk, instrument: str, *, contract: int, position: int) -> bool:
    """Close the priced contract for the strategies that hold the instrument on the same side, with one order for all of them."""
    positions = positions_by_strategy(tx, desk.account)
    holders = {name: held for (name, code), held in positions.items() if code == instrument}
    shares, _ = share_out(holders, position)
    orders = {
        add_instrument_order(
            tx,
            account=desk.account,
            strategy=strategy,
            instrument=instrument,
            quantity=-share,
            order_type=OrderType.MARKET,
            day=desk.today(),
            now=desk.now(),
            reference_contract=contract,
            why=f"roll state {RollState.CLOSE}",
        ): -share
        for strategy, share in shares
    }
    if orders:
        leg = Leg(contract, sum(orders.values()))
        add_contract_order(tx, orders, legs=[leg], order_type=OrderType.MARKET, now=desk.now())
    return bool(orders)


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


# --- outright rolls, whose legs are two orders ---------------------------------------------------------------------------


def led_by(view: Connection, orders: Sequence[ContractOrder]) -> dict[int, int]:
    """How many contracts may be traded now of the orders that follow another one, by order: as many as were filled of that one, less their
    own fills."""
    followers = [order for order in orders if order.follows is not None]
    filled = filled_of(view, [order.follows for order in followers if order.follows is not None])
    return {order.id: max(filled.get(order.follows or 0, 0) - abs(order.legs[0].filled), 0) for order in followers}


def lagging_rolls(view: Connection, desk: Desk) -> dict[str, str]:
    """Outright rolls of which the second leg lags behind the first for longer than `LAG`, as sentences by instrument."""
    orders = {order.id: order for order in open_contract_orders(view, desk.account, following=True)}
    lagging = {}
    for number, behind in led_by(view, list(orders.values())).items():
        order = orders[number]
        last = newest_fill_time(view, order.follows or 0)
        if behind and last and desk.now() - last > LAG:
            label = contract_label(order.legs[0].contract)
            lagging[order.instrument] = (
                f"{behind} contracts are out of the old contract and not yet in {label} since {last:%H:%M} UTC"
            )
    return lagging
