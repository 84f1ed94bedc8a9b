"""Contracts and roll decisions: which contracts are followed, which is held, in which roll state an instrument is, and the
marks that are laid over its bars.

Roll events are never edited. A changed roll rule gives an instrument another history: it is appended as a new *generation* of events, and
the newest generation is in force, together with the marks of its rolls. Marks of a person count in every generation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.schema import contracts, price_marks, roll_events, roll_states

DEFAULT_ROLL_STATE = "No_Roll"
FX_CONTRACT = 0
"""The contract of a mark whose instrument is an FX code such as EURUSD."""


EVENT_LABELS = ("price_contract", "forward_contract", "carry_contract")

# What is asked for every instrument of a price run, made once: to make a statement takes longer than to run it.
_of_instrument = roll_events.c.instrument == bindparam("of")
_GENERATION = select(func.max(roll_events.c.generation)).where(_of_instrument)
_NEWEST_EVENT = select(roll_events).where(_of_instrument).order_by(roll_events.c.id.desc()).limit(1)
_EVENTS = (
    select(roll_events.c.after, *(roll_events.c[name] for name in EVENT_LABELS), roll_events.c.reason)
    .where(_of_instrument, roll_events.c.generation == _GENERATION.correlate(None).scalar_subquery())
    .order_by(roll_events.c.id)
)
_CONTRACTS = (
    select(contracts.c.contract, contracts.c.expiry, contracts.c.sampling)
    .where(contracts.c.instrument == bindparam("of"))
    .order_by(contracts.c.contract)
)
_EVERY_MARK = (
    select(*(price_marks.c[name] for name in ("contract", "time", "price", "source", "generation")))
    .where(price_marks.c.instrument == bindparam("of"))
    .order_by(price_marks.c.id)
)
_MARKS, _RATE_MARKS = _EVERY_MARK.where(price_marks.c.contract != FX_CONTRACT), _EVERY_MARK.where(price_marks.c.contract == FX_CONTRACT)


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
    return view.execute(_GENERATION, {"of": instrument}).scalar() or 0


def roll_events_of(view: Connection, instrument: str) -> pd.DataFrame:
    """The roll events in force of an instrument in order: after (`datetime64[us, UTC]`, NaT first), the three contracts (int64), reason."""
    rows = view.execute(_EVENTS, {"of": instrument}).all()
    after, price, forward, carry, reason = zip(*rows, strict=True) if rows else ((),) * 5
    labels = {name: np.array(ids, dtype="int64") for name, ids in zip(EVENT_LABELS, (price, forward, carry), strict=True)}
    return pd.DataFrame({"after": _instants(after), **labels, "reason": pd.array(reason, dtype="str")}, copy=False)


def _instants(times: Sequence[datetime | None]) -> pd.DatetimeIndex:
    """UTC instants as an index of microseconds."""
    plain = np.array([None if time is None else time.replace(tzinfo=None) for time in times], dtype="datetime64[us]")
    return pd.DatetimeIndex(plain, tz="UTC")


def current_roll(view: Connection, instrument: str, required: bool = True) -> RollEvent | None:
    """The roll event in force. Raises StateError when there is none and one is required."""
    row = view.execute(_NEWEST_EVENT, {"of": instrument}).first()
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


def record_contracts(tx: Connection, instrument: str, facts: Mapping[int, tuple[date, bool]], now: datetime) -> None:
    """Add contracts, or update their `facts`: expiry and sampling by contract. Contracts are never removed."""
    known = contract_facts(tx, instrument)
    rows = [
        {"instrument": instrument, "contract": contract, "expiry": expiry, "sampling": sampling, "recorded_at": now}
        for contract, (expiry, sampling) in facts.items()
        if known.get(contract) != (expiry, sampling)
    ]
    if new := [row for row in rows if row["contract"] not in known]:
        tx.execute(insert(contracts), new)
    key = (contracts.c.instrument == instrument, contracts.c.contract == bindparam("of"))
    if changed := [{"of": row["contract"], **row} for row in rows if row["contract"] in known]:
        tx.execute(update(contracts).where(*key), changed)


def contract_facts(view: Connection, instrument: str) -> dict[int, tuple[date, bool]]:
    """The contracts of an instrument in order, with the expiry and whether its prices are sampled."""
    return {contract: (expiry, sampling) for contract, expiry, sampling in view.execute(_CONTRACTS, {"of": instrument})}


def contracts_of(view: Connection, instrument: str) -> pd.DataFrame:
    """`contract_facts` as a table: index contract, columns expiry (date) and sampling (bool)."""
    rows = [(contract, *facts) for contract, facts in contract_facts(view, instrument).items()]
    return pd.DataFrame(rows, columns=["contract", "expiry", "sampling"]).set_index("contract")


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
    return _marks(view, instrument, _MARKS)


def rate_marks_of(view: Connection, code: str) -> pd.DataFrame:
    """Marks in force of the FX rate `code` (EURUSD): columns as of `marks_of`."""
    return _marks(view, code, _RATE_MARKS)


def _marks(view: Connection, instrument: str, which: Select[Any]) -> pd.DataFrame:
    rows = view.execute(which, {"of": instrument}).all()
    if any(row.generation is not None for row in rows):
        generation = _generation(view, instrument)
        rows = [row for row in rows if row.generation in (None, generation)]
    if not rows:
        return _NO_MARKS.copy(deep=False)
    newest = {(row.contract, row.time): row for row in rows}.values()
    return _marks_frame([row[:4] for row in newest])


def _marks_frame(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    contract, time, price, source = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pd.DataFrame(
        {
            "contract": np.array(contract, dtype="int64"),
            "time": _instants(time),
            "price": np.array(price, dtype="float64"),
            "source": pd.Series(list(source), dtype="str"),
        }
    )


_NO_MARKS = _marks_frame([])
"""Most instruments have none, and an empty frame takes longer to make than to ask for."""
