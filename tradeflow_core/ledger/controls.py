"""Controls of trading, set by a person or by a check: stops, locks, overrides, limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.decisions import roll_state
from tradeflow_core.ledger.schema import (
    broker_order_legs,
    broker_orders,
    contract_orders,
    fills,
    instrument_orders,
    locks,
    overrides,
    position_limits,
    trade_limits,
    trading_stops,
)
from tradeflow_core.model import LIVE_STATUSES, Override, OverrideKind, RollState

ANY = ""
"""Strategy or instrument of a control that holds for all of them."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Trading is stopped: since when (UTC), by whom and why."""

    since: datetime
    who: str
    why: str


def active_stop(view: Connection) -> Stop | None:
    """The stop in force, or None when trading is allowed."""
    row = view.execute(
        select(trading_stops.c.recorded_at, trading_stops.c.who, trading_stops.c.why)
        .where(trading_stops.c.lifted_at.is_(None))
        .order_by(trading_stops.c.id)
    ).first()
    return None if row is None else Stop(row.recorded_at, row.who, row.why)


def stop_trading(tx: Connection, now: datetime, who: str, *, why: str) -> None:
    """Stop trading until `lift_stop`. A second stop while one is in force changes nothing."""
    if active_stop(tx) is None:
        tx.execute(insert(trading_stops).values(who=who, why=why, recorded_at=now))


def lift_stop(tx: Connection, now: datetime, who: str) -> bool:
    """Allow trading again; False if it was not stopped."""
    changed = tx.execute(update(trading_stops).where(trading_stops.c.lifted_at.is_(None)).values(lifted_at=now, lifted_by=who))
    return changed.rowcount > 0


def lock_instrument(tx: Connection, instrument: str, owner: str, *, now: datetime, why: str, who: str = "tradeflow") -> bool:
    """Forbid new risk in an instrument; True if this owner had not locked it yet. Each owner holds a lock of its own."""
    held = tx.execute(select(locks.c.why).where(locks.c.instrument == instrument, locks.c.owner == owner)).first()
    if held is None:
        tx.execute(insert(locks).values(instrument=instrument, owner=owner, who=who, why=why, recorded_at=now))
    elif held.why != why:
        tx.execute(update(locks).where(locks.c.instrument == instrument, locks.c.owner == owner).values(why=why))
    return held is None


def unlock_instrument(tx: Connection, instrument: str, owner: str) -> bool:
    """Lift the lock of this owner, and no other; True if there was one."""
    return tx.execute(delete(locks).where(locks.c.instrument == instrument, locks.c.owner == owner)).rowcount > 0


def locked_instruments(view: Connection) -> dict[str, str]:
    """Locked instruments with the reasons, `owner: why`, of all their locks."""
    reasons: dict[str, list[str]] = {}
    for row in view.execute(select(locks).order_by(locks.c.instrument, locks.c.owner)):
        reasons.setdefault(row.instrument, []).append(f"{row.owner}: {row.why}")
    return {instrument: "; ".join(parts) for instrument, parts in reasons.items()}


def instruments_locked_by(view: Connection, owner: str) -> list[str]:
    """The instruments that this owner has locked, sorted."""
    return list(view.execute(_LOCKED_BY, {"owner": owner}).scalars())


_LOCKED_BY = select(locks.c.instrument).where(locks.c.owner == bindparam("owner")).order_by(locks.c.instrument)


def override_for(view: Connection, strategy: str, instrument: str) -> Override:
    """The overrides of the strategy, of the instrument and of both, combined.

    An instrument in the roll state No_Open may only be reduced. That is derived from the state and not stored, so it ends with the
    state and leaves stored overrides as they are.
    """
    combined = Override()
    if roll_state(view, instrument) == RollState.NO_OPEN:
        combined = Override(OverrideKind.REDUCE_ONLY, 1.0, f"roll state {RollState.NO_OPEN}")
    rows = view.execute(
        select(overrides).where(overrides.c.strategy.in_((ANY, strategy)), overrides.c.instrument.in_((ANY, instrument)))
    )
    for row in rows:
        combined = combined * Override(row.kind, row.fraction, row.why)
    return combined


def set_override(tx: Connection, strategy: str, instrument: str, *, override: Override, now: datetime, who: str) -> None:
    """Put an override in force, in place of the former one of the same strategy and instrument."""
    if not 0 <= override.fraction <= 1:
        raise StateError(f"override {override.kind} {override.fraction}: use a fraction from 0 to 1")
    tx.execute(delete(overrides).where(overrides.c.strategy == strategy, overrides.c.instrument == instrument))
    tx.execute(
        insert(overrides).values(
            strategy=strategy,
            instrument=instrument,
            kind=override.kind,
            fraction=override.fraction,
            who=who,
            why=override.why,
            recorded_at=now,
        )
    )


def clear_override(tx: Connection, strategy: str, instrument: str) -> bool:
    """Remove the override of exactly this strategy and instrument; True if there was one."""
    return (
        tx.execute(delete(overrides).where(overrides.c.strategy == strategy, overrides.c.instrument == instrument)).rowcount > 0
    )


def position_limit(view: Connection, strategy: str, instrument: str) -> int | None:
    """Largest absolute position (contracts) of the strategy (`ANY`: of all together) in the instrument; None: no limit."""
    return view.execute(
        select(position_limits.c.contracts).where(
            position_limits.c.strategy == strategy, position_limits.c.instrument == instrument
        )
    ).scalar()


def set_position_limit(
    tx: Connection, strategy: str, instrument: str, *, contracts: int | None, now: datetime, who: str, why: str
) -> None:
    """Set, change or (None) remove a position limit. Raises StateError for a negative one."""
    tx.execute(delete(position_limits).where(position_limits.c.strategy == strategy, position_limits.c.instrument == instrument))
    if contracts is None:
        return
    if contracts < 0:
        raise StateError(f"a position limit of {contracts} contracts makes no sense; give 0 or more")
    tx.execute(
        insert(position_limits).values(
            strategy=strategy, instrument=instrument, contracts=contracts, who=who, why=why, recorded_at=now
        )
    )


def set_trade_limit(
    tx: Connection, strategy: str, instrument: str, *, days: int, contracts: int, now: datetime, who: str, why: str
) -> None:
    """Allow at most `contracts` to be traded in any `days` days. Raises StateError for values that make no sense."""
    if contracts < 0 or days < 1:
        raise StateError(
            f"a trade limit of {contracts} contracts in {days} days makes no sense; give 0 or more contracts, 1 or more days"
        )
    key = (trade_limits.c.strategy == strategy, trade_limits.c.instrument == instrument, trade_limits.c.days == days)
    tx.execute(delete(trade_limits).where(*key))
    tx.execute(
        insert(trade_limits).values(
            strategy=strategy, instrument=instrument, days=days, contracts=contracts, who=who, why=why, recorded_at=now
        )
    )


def tradeable_now(view: Connection, strategy: str, instrument: str, *, now: datetime) -> int | None:
    """Contracts that the trade limits still allow at `now`; None: no limit applies.

    The fills of the period count, and what orders at the broker may still fill, with every leg of a spread.
    """
    smallest: int | None = None
    rows = view.execute(
        select(trade_limits).where(trade_limits.c.strategy.in_((ANY, strategy)), trade_limits.c.instrument == instrument)
    )
    for limit in rows:
        used = select(func.coalesce(func.sum(func.abs(fills.c.quantity)), 0)).where(
            fills.c.instrument == instrument, fills.c.time > now - timedelta(days=limit.days)
        )
        if limit.strategy != ANY:
            used = used.where(fills.c.strategy == limit.strategy)
        left = max(limit.contracts - view.execute(used).scalar_one() - _at_work(view, instrument, limit.strategy), 0)
        smallest = left if smallest is None else min(smallest, left)
    return smallest


def _at_work(view: Connection, instrument: str, strategy: str) -> int:
    """Contracts, over all legs, that the broker orders in an instrument may still trade, of one strategy or of `ANY`."""
    unfilled = select(func.coalesce(func.sum(func.abs(broker_order_legs.c.quantity - broker_order_legs.c.filled)), 0))
    query = unfilled.select_from(broker_order_legs.join(broker_orders).join(contract_orders).join(instrument_orders)).where(
        broker_orders.c.status.in_(LIVE_STATUSES), broker_orders.c.instrument == instrument
    )
    if strategy != ANY:
        query = query.where(instrument_orders.c.strategy == strategy)
    return int(view.execute(query).scalar_one())
