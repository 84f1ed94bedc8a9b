"""Positions by hand: they are moved between strategies, what was traded elsewhere is assigned, and the broker's are taken over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.execution.mending import ByHand, Mended, known_strategy, mend, price_or_last, refuse_unbooked
from tradeflow_core.execution.reconciliation import position_breaks
from tradeflow_core.ledger import (
    book_by_hand,
    live_broker_orders,
    open_instrument_orders,
    positions_by_contract,
    positions_by_strategy,
    transfer,
    untold_broker_orders,
)
from tradeflow_core.model import OUTSIDE, UNASSIGNED, BrokerOrderStatus, nearest

PROOF = timedelta(seconds=30)
"""How far apart the two answers are that prove the broker's positions, where time is real."""


# --- between owners ------------------------------------------------------------------------------------------------------


def transfer_by_hand(
    desk: Desk,
    instrument: str,
    quantity: int,
    *,
    giver: str,
    taker: str,
    price: float | None = None,
    by: ByHand,
) -> Mended:
    """Move `quantity` (signed contracts) of an instrument from one owner to a strategy at `price` (None: the last of the priced contract).

    The giver may be a strategy that is no longer in the settings. Raises StateError where the giver does not hold that much.
    """
    known_strategy(desk, taker)
    with desk.ledger.read() as view:
        _require_held(_held_by(view, desk, instrument), giver, instrument, quantity=quantity)
        warnings = _open_orders(view, desk, instrument, owners=(giver, taker))
    price = price_or_last(desk, instrument, price)
    about = f"{quantity} {instrument} from {giver} to {taker} at {price:g}"

    def move(tx: Connection) -> str:
        _require_held(_held_by(tx, desk, instrument), giver, instrument, quantity=quantity)
        _transfer(tx, desk, instrument=instrument, owners=(giver, taker), quantity=quantity, price=price, by=by)
        return ""

    return mend(desk, [instrument], by, about=about, act=move, warnings=warnings)


def assign_by_hand(
    desk: Desk,
    instrument: str,
    *,
    taker: str,
    quantity: int | None = None,
    price: float | None = None,
    by: ByHand,
) -> Mended:
    """Give a strategy what was traded elsewhere, or `quantity` (signed) of it. Once all is assigned, the lock of such trades is lifted.

    Raises StateError where nothing of the instrument waits to be assigned, or not that much.
    """
    known_strategy(desk, taker)
    with desk.ledger.read() as view:
        warnings = _open_orders(view, desk, instrument, owners=(taker,))
        _parts(view, desk, instrument, quantity=quantity)
    price = price_or_last(desk, instrument, price)

    def give(tx: Connection) -> str:
        for owner, part in _parts(tx, desk, instrument, quantity=quantity).items():
            _transfer(tx, desk, instrument=instrument, owners=(owner, taker), quantity=part, price=price, by=by)
        return ""

    what = "what was traded elsewhere" if quantity is None else f"{quantity} that were traded elsewhere"
    about = f"{instrument}: {what} to {taker} at {price:g}"
    return mend(desk, [instrument], by, about=about, act=give, warnings=warnings)


def _transfer(
    tx: Connection, desk: Desk, *, instrument: str, owners: tuple[str, str], quantity: int, price: float, by: ByHand
) -> None:
    now = desk.now()
    giver, taker = owners
    transfer(
        tx,
        account=desk.account,
        instrument=instrument,
        giver=giver,
        taker=taker,
        quantity=quantity,
        price=price,
        time=now,
        now=now,
        who=by.who,
        why=by.why,
    )


def _held_by(view: Connection, desk: Desk, instrument: str) -> dict[str, int]:
    """Contracts of an instrument by owner."""
    return {owner: held for (owner, name), held in positions_by_strategy(view, desk.account).items() if name == instrument}


def _require_held(held: dict[str, int], owner: str, instrument: str, *, quantity: int) -> None:
    has = held.get(owner, 0)
    if not quantity or has * quantity < 0 or abs(quantity) > abs(has):
        others = ", ".join(f"{name} {size}" for name, size in sorted(held.items())) or "nobody"
        raise StateError(
            f"{owner}{nearest(owner, held)} holds {has} {instrument} and cannot give {quantity}; {instrument} is held by: {others}"
        )


def _parts(view: Connection, desk: Desk, instrument: str, *, quantity: int | None) -> dict[str, int]:
    """How much to take from each owner that is no strategy. Raises StateError where they do not hold it."""
    held = {owner: size for owner, size in _held_by(view, desk, instrument).items() if owner in UNASSIGNED}
    if not held:
        raise StateError(f"nothing of {instrument} waits to be assigned; `tradeflow positions` shows what does")
    if quantity is None:
        return held
    parts: dict[str, int] = {}
    left = quantity
    for owner, size in sorted(held.items()):
        if size * left > 0:
            parts[owner] = size if abs(size) <= abs(left) else left
            left -= parts[owner]
    if left or not quantity:
        waits = ", ".join(f"{size} of {owner}" for owner, size in sorted(held.items()))
        raise StateError(f"{quantity} {instrument} cannot be assigned; there are {waits}")
    return parts


def _open_orders(view: Connection, desk: Desk, instrument: str, *, owners: Sequence[str]) -> list[str]:
    orders = [
        order
        for order in open_instrument_orders(view, desk.account)
        if order.instrument == instrument and order.strategy in owners
    ]
    return [
        f"order {order.id} of {order.strategy} ({order.quantity} {instrument}) is open and was made before this; "
        f"`tradeflow orders cancel {order.id}` ends it"
        for order in orders
    ]


# --- the broker's positions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Adopted:
    """A contract in which ledger and broker differ: what both hold, and at which price the difference is booked."""

    instrument: str
    contract: int
    ledger: int
    broker: int
    price: float

    @property
    def quantity(self) -> int:
        """What is booked."""
        return self.broker - self.ledger


@dataclass(frozen=True, slots=True)
class Adoption:
    """What would be booked for `owner`, on the broker's `answer` of the time `asked_at` (UTC)."""

    owner: str
    rows: tuple[Adopted, ...]
    answer: dict[tuple[str, int], int]
    asked_at: datetime


def plan_adoption(desk: Desk, instrument: str | None = None, *, owner: str | None = None, force: bool = False) -> Adoption:
    """What has to be booked so that the positions of the ledger are the broker's, of one instrument or (None) of all; nothing is written.

    `owner`: the strategy for which it is booked, default `OUTSIDE`. Raises StateError while orders of such an instrument are at work or
    unknown, and, unless `force`, where the broker reports executions of it that are not booked; BrokerUnavailable.
    """
    name = OUTSIDE if owner is None else known_strategy(desk, owner)
    code = None if instrument is None else desk.instrument(instrument).code
    asked_at, answer = desk.now(), desk.broker.positions(desk.account)
    breaks = [each for each in position_breaks(desk) if code in (None, each.instrument)]
    _refuse_unsettled(desk, {each.instrument for each in breaks}, force=force)
    rows = tuple(
        Adopted(
            desk.instrument(each.instrument).code,
            each.contract,
            each.ledger,
            each.broker,
            price_or_last(desk, each.instrument, None, contract=each.contract),
        )
        for each in breaks
    )
    return Adoption(name, rows, answer, asked_at)


def adopt_positions(desk: Desk, plan: Adoption, by: ByHand) -> Mended:
    """Book what the plan says, if the broker gives the same answer once more. Then positions are compared, which lifts the locks of that.

    Where time is real, the two answers are `PROOF` apart. Raises StateError where the broker answers otherwise now, or where the ledger has
    changed meanwhile.
    """
    wait = (plan.asked_at + PROOF - desk.now()).total_seconds()
    if desk.settings.time_is_real and not by.dry_run and wait > 0:
        desk.clock.wait(wait)
    answer = desk.broker.positions(desk.account)
    if answer != plan.answer:
        raise StateError("the broker's two answers differ, so neither is proven; nothing was booked, do it again in a minute")
    instruments = sorted({row.instrument for row in plan.rows})
    _refuse_unsettled(desk, set(instruments), force=True)

    def book(tx: Connection) -> str:
        held = positions_by_contract(tx, desk.account)
        if any(held.get((row.instrument, row.contract), 0) != row.ledger for row in plan.rows):
            raise StateError("positions here have changed meanwhile; nothing was booked, look again")
        now = desk.now()
        numbers = [
            book_by_hand(
                tx,
                account=desk.account,
                strategy=plan.owner,
                instrument=row.instrument,
                contract=row.contract,
                quantity=row.quantity,
                price=row.price,
                currency=desk.instrument(row.instrument).currency,
                time=now,
                now=now,
                who=by.who,
                why=by.why,
            )
            for row in plan.rows
        ]
        return ", ".join(numbers)

    about = f"take over the broker's positions: {len(plan.rows)} differences, booked for {plan.owner}"
    return mend(desk, instruments, by, about=about, act=book, broker=answer)


def _refuse_unsettled(desk: Desk, instruments: set[str], *, force: bool) -> None:
    with desk.ledger.read() as view:
        at_work = [order for order in live_broker_orders(view, desk.account) if order.instrument in instruments]
        untold = untold_broker_orders(view, desk.account, instruments)
    if at_work:
        named = ", ".join(f"{order.client_ref} ({order.instrument}, {order.status})" for order in at_work)
        unknown = any(order.status is BrokerOrderStatus.UNKNOWN for order in at_work)
        end = (
            "settle it with `tradeflow orders settle`, or book its fill with `tradeflow orders fill`"
            if unknown
            else "cancel it with `tradeflow orders cancel`, or wait for its end"
        )
        raise StateError(f"orders are at work that may still fill: {named}; {end}, then adopt")
    if untold and not force:
        named = ", ".join(f"{order.client_ref} ({order.instrument})" for order in untold)
        raise StateError(
            f"the broker calls orders filled of which it has not told all executions: {named}; adopted now, they would count twice once it "
            "does. Wait for them, or book them with `tradeflow orders fill`; --force if that is not what differs"
        )
    if not force:
        refuse_unbooked(desk, instruments)
