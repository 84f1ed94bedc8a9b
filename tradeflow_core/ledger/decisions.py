"""Contracts and roll decisions: which contracts are sampled, which is priced, the roll state of an instrument, and the marks that
correct its bars on read.

Roll events are never edited. A changed roll rule gives an instrument another history: it is appended as a new *generation* of events, and
the newest generation is in force, together with the marks of its rolls. Manual marks count in every generation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.facts import append, append_all
from tradeflow_core.ledger.schema import contracts, price_marks, roll_events, roll_states
from tradeflow_core.model import RollEvent, RollState

FX_CONTRACT = 0
"""The contract of a mark whose instrument is an FX code such as EURUSD."""


# Queries that a price run makes for every instrument are built once: building one takes longer than running it.
OF_INSTRUMENT = roll_events.c.instrument == bindparam("of")
_GENERATION = select(func.max(roll_events.c.generation)).where(OF_INSTRUMENT)
GENERATION_IN_FORCE = _GENERATION.correlate(None).scalar_subquery()
_NEWEST_EVENT = select(roll_events).where(OF_INSTRUMENT).order_by(roll_events.c.id.desc()).limit(1)
_CONTRACTS = (
    select(contracts.c.contract, contracts.c.expiry, contracts.c.sampling)
    .where(contracts.c.instrument == bindparam("of"))
    .order_by(contracts.c.contract)
)


def append_roll_events(tx: Connection, events: Iterable[RollEvent], now: datetime, *, who: str, why: str) -> None:
    """Record roll events of one or more instruments, in order of time. Raises StateError for one that is not later than the last recorded."""
    last: dict[str, RollEvent | None] = {}
    generations: dict[str, int] = {}
    rows = []
    for event in events:
        if event.instrument not in last:
            last[event.instrument] = find_roll(tx, event.instrument)
            generations[event.instrument] = max(generation_of(tx, event.instrument), 1)
        before = last[event.instrument]
        if before is not None and (event.after is None or (before.after is not None and event.after <= before.after)):
            raise StateError(
                f"{event.instrument}: a roll after {event.after} is not later than the last one, after {before.after}"
            )
        last[event.instrument] = event
        rows.append(_event_row(event, generations[event.instrument], now, who=who, why=why))
    append_all(tx, roll_events, rows)


def replace_roll_events(
    tx: Connection, instrument: str, events: Sequence[RollEvent], *, now: datetime, who: str, why: str
) -> int:
    """Put another history of rolls in force, as a new generation; returns its number. Earlier generations stay recorded.

    Raises StateError where there are no events, or they are not in order of time.
    """
    if not events:
        raise StateError(f"{instrument}: a roll history needs at least one event; give one")
    for before, event in pairwise(events):
        if event.after is None or (before.after is not None and event.after <= before.after):
            raise StateError(
                f"{instrument}: a roll after {event.after} is not later than the one before it, after {before.after}"
            )
    generation = generation_of(tx, instrument) + 1
    append_all(tx, roll_events, [_event_row(event, generation, now, who=who, why=why) for event in events])
    return generation


def _event_row(event: RollEvent, generation: int, now: datetime, *, who: str, why: str) -> dict[str, object]:
    return {
        "instrument": event.instrument,
        "generation": generation,
        "after": event.after,
        "price_contract": int(event.price_contract),
        "forward_contract": int(event.forward_contract),
        "carry_contract": int(event.carry_contract),
        "reason": event.reason,
        "who": who,
        "why": why,
        "recorded_at": now,
    }


def generation_of(view: Connection, instrument: str) -> int:
    """Number of the generation of roll events in force; 0 where there is none."""
    return view.execute(_GENERATION, {"of": instrument}).scalar() or 0


def current_roll(view: Connection, instrument: str) -> RollEvent:
    """The roll event in force. Raises StateError where there is none."""
    event = find_roll(view, instrument)
    if event is None:
        raise StateError(
            f"{instrument}: no roll event is recorded, so no contract is held; seed its prices first (asset sampled_contracts)"
        )
    return event


def find_roll(view: Connection, instrument: str) -> RollEvent | None:
    """The roll event in force; None where there is none."""
    row = view.execute(_NEWEST_EVENT, {"of": instrument}).first()
    return None if row is None else _roll_event(row)


def _roll_event(row: Row[Any]) -> RollEvent:
    return RollEvent(row.instrument, row.after, row.price_contract, row.forward_contract, row.carry_contract, row.reason)


def current_rolls(view: Connection) -> dict[str, RollEvent]:
    """The roll event in force of every instrument that has one."""
    newest = select(func.max(roll_events.c.id)).group_by(roll_events.c.instrument)
    rows = view.execute(select(roll_events).where(roll_events.c.id.in_(newest)))
    return {row.instrument: _roll_event(row) for row in rows}


def rolls_recorded(view: Connection, who: str, *, since: datetime, until: datetime) -> int:
    """How many rolls `who` recorded in [since, until)."""
    recorded = (roll_events.c.recorded_at >= since, roll_events.c.recorded_at < until, roll_events.c.who == who)
    return view.execute(select(func.count()).select_from(roll_events).where(*recorded)).scalar_one()


def set_roll_state(tx: Connection, instrument: str, state: RollState, *, now: datetime, who: str, why: str) -> bool:
    """Record a roll state; False if it is the present one already."""
    if roll_state(tx, instrument) == state:
        return False
    append(tx, roll_states, instrument=instrument, state=state, who=who, why=why, recorded_at=now)
    return True


def roll_state(view: Connection, instrument: str) -> RollState:
    """The present roll state; No_Roll where none was ever set."""
    row = view.execute(
        select(roll_states.c.state).where(roll_states.c.instrument == instrument).order_by(roll_states.c.id.desc()).limit(1)
    ).first()
    return RollState.NO_ROLL if row is None else row.state


def roll_states_now(view: Connection) -> dict[str, RollState]:
    """The present roll state of every instrument for which one was ever set."""
    newest = select(func.max(roll_states.c.id)).group_by(roll_states.c.instrument)
    rows = view.execute(select(roll_states.c.instrument, roll_states.c.state).where(roll_states.c.id.in_(newest)))
    return {row.instrument: row.state for row in rows}


def record_contracts(tx: Connection, instrument: str, facts: Mapping[int, tuple[date, bool]], *, now: datetime) -> None:
    """Add contracts, or update their `facts`: expiry and sampling by contract. Contracts are never removed."""
    recorded = contract_facts(tx, instrument)
    rows = [
        {"instrument": instrument, "contract": contract, "expiry": expiry, "sampling": sampling, "recorded_at": now}
        for contract, (expiry, sampling) in facts.items()
        if recorded.get(contract) != (expiry, sampling)
    ]
    if new := [row for row in rows if row["contract"] not in recorded]:
        tx.execute(insert(contracts), new)
    key = (contracts.c.instrument == instrument, contracts.c.contract == bindparam("of"))
    if changed := [{"of": row["contract"], **row} for row in rows if row["contract"] in recorded]:
        tx.execute(update(contracts).where(*key), changed)


def contract_facts(view: Connection, instrument: str) -> dict[int, tuple[date, bool]]:
    """The contracts of an instrument in order, with the expiry and whether its prices are sampled."""
    return {contract: (expiry, sampling) for contract, expiry, sampling in view.execute(_CONTRACTS, {"of": instrument})}


def record_mark(
    tx: Connection,
    instrument: str,
    contract: int,
    *,
    time: datetime,
    price: float | None,
    source: str,
    now: datetime,
    who: str,
    why: str,
) -> None:
    """Record the price to read instead of the bar of `contract` at `time` (None: reject that bar). The newest mark of a time counts.

    `source`: `manual`, entered by a person, or `roll`, part of the newest roll. For an FX rate `instrument` is its code and `contract`
    `FX_CONTRACT`.
    """
    append(
        tx,
        price_marks,
        instrument=instrument,
        contract=contract,
        time=time,
        price=price,
        source=source,
        generation=generation_of(tx, instrument) if source == "roll" else None,
        who=who,
        why=why,
        recorded_at=now,
    )
