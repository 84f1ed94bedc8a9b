"""Contract orders from instrument orders: which contracts a trade uses, given the state of the roll."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.execution.isolation import Failures, collecting, lock_failures
from tradeflow_core.ledger import (
    add_contract_order,
    current_roll,
    has_open_instrument_orders,
    locked_instruments,
    open_contract_orders,
    open_instrument_orders,
    positions_by_contract,
    roll_states_now,
)
from tradeflow_core.model import InstrumentOrder, Leg, RollEvent, RollState


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


def legs_now(view: Connection, desk: Desk, instrument: str, *, trade: int) -> list[Leg]:
    """The contracts that a trade of an instrument would use now: a leg for each contract order; none while its roll forbids it."""
    return _Spawning.read(view, desk).legs(view, instrument, trade=trade)


def spawn_contract_orders(desk: Desk) -> int:
    """Make the contract orders of every new instrument order whose instrument is not locked, in one transaction; returns how many."""
    with desk.ledger.read() as view:
        if not has_open_instrument_orders(view, desk.account, unspawned=True):
            return 0
    failures: Failures = {}
    made = 0
    with desk.ledger.begin() as tx:
        spawning = _Spawning.read(tx, desk)
        for order in open_instrument_orders(tx, desk.account, unspawned=True):
            if order.instrument not in spawning.locked:
                with collecting(failures, order.instrument, "making its contract orders"):
                    made += spawning.spawn(tx, order)
    lock_failures(desk, failures)
    return made


@dataclass(frozen=True)
class _Spawning:
    """What the contract orders depend on, read once for all of them."""

    desk: Desk
    locked: Mapping[str, str]
    states: Mapping[str, RollState]
    held: Mapping[tuple[str, int], int]
    open_legs: dict[tuple[str, int], list[int]]
    """What remains of the legs of open orders, by (instrument, contract); those that are made meanwhile are added."""

    @classmethod
    def read(cls, view: Connection, desk: Desk) -> _Spawning:
        open_legs: dict[tuple[str, int], list[int]] = {}
        for order in open_contract_orders(view, desk.account):
            for leg in order.legs:
                open_legs.setdefault((order.instrument, leg.contract), []).append(leg.remaining)
        return cls(desk, locked_instruments(view), roll_states_now(view), positions_by_contract(view, desk.account), open_legs)

    def legs(self, view: Connection, instrument: str, *, trade: int) -> list[Leg]:
        roll = current_roll(view, instrument)
        state = self.states.get(instrument, RollState.NO_ROLL)
        return contract_trades(state, roll, self.left_to_trade(instrument, roll.price_contract), trade=trade)

    def spawn(self, tx: Connection, order: InstrumentOrder) -> int:
        legs = self.legs(tx, order.instrument, trade=order.quantity)
        for leg in legs:
            add_contract_order(
                tx,
                order.id,
                legs=[leg],
                order_type=order.order_type,
                limit_price=order.limit_price,
                now=self.desk.now(),
                reference_price=order.reference_price if leg.contract == order.reference_contract else None,
            )
            self.open_legs.setdefault((order.instrument, leg.contract), []).append(leg.quantity)
        return len(legs)

    def left_to_trade(self, instrument: str, contract: int) -> int:
        """Contracts held of one contract, less what open orders already reduce: two strategies must not reduce the same position twice.

        Orders that would add to the position do not count, since they may not be filled.
        """
        position = self.held.get((instrument, contract), 0)
        reducing = sum(left for left in self.open_legs.get((instrument, contract), ()) if left * position < 0)
        left = position + reducing
        return left if left * position > 0 else 0
