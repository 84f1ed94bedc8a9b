"""Executions by hand: trades that nobody reports are booked, wrong ones voided and corrected. Nothing is sent."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from tradeflow_core import capital
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.execution.mending import ByHand, Mended, mend, refuse_unbooked, trader
from tradeflow_core.ledger import (
    Booking,
    book_by_hand,
    book_fill,
    booked_fill,
    broker_order_named,
    complete_orders,
    hand_number,
)
from tradeflow_core.model import BrokerOrder, Fill, contract_label

TWICE = (
    "if the broker reports it later under a number of its own, it counts twice: give that number with --exec-id if you know it"
)


def balance_by_hand(
    desk: Desk,
    strategy: str,
    instrument: str,
    *,
    contract: int,
    quantity: int,
    price: float,
    time: datetime | None = None,
    commission: Decimal | None = None,
    by: ByHand,
) -> Mended:
    """Book a trade that was made elsewhere for a strategy. `time` (UTC): of the trade, default now.

    Raises StateError, unless it is by force, where positions agree with the broker's now and would not then, or where the broker reports
    executions of the instrument that are not booked.
    """
    name, traded = trader(desk, strategy), desk.instrument(instrument)
    desk.broker.contract(traded.code, contract)
    if not quantity:
        raise ConfigError("a trade of 0 contracts changes nothing")
    if not by.force:
        refuse_unbooked(desk, [traded.code])

    def book(tx: Connection) -> str:
        return book_by_hand(
            tx,
            account=desk.account,
            strategy=name,
            instrument=traded.code,
            contract=contract,
            quantity=quantity,
            price=price,
            currency=traded.currency,
            time=time or desk.now(),
            now=desk.now(),
            commission=commission,
            who=by.who,
            why=by.why,
        )

    about = f"book a trade of {name}: {quantity:+d} {traded.code} {contract_label(contract)} at {price:g}"
    return mend(desk, [traded.code], by, about=about, act=book, broker=desk.broker.positions(desk.account))


def fill_by_hand(
    desk: Desk,
    reference: str,
    *,
    quantity: int,
    price: float,
    contract: int | None = None,
    exec_id: str | None = None,
    by: ByHand,
) -> Mended:
    """Book an execution of a broker order that the broker does not report. `exec_id`: the broker's number of it.

    Raises StateError, unless it is by force, where positions agree with the broker's, or where it reports executions that are not booked; and
    ImpossibleFill where the order does not have such a trade.
    """
    with desk.ledger.read() as view:
        order = broker_order_named(view, reference)
        if exec_id is not None:
            _refuse_booked(view, desk, exec_id)
    if order is None:
        raise StateError(f"no order was sent with the reference {reference}; `tradeflow orders show` shows those of an order")
    leg = _only_contract(order) if contract is None else contract
    if not quantity:
        raise ConfigError("a fill of 0 contracts changes nothing; `tradeflow orders void` takes an execution back")
    if not by.force:
        refuse_unbooked(desk, [order.instrument])
    warnings = [] if exec_id else [TWICE]

    def book(tx: Connection) -> str:
        currency = desk.instrument(order.instrument).currency
        fill = Fill(
            exec_id or hand_number(),
            reference,
            desk.account,
            order.instrument,
            leg,
            quantity,
            price,
            desk.now(),
            None,
            currency,
            broker_id=order.broker_id or "",
        )
        if book_fill(tx, fill, desk.now(), who=by.who, why=by.why) is Booking.OVERFILL:
            warnings.append(f"the order {reference} is now filled with more than was ordered")
        complete_orders(tx, desk.now())
        return fill.exec_id

    about = f"book a fill of {reference}: {quantity:+d} {order.instrument} {contract_label(leg)} at {price:g}"
    held = desk.broker.positions(desk.account)
    return mend(desk, [order.instrument], by, about=about, act=book, broker=held, warnings=warnings)


def void_by_hand(desk: Desk, exec_id: str, *, number: str | None = None, by: ByHand) -> Mended:
    """Take an execution back, from its orders and positions. `number`: the broker's own of that.

    Raises StateError where it is not booked or was taken back already, and, unless it is by force, where positions agree with the broker's now.
    """
    return _replace(desk, exec_id, quantity=0, price=None, number=number, by=by)


def correct_by_hand(
    desk: Desk,
    exec_id: str,
    *,
    quantity: int | None = None,
    price: float | None = None,
    number: str | None = None,
    by: ByHand,
) -> Mended:
    """Book an execution anew with another quantity or price, in the place of the former. `number`: the broker's own of the correction.

    Raises StateError as `void_by_hand`.
    """
    if quantity is None and price is None:
        raise ConfigError("say what is right: --quantity, --price, or both")
    if quantity == 0:
        raise ConfigError("`tradeflow orders void` takes an execution back")
    return _replace(desk, exec_id, quantity=quantity, price=price, number=number, by=by)


def _replace(desk: Desk, exec_id: str, *, quantity: int | None, price: float | None, number: str | None, by: ByHand) -> Mended:
    with desk.ledger.read() as view:
        former = booked_fill(view, desk.account, exec_id)
        if number is not None:
            _refuse_booked(view, desk, number)
    if former is None:
        raise StateError(f"execution {exec_id} is not booked; `tradeflow orders show` shows those of an order")
    if former.replaced_by or not former.quantity:
        raise StateError(f"execution {exec_id} does not stand any more; {former.replaced_by or 'it'} is in its place")
    size = former.quantity if quantity is None else quantity
    fill = Fill(
        number or hand_number(),
        "",
        desk.account,
        former.instrument,
        former.contract,
        size,
        former.price if price is None else price,
        desk.now(),
        former.commission if size else None,
        former.currency,
        replaces=exec_id,
    )

    def book(tx: Connection) -> str:
        if book_fill(tx, fill, desk.now(), who=by.who, why=by.why) is Booking.NONE:
            raise StateError(f"execution {fill.exec_id} was booked meanwhile; look again with `tradeflow orders show`")
        complete_orders(tx, desk.now())
        return fill.exec_id

    was = f"{former.quantity:+d} {former.instrument} {contract_label(former.contract)} at {former.price:g}"
    about = f"{'correct' if size else 'void'} execution {exec_id}, {was}{f', to {size:+d} at {fill.price:g}' if size else ''}"
    return mend(desk, [former.instrument], by, about=about, act=book, broker=desk.broker.positions(desk.account))


def _refuse_booked(view: Connection, desk: Desk, exec_id: str) -> None:
    if booked_fill(view, desk.account, exec_id) is not None:
        raise StateError(f"execution {exec_id} is booked already")


def _only_contract(order: BrokerOrder) -> int:
    if len(order.legs) == 1:
        return order.legs[0].contract
    named = ", ".join(contract_label(leg.contract) for leg in order.legs)
    raise ConfigError(f"{order.client_ref} has the legs {named}; say which with --contract")


def parse_time(desk: Desk, word: str) -> datetime:
    """A time such as `2024-01-31T14:30`, in the zone of the desk unless it names another (UTC). Raises ConfigError for anything else, and for
    one that has not come yet."""
    instant = capital.parse_when(desk, word)
    if not isinstance(instant, datetime):
        raise ConfigError(f"{word} is a day; give the time of the trade too, such as {word}T14:30")
    if instant > desk.now():
        raise ConfigError(f"{word} has not come yet; give the time of the trade")
    return instant
