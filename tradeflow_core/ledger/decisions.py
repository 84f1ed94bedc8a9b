"""Contracts and roll decisions: which contracts are followed, which is held, in which roll state an instrument is, and the
marks that are laid over its bars.

Roll events are never edited. A changed roll rule gives an instrument another history: it is appended as a new *generation* of events, and
the newest generation is in force, together with the marks of its rolls. Marks of a person count in every generation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

import pandas as pd
from sqlalchemy import ColumnElement, Connection, func, insert, or_, select, update

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.schema import contracts, price_marks, roll_events, roll_states

DEFAULT_ROLL_STATE = "No_Roll"
FX_CONTRACT = 0
"""The contract of a mark whose instrument is an FX code such as EURUSD."""


@dataclass(frozen=True, slots=True)
class RollEvent:
    """From `after` on (exclusive; None: from the beginning) these are the priced, forward and carry contract."""

    instrument: str
    after: datetime | None
    price_contract: int
    forward_contract: int
    carry_contract: int
    reason: str


def append_roll_events(tx: Connection, events: Iterable[RollEvent], now: datetime, who: str, why: str) -> None:
    """Record roll events of one or more instruments, in order of time. Raises StateError for one that is not later than the last recorded."""
    last: dict[str, RollEvent | None] = {}
    generations: dict[str, int] = {}
    rows = []
    for event in events:
        if event.instrument not in last:
            last[event.instrument] = current_roll(tx, event.instrument, required=False)
            generations[event.instrument] = max(_generation(tx, event.instrument), 1)
        before = last[event.instrument]
        if before is not None and (event.after is None or (before.after is not None and event.after <= before.after)):
            raise StateError(
                f"{event.instrument}: a roll after {event.after} is not later than the last one, after {before.after}"
            )
        last[event.instrument] = event
        rows.append(_event_row(event, generations[event.instrument], now, who, why))
    if rows:
        tx.execute(insert(roll_events), rows)


def replace_roll_events(tx: Connection, instrument: str, events: Sequence[RollEvent], now: datetime, who: str, why: str) -> int:
    """Put another history of rolls in force, as a new generation; returns its number. What was recorded before stays recorded.

    Raises StateError where there are no events, or they are not in order of time.
    """
    if not events:
        raise StateError(f"{instrument}: a history without any roll event is none; give at least one")
    for before, event in pairwise(events):
        if event.after is None or (before.after is not None and event.after <= before.after):
            raise StateError(f"{instrument}: a roll after {event.after} is not later than the one before it, after {before.after}")
    generation = _generation(tx, instrument) + 1
    tx.execute(insert(roll_events), [_event_row(event, generation, now, who, why) for event in events])
    return generation


def _event_row(event: RollEvent, generation: int, now: datetime, who: str, why: str) -> dict[str, object]:
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


def _generation(view: Connection, instrument: str) -> int:
    """Number of the generation of roll events in force; 0 where there is none."""
    highest = select(func.max(roll_events.c.generation)).where(roll_events.c.instrument == instrument)
    return view.execute(highest).scalar() or 0


def roll_events_of(view: Connection, instrument: str) -> pd.DataFrame:
    """The roll events in force of an instrument in order: after (`datetime64[us, UTC]`, NaT first), the three contracts (int64), reason."""
    columns = ["after", "price_contract", "forward_contract", "carry_contract", "reason"]
    rows = view.execute(
        select(*(roll_events.c[name] for name in columns))
        .where(roll_events.c.instrument == instrument, roll_events.c.generation == _generation(view, instrument))
        .order_by(roll_events.c.id)
    )
    frame = pd.DataFrame(rows.all(), columns=columns)
    return frame.assign(after=pd.to_datetime(frame["after"], utc=True).astype("datetime64[us, UTC]"))


def current_roll(view: Connection, instrument: str, required: bool = True) -> RollEvent | None:
    """The roll event in force. Raises StateError when there is none and one is required."""
    row = view.execute(
        select(roll_events).where(roll_events.c.instrument == instrument).order_by(roll_events.c.id.desc()).limit(1)
    ).first()
    if row is None:
        if required:
            raise StateError(
                f"{instrument}: no roll event is recorded, so no contract is held; seed its prices first (asset sampled_contracts)"
            )
        return None
    return RollEvent(row.instrument, row.after, row.price_contract, row.forward_contract, row.carry_contract, row.reason)


def current_rolls(view: Connection) -> dict[str, RollEvent]:
    """The roll event in force of every instrument that has one."""
    newest = select(func.max(roll_events.c.id)).group_by(roll_events.c.instrument)
    rows = view.execute(select(roll_events).where(roll_events.c.id.in_(newest)))
    return {
        r.instrument: RollEvent(r.instrument, r.after, r.price_contract, r.forward_contract, r.carry_contract, r.reason)
        for r in rows
    }


def set_roll_state(tx: Connection, instrument: str, state: str, now: datetime, who: str, why: str) -> bool:
    """Record a roll state; False if it is the present one already."""
    if roll_state(tx, instrument) == state:
        return False
    tx.execute(insert(roll_states).values(instrument=instrument, state=state, who=who, why=why, recorded_at=now))
    return True


def roll_state(view: Connection, instrument: str) -> str:
    """The present roll state; No_Roll where none was ever set."""
    row = view.execute(
        select(roll_states.c.state).where(roll_states.c.instrument == instrument).order_by(roll_states.c.id.desc()).limit(1)
    ).first()
    return DEFAULT_ROLL_STATE if row is None else row.state


def record_contract(tx: Connection, instrument: str, contract: int, expiry: date, sampling: bool, now: datetime) -> bool:
    """Add a contract, or update its expiry and sampling; True if anything changed. Contracts are never removed."""
    key = (contracts.c.instrument == instrument, contracts.c.contract == contract)
    row = tx.execute(select(contracts.c.expiry, contracts.c.sampling).where(*key)).first()
    if row is None:
        tx.execute(
            insert(contracts).values(instrument=instrument, contract=contract, expiry=expiry, sampling=sampling, recorded_at=now)
        )
    elif (row.expiry, row.sampling) != (expiry, sampling):
        tx.execute(update(contracts).where(*key).values(expiry=expiry, sampling=sampling, recorded_at=now))
    return row is None or (row.expiry, row.sampling) != (expiry, sampling)


def contracts_of(view: Connection, instrument: str) -> pd.DataFrame:
    """Contracts of an instrument, sorted: index contract, columns expiry (date) and sampling (bool)."""
    rows = view.execute(
        select(contracts.c.contract, contracts.c.expiry, contracts.c.sampling)
        .where(contracts.c.instrument == instrument)
        .order_by(contracts.c.contract)
    )
    return pd.DataFrame(rows.all(), columns=["contract", "expiry", "sampling"]).set_index("contract")


def record_mark(
    tx: Connection,
    instrument: str,
    contract: int,
    time: datetime,
    price: float | None,
    source: str,
    now: datetime,
    who: str,
    why: str,
) -> None:
    """Lay a price over the bar of `contract` at `time` (None: reject that bar). The newest mark of a time counts.

    `source`: `manual`, a person's word about a price, or `roll`, part of the newest roll. For a rate `instrument` is its code and `contract`
    `FX_CONTRACT`.
    """
    tx.execute(
        insert(price_marks).values(
            instrument=instrument,
            contract=contract,
            time=time,
            price=price,
            source=source,
            generation=_generation(tx, instrument) if source == "roll" else None,
            who=who,
            why=why,
            recorded_at=now,
        )
    )


def marks_of(view: Connection, instrument: str) -> pd.DataFrame:
    """Marks in force of an instrument, the newest for each contract and time: contract, time (UTC), price (NaN: rejected), source."""
    return _marks(view, instrument, price_marks.c.contract != FX_CONTRACT)


def rate_marks_of(view: Connection, code: str) -> pd.DataFrame:
    """Marks in force of the FX rate `code` (EURUSD): columns as of `marks_of`."""
    return _marks(view, code, price_marks.c.contract == FX_CONTRACT)


def _marks(view: Connection, instrument: str, which: ColumnElement[bool]) -> pd.DataFrame:
    columns = ["contract", "time", "price", "source"]
    rows = view.execute(
        select(*(price_marks.c[name] for name in columns))
        .where(
            price_marks.c.instrument == instrument,
            which,
            or_(price_marks.c.generation.is_(None), price_marks.c.generation == _generation(view, instrument)),
        )
        .order_by(price_marks.c.id)
    )
    frame = pd.DataFrame(rows.all(), columns=columns).drop_duplicates(["contract", "time"], keep="last")
    return frame.assign(
        time=pd.to_datetime(frame["time"], utc=True).astype("datetime64[us, UTC]"), price=frame["price"].astype("float64")
    )
