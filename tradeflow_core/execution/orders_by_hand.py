"""Orders by hand: they are cancelled, made, and tried again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import Connection

from tradeflow_core.brokers import BrokerUnavailable, NoQuote, UnknownContract
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.execution.fills import poll_orders, request_cancel
from tradeflow_core.execution.mending import ByHand, Mended, listed, mend, trader
from tradeflow_core.execution.session import session_if_free
from tradeflow_core.execution.spawn import legs_now
from tradeflow_core.home import next_business_day
from tradeflow_core.ledger import (
    add_contract_order,
    add_instrument_order,
    broker_orders_below,
    cancel_instrument_order,
    contract_orders_below,
    current_roll,
    instrument_order,
    instruments_locked_by,
    rejections,
    retry_contract_order,
    roll_states_now,
)
from tradeflow_core.model import (
    BrokerOrder,
    InstrumentOrder,
    Leg,
    LockOwner,
    OrderStatus,
    OrderType,
    contract_label,
    parse_contract,
)
from tradeflow_core.orders import Allowance, allowed_now, standing_at_work


def cancel_by_hand(desk: Desk, order: int, by: ByHand) -> Mended:
    """Cancel an instrument order: it is closed at once, and what works for it at the broker is cancelled there.

    The running stack handler does the latter, or, where none runs, this does. Raises StateError where the order is not open.
    """
    with desk.ledger.read() as view:
        found = _require_order(view, desk, order)
        at_work = _at_work(view, order)

    def cancel(tx: Connection) -> str:
        cancel_instrument_order(tx, order, now=desk.now(), who=by.who, why=by.why)
        return str(order)

    mended = mend(desk, (), by, about=f"cancel {_words(found)}", act=cancel)
    references = ", ".join(each.client_ref for each in at_work)
    if not at_work:
        notes = ("nothing of it is at work at the broker",)
    elif by.dry_run:
        notes = (f"at work at the broker, and to be cancelled there: {references}",)
    else:
        notes = (_cancel_at_broker(desk, order, by),)
    return replace(mended, notes=notes)


def _cancel_at_broker(desk: Desk, order: int, by: ByHand) -> str:
    with desk.ledger.read() as view:
        at_work = _at_work(view, order)
    references = ", ".join(each.client_ref for each in at_work)
    try:
        with session_if_free(desk) as session:
            if session is None:
                return f"the stack handler that is at work cancels {references} at the broker with its next pass"
            for each in at_work:
                request_cancel(desk, each, now=desk.now(), who=by.who, why=by.why)
            poll_orders(desk)
    except BrokerUnavailable as error:
        return f"the broker does not answer ({error}): {references} may still fill; the next stack handler cancels them"
    with desk.ledger.read() as view:
        left = [each.client_ref for each in _at_work(view, order)]
    if left:
        return f"the broker has not confirmed yet that {', '.join(left)} is cancelled; the next stack handler asks again"
    return f"no stack handler is at work, so this command had {references} cancelled at the broker"


def retry_by_hand(desk: Desk, order: int, by: ByHand) -> Mended:
    """Have the rejected contract orders of an instrument order tried again at once. Raises StateError where none was rejected."""
    with desk.ledger.read() as view:
        found = _require_order(view, desk, order)
        below = [each.id for each in contract_orders_below(view, order) if each.status is OrderStatus.OPEN]
        rejected = rejections(view, below)
        locked = found.instrument in instruments_locked_by(view, LockOwner.EXECUTION)
    if not rejected:
        raise StateError(
            f"no open contract order of order {order} was rejected; `tradeflow orders show {order}` shows what holds it back"
        )

    def again(tx: Connection) -> str:
        for each in rejected:
            retry_contract_order(tx, each, now=desk.now(), who=by.who, why=by.why)
        return ""

    reasons = "; ".join(f"rejected {each.count} times: {each.reason}" for each in rejected.values())
    mended = mend(desk, [found.instrument], by, about=f"try {_words(found)} again ({reasons})", act=again)
    unlock = f'its lock holds the order back; lift it: tradeflow locks unlock {found.instrument} --owner execution --why "..."'
    return replace(mended, notes=(*mended.notes, unlock) if locked else mended.notes)


def parse_spread(text: str) -> tuple[Leg, ...]:
    """The legs of `202403:-5,202406:5`. Raises ConfigError for anything else, DataError for a contract that cannot be."""
    legs = []
    for part in text.split(","):
        contract, _, quantity = part.partition(":")
        try:
            legs.append(Leg(parse_contract(contract), int(quantity)))
        except ValueError as error:
            raise ConfigError(f"{part!r} is no leg ({error}); write contract and quantity, such as 202403:-5,202406:5") from error
    if len({leg.contract for leg in legs}) != 2 or len(legs) != 2 or not all(leg.quantity for leg in legs):
        raise ConfigError(f"{text!r} is no spread; write two legs in two contracts, such as 202403:-5,202406:5")
    return tuple(legs)


def order_by_hand(
    desk: Desk,
    strategy: str,
    instrument: str,
    *,
    quantity: int,
    contract: int | None = None,
    spread: Sequence[Leg] = (),
    limit: float | None = None,
    by: ByHand,
) -> Mended:
    """Put an instrument order on the stack, and its contract order where `contract` or the legs of a `spread` are named.

    The stack handler works it within all limits. Raises StateError, unless it is by force, where these let nothing of it through now.
    """
    name, code = trader(desk, strategy), desk.instrument(instrument).code
    if contract is not None and spread:
        raise ConfigError("give --contract or --spread, not both")
    if not quantity and not spread:
        raise ConfigError("an order of 0 contracts trades nothing; give a quantity, or the legs of a spread")
    legs = list(spread) or ([Leg(listed(desk, code, contract), quantity)] if contract is not None else [])
    for leg in spread:
        listed(desk, code, leg.contract)
    warnings = _leg_warnings(spread, quantity)
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    day, reference = _session_day(desk), _reference(desk, code, legs)

    def make(tx: Connection) -> str:
        planned = legs or [Leg(reference.contract, quantity)]
        allowed = _allowed(tx, desk, name, instrument=code, legs=planned, is_spawned=bool(legs))
        through = "/".join(f"{part:+d}" for part in allowed.quantities) if any(allowed.quantities) else ""
        if not through and not by.force:
            raise StateError(f"nothing of it may be traded now: {allowed.why}. With --force the order waits until it may")
        if allowed.why:
            warnings.append(f"{f'only {through}' if through else 'nothing'} of it may be traded now: {allowed.why}")
        order = add_instrument_order(
            tx,
            account=desk.account,
            strategy=name,
            instrument=code,
            quantity=quantity,
            order_type=kind,
            limit_price=limit,
            reference_contract=reference.contract if reference.time else None,
            reference_price=reference.price,
            reference_time=reference.time,
            day=day,
            now=desk.now(),
            who=by.who,
            why=by.why,
        )
        if legs:
            add_contract_order(tx, order, legs=legs, order_type=kind, limit_price=limit, now=desk.now(), who=by.who, why=by.why)
        return str(order)

    what = " ".join(f"{leg.quantity:+d} of {contract_label(leg.contract)}" for leg in legs) or f"{quantity:+d}"
    about = f"order of {name} for {day}: {code} {what}{'' if limit is None else f' at {limit:g} or better'}"
    mended = mend(desk, (), by, about=about, act=make, warnings=warnings)
    note = f"it is order {mended.number}: the stack handler works it with its next pass, or with the next session; it ends with the day"
    return replace(mended, notes=(note,)) if mended.done else mended


@dataclass(frozen=True, slots=True)
class _Reference:
    """What an order was decided on: the mid price of a contract now; neither price nor time where there is none."""

    contract: int
    price: float | None = None
    time: datetime | None = None


def _reference(desk: Desk, instrument: str, legs: Sequence[Leg]) -> _Reference:
    with desk.ledger.read() as view:
        contract = min(leg.contract for leg in legs) if legs else current_roll(view, instrument).price_contract
    try:
        quote = desk.broker.quote(instrument, contract)
    except (NoQuote, UnknownContract, BrokerUnavailable):
        return _Reference(contract)
    return _Reference(contract, quote.mid, quote.time)


def _session_day(desk: Desk) -> date:
    """The business day whose session works an order that is made now."""
    day = desk.business_day()
    return day if desk.now() < desk.home.at(day, desk.settings.day.session_end) else next_business_day(day)


def _allowed(tx: Connection, desk: Desk, strategy: str, *, instrument: str, legs: Sequence[Leg], is_spawned: bool) -> Allowance:
    """What roll and controls leave of an order now."""
    if not is_spawned and not legs_now(tx, desk, instrument, trade=legs[0].quantity):
        state = roll_states_now(tx).get(instrument)
        return Allowance((0,), f"its roll is in the state {state}; --contract names the contract to trade")
    standing = standing_at_work(tx, desk, strategy, instrument=instrument)
    return allowed_now(standing, strategy, legs, sizes=[abs(leg.quantity) for leg in legs])


def _leg_warnings(spread: Sequence[Leg], quantity: int) -> list[str]:
    total = sum(leg.quantity for leg in spread)
    if not spread or total == quantity:
        return []
    return [f"the legs add up to {total}, the order says {quantity}: it does not say what its fills do to the position"]


def _require_order(view: Connection, desk: Desk, order: int) -> InstrumentOrder:
    found = instrument_order(view, desk.account, order)
    if found is None:
        raise StateError(f"there is no order {order}; `tradeflow orders list --all` lists them")
    return found


def _at_work(view: Connection, order: int) -> list[BrokerOrder]:
    below = [each for contract in contract_orders_below(view, order) for each in broker_orders_below(view, contract.id)]
    return [each for each in below if each.status.is_live]


def _words(order: InstrumentOrder) -> str:
    return f"order {order.id} of {order.strategy}: {order.quantity:+d} {order.instrument}, {order.filled} filled"
