"""What the changes of positions by a person share: what they do is worked out, checked against the broker and shown, then written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from tradeflow_core import prices
from tradeflow_core.brokers import BrokerUnavailable, NoQuote, UnknownContract
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.execution.fills import unbooked_executions
from tradeflow_core.execution.outside import release_assigned
from tradeflow_core.execution.reconciliation import reconcile
from tradeflow_core.ledger import find_roll, locked_instruments, positions_by_contract, positions_by_strategy
from tradeflow_core.model import ROLLS, UNASSIGNED, contract_label, nearest
from tradeflow_core.orders import require_reason, trial


@dataclass(frozen=True, slots=True)
class ByHand:
    """Who makes a change and why, as the ledger keeps it. `dry_run`: it is only tried; `force`: although something speaks against it."""

    who: str
    why: str
    dry_run: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class PositionChange:
    """What a change does to one position of `instrument`: that of an owner, or of a contract (`whose`). `broker`: what the broker holds,
    None where it was not asked."""

    instrument: str
    whose: str
    before: int
    after: int
    broker: int | None = None


@dataclass(frozen=True, slots=True)
class Mended:
    """What a change by a person did, or would do. `number`: of what it booked or made; `notes`: what came of it."""

    about: str
    positions: tuple[PositionChange, ...] = ()
    number: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    done: bool = False


def mend(
    desk: Desk,
    instruments: Sequence[str],
    by: ByHand,
    *,
    about: str,
    act: Callable[[Connection], str],
    broker: Mapping[tuple[str, int], int] | None = None,
    warnings: Sequence[str] = (),
) -> Mended:
    """Do `act`, which returns the number of what it booked, in one transaction, and tell what it does to positions.

    `broker`: the broker's positions, where contracts change; positions are then compared once more. Raises ConfigError without a reason, and
    StateError, unless it is by force, where a contract would differ from the broker's that agrees now.
    """
    require_reason(by.why)
    with desk.ledger.read() as view:
        locked = locked_instruments(view)
    with trial(desk, dry_run=by.dry_run) as tx:
        before = _positions(tx, desk, instruments)
        number = act(tx)
        after = _positions(tx, desk, instruments)
        changes = tuple(_changes(before, after, broker))
        if broker is not None and not by.force:
            _refuse_breaks(changes)
        release_assigned(tx, desk)
        still_locked = locked_instruments(tx)
    if broker is not None and not by.dry_run:
        warnings = [*warnings, *_compared(desk)]
        with desk.ledger.read() as view:
            still_locked = locked_instruments(view)
    verb = "would be" if by.dry_run else "is"
    notes = [f"booked as {number}"] if number and not by.dry_run else []
    notes += [f"the lock of {name} {verb} lifted ({why})" for name, why in locked.items() if name not in still_locked]
    notes += [
        f"{name} {'stays' if name in locked else 'is now'} locked: {still_locked[name]}"
        for name in instruments
        if name in still_locked
    ]
    return Mended(about, changes, number, tuple(notes), tuple(warnings), done=not by.dry_run)


def known_strategy(desk: Desk, strategy: str) -> str:
    """The strategy, which has to be in the settings. Raises ConfigError."""
    if strategy not in desk.settings.strategies:
        names = desk.settings.strategies
        raise ConfigError(f"no strategy {strategy!r} in this home{nearest(strategy, names)}; it has {', '.join(names)}")
    return strategy


def trader(desk: Desk, strategy: str) -> str:
    """The strategy, which has to be in the settings, or to hold something since it was. Raises ConfigError."""
    with desk.ledger.read() as view:
        holders = {owner for owner, _ in positions_by_strategy(view, desk.account)} - {ROLLS, *UNASSIGNED}
    return strategy if strategy in holders else known_strategy(desk, strategy)


def listed(desk: Desk, instrument: str, contract: int) -> int:
    """The contract, which the broker has to list. Raises UnknownContract, StateError for an expired one."""
    expiry = desk.broker.contract(instrument, contract).expiry
    if expiry < desk.today():
        raise StateError(f"{instrument} {contract_label(contract)} expired on {expiry}; name another contract")
    return contract


def refuse_unbooked(desk: Desk, instruments: Collection[str]) -> None:
    """Raise StateError where the broker reports executions of these instruments that are not booked: by hand they would count twice."""
    unbooked = [fill for fill in unbooked_executions(desk) if fill.instrument in instruments] if instruments else []
    if unbooked:
        named = ", ".join(
            f"{fill.exec_id} ({fill.quantity} {fill.instrument} {contract_label(fill.contract)})" for fill in unbooked
        )
        raise StateError(
            f"the broker reports executions that are not booked: {named}; booked by hand they would count twice. "
            "`tradeflow reconcile` books them; --force only if it cannot"
        )


def price_or_last(desk: Desk, instrument: str, price: float | None, *, contract: int | None = None) -> float:
    """The price, or the newest one of the contract (None: of the priced one). Raises StateError where there is none."""
    if price is not None:
        return price
    if contract is None:
        with desk.ledger.read() as view:
            roll = find_roll(view, instrument)
        if roll is None:
            raise StateError(f"{instrument} has no priced contract yet, so no last price; give it with --price")
        contract = roll.price_contract
    if (last := _last_price(desk, instrument, contract)) is not None:
        return last
    raise StateError(f"{instrument} {contract_label(contract)} has no price; give it with --price")


def _last_price(desk: Desk, instrument: str, contract: int) -> float | None:
    if desk.store.exists("contract_prices", instrument):
        table = prices.contract_prices(desk, instrument)
        of_contract = table.loc[table["contract"] == contract, "price"].dropna()
        if len(of_contract):
            return float(of_contract.iloc[-1])
    try:
        return desk.broker.quote(instrument, contract).mid
    except (NoQuote, UnknownContract, BrokerUnavailable):
        return None


_Positions = dict[tuple[str, str | int], int]
"""Contracts by (instrument, owner) and by (instrument, contract)."""


def _positions(view: Connection, desk: Desk, instruments: Sequence[str]) -> _Positions:
    found: _Positions = {(name, owner): held for (owner, name), held in positions_by_strategy(view, desk.account).items()}
    found.update({key: held for key, held in positions_by_contract(view, desk.account).items()})
    return {key: held for key, held in found.items() if key[0] in instruments}


def _changes(before: _Positions, after: _Positions, broker: Mapping[tuple[str, int], int] | None) -> Iterator[PositionChange]:
    for key in sorted(before.keys() | after.keys(), key=str):
        old, new = before.get(key, 0), after.get(key, 0)
        if old == new:
            continue
        name, whose = key
        if isinstance(whose, str):
            yield PositionChange(name, whose, old, new)
        else:
            there = None if broker is None else broker.get((name, whose), 0)
            yield PositionChange(name, contract_label(whose), old, new, there)


def _refuse_breaks(changes: Sequence[PositionChange]) -> None:
    opened = [each for each in changes if each.before == each.broker != each.after]
    if opened:
        where = "; ".join(
            f"{each.instrument} {each.whose} is {each.before} here and at the broker, and would be {each.after} here"
            for each in opened
        )
        raise StateError(f"positions agree with the broker's now, and would not then: {where}. Add --force if you are sure")


def _compared(desk: Desk) -> list[str]:
    """Compare positions with the broker's, which locks and lifts locks; returns what the person should know."""
    try:
        reconcile(desk)
    except BrokerUnavailable as error:
        return [f"the broker does not answer ({error}); the next comparison sets and lifts its locks"]
    return []
