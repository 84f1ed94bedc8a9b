"""Controls of trading, set by a person or by a check: stops, locks, overrides, limits.

Each is a row that is inserted when the control is set and gets an end when it is lifted; a changed control ends and another begins. So
who locked an instrument, why, and who lifted it can be answered for ever (`control_history`). Only rows without an end are in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, bindparam, func, insert, select, update

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

CHANGED = "changed: "
"""How the reason of an end begins where another row of the same key takes over."""

Key = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stop:
    """Trading is stopped: since when (UTC), by whom and why."""

    since: datetime
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class TradeLimit:
    """At most `contracts` may be traded in any `days` days; `used` counts the fills of the period that ends now and what is at work."""

    strategy: str
    instrument: str
    days: int
    contracts: int
    used: int

    @property
    def left(self) -> int:
        """Contracts that may still be traded now."""
        return max(self.contracts - self.used, 0)


def active_stop(view: Connection) -> Stop | None:
    """The stop in force, or None when trading is allowed."""
    row = view.execute(
        select(trading_stops.c.recorded_at, trading_stops.c.who, trading_stops.c.why)
        .where(trading_stops.c.ended_at.is_(None))
        .order_by(trading_stops.c.id)
    ).first()
    return None if row is None else Stop(row.recorded_at, row.who, row.why)


def stop_trading(tx: Connection, now: datetime, who: str, *, why: str) -> None:
    """Stop trading until `lift_stop`. A second stop while one is in force changes nothing."""
    if active_stop(tx) is None:
        tx.execute(insert(trading_stops).values(who=who, why=why, recorded_at=now))


def lift_stop(tx: Connection, now: datetime, who: str, *, why: str) -> bool:
    """Allow trading again; False if it was not stopped."""
    return _end(tx, trading_stops, {}, now=now, who=who, why=why)


def lock_instrument(tx: Connection, instrument: str, owner: str, *, now: datetime, why: str, who: str = "tradeflow") -> bool:
    """Forbid new risk in an instrument; True if this owner had not locked it yet. Each owner holds a lock of its own.

    A lock that is set again for another reason ends, and another begins.
    """
    key = {"instrument": instrument, "owner": owner}
    former = _row_in_force(tx, locks, key)
    if former is None or former.why != why:
        _put(tx, locks, key, values={}, now=now, who=who, why=why)
    return former is None


def unlock_instrument(tx: Connection, instrument: str, owner: str, *, now: datetime, why: str, who: str = "tradeflow") -> bool:
    """Lift the lock of this owner, and no other; True if there was one."""
    return _end(tx, locks, {"instrument": instrument, "owner": owner}, now=now, who=who, why=why)


def locked_instruments(view: Connection) -> dict[str, str]:
    """Locked instruments with the reasons, `owner: why`, of all their locks."""
    reasons: dict[str, list[str]] = {}
    in_force = select(locks).where(locks.c.ended_at.is_(None))
    for row in view.execute(in_force.order_by(locks.c.instrument, locks.c.owner)):
        reasons.setdefault(row.instrument, []).append(f"{row.owner}: {row.why}")
    return {instrument: "; ".join(parts) for instrument, parts in reasons.items()}


def instruments_locked_by(view: Connection, owner: str) -> list[str]:
    """The instruments that this owner has locked, sorted."""
    return list(view.execute(_LOCKED_BY, {"owner": owner}).scalars())


_LOCKED_BY = (
    select(locks.c.instrument).where(locks.c.owner == bindparam("owner"), locks.c.ended_at.is_(None)).order_by(locks.c.instrument)
)


def override_for(view: Connection, strategy: str, instrument: str) -> Override:
    """The overrides of the strategy, of the instrument and of both, combined.

    An instrument in the roll state No_Open may only be reduced. That is derived from the state and not stored, so it ends with the
    state and leaves stored overrides as they are.
    """
    combined = Override()
    if roll_state(view, instrument) == RollState.NO_OPEN:
        combined = Override(OverrideKind.REDUCE_ONLY, 1.0, f"roll state {RollState.NO_OPEN}")
    rows = view.execute(
        select(overrides).where(
            overrides.c.ended_at.is_(None),
            overrides.c.strategy.in_((ANY, strategy)),
            overrides.c.instrument.in_((ANY, instrument)),
        )
    )
    for row in rows:
        combined = combined * Override(row.kind, row.fraction, row.why)
    return combined


def set_override(tx: Connection, strategy: str, instrument: str, *, override: Override, now: datetime, who: str) -> None:
    """Put an override in force, in place of the former one of the same strategy and instrument."""
    if not 0 <= override.fraction <= 1:
        raise StateError(f"override {override.kind} {override.fraction}: use a fraction from 0 to 1")
    key = {"strategy": strategy, "instrument": instrument}
    values = {"kind": override.kind, "fraction": override.fraction}
    _put(tx, overrides, key, values=values, now=now, who=who, why=override.why)


def clear_override(tx: Connection, strategy: str, instrument: str, *, now: datetime, who: str, why: str) -> bool:
    """End the override of exactly this strategy and instrument; True if there was one."""
    return _end(tx, overrides, {"strategy": strategy, "instrument": instrument}, now=now, who=who, why=why)


def position_limit(view: Connection, strategy: str, instrument: str) -> int | None:
    """Largest absolute position (contracts) of the strategy (`ANY`: of all together) in the instrument; None: no limit."""
    row = _row_in_force(view, position_limits, {"strategy": strategy, "instrument": instrument})
    return None if row is None else row.contracts


def set_position_limit(
    tx: Connection, strategy: str, instrument: str, *, contracts: int | None, now: datetime, who: str, why: str
) -> None:
    """Set, change or (None) end a position limit. Raises StateError for a negative one."""
    key = {"strategy": strategy, "instrument": instrument}
    if contracts is None:
        _end(tx, position_limits, key, now=now, who=who, why=why)
        return
    if contracts < 0:
        raise StateError(f"a position limit of {contracts} contracts makes no sense; give 0 or more")
    _put(tx, position_limits, key, values={"contracts": contracts}, now=now, who=who, why=why)


def set_trade_limit(
    tx: Connection, strategy: str, instrument: str, *, days: int, contracts: int | None, now: datetime, who: str, why: str
) -> None:
    """Allow at most `contracts` to be traded in any `days` days; None ends the limit. Raises StateError for values that make no sense."""
    if days < 1 or (contracts is not None and contracts < 0):
        raise StateError(
            f"a trade limit of {contracts} contracts in {days} days makes no sense; give 0 or more contracts, 1 or more days"
        )
    key = {"strategy": strategy, "instrument": instrument, "days": days}
    if contracts is None:
        _end(tx, trade_limits, key, now=now, who=who, why=why)
    else:
        _put(tx, trade_limits, key, values={"contracts": contracts}, now=now, who=who, why=why)


def trade_limits_in_force(
    view: Connection, *, now: datetime, strategy: str | None = None, instrument: str | None = None
) -> list[TradeLimit]:
    """The trade limits in force, by instrument, strategy and days. With `strategy`: those that hold for it, that is also those of `ANY`."""
    query = select(trade_limits).where(trade_limits.c.ended_at.is_(None))
    if strategy is not None:
        query = query.where(trade_limits.c.strategy.in_((ANY, strategy)))
    if instrument is not None:
        query = query.where(trade_limits.c.instrument == instrument)
    rows = view.execute(query.order_by(trade_limits.c.instrument, trade_limits.c.strategy, trade_limits.c.days))
    return [
        TradeLimit(
            row.strategy, row.instrument, row.days, row.contracts, _traded(view, row, since=now - timedelta(days=row.days))
        )
        for row in rows.all()
    ]


def tradeable_now(view: Connection, strategy: str, instrument: str, *, now: datetime) -> int | None:
    """Contracts that the trade limits still allow at `now`; None: no limit applies.

    The fills of the period count, and what orders at the broker may still fill, with every leg of a spread.
    """
    limits = trade_limits_in_force(view, now=now, strategy=strategy, instrument=instrument)
    return min((limit.left for limit in limits), default=None)


def _traded(view: Connection, limit: Any, *, since: datetime) -> int:
    """Contracts that count for a limit: filled after `since`, or still at work."""
    used = select(func.coalesce(func.sum(func.abs(fills.c.quantity)), 0)).where(
        fills.c.instrument == limit.instrument, fills.c.time > since
    )
    if limit.strategy != ANY:
        used = used.where(fills.c.strategy == limit.strategy)
    return int(view.execute(used).scalar_one()) + _at_work(view, limit.instrument, limit.strategy)


def _at_work(view: Connection, instrument: str, strategy: str) -> int:
    """Contracts, over all legs, that the broker orders in an instrument may still trade, of one strategy or of `ANY`."""
    unfilled = select(func.coalesce(func.sum(func.abs(broker_order_legs.c.quantity - broker_order_legs.c.filled)), 0))
    query = unfilled.select_from(broker_order_legs.join(broker_orders).join(contract_orders).join(instrument_orders)).where(
        broker_orders.c.status.in_(LIVE_STATUSES), broker_orders.c.instrument == instrument
    )
    if strategy != ANY:
        query = query.where(instrument_orders.c.strategy == strategy)
    return int(view.execute(query).scalar_one())


def _matches(table: Table, key: Key) -> list[ColumnElement[bool]]:
    """The conditions for the rows of a key in force."""
    return [table.c.ended_at.is_(None), *(table.c[name] == value for name, value in key.items())]


def _row_in_force(view: Connection, table: Table, key: Key) -> Any | None:
    return view.execute(select(table).where(*_matches(table, key))).first()


def _end(tx: Connection, table: Table, key: Key, *, now: datetime, who: str, why: str) -> bool:
    """End the row of a key in force; False if there is none."""
    ended = update(table).where(*_matches(table, key)).values(ended_at=now, ended_by=who, ended_why=why)
    return tx.execute(ended).rowcount > 0


def _put(tx: Connection, table: Table, key: Key, *, values: Key, now: datetime, who: str, why: str) -> None:
    """Add a row with these values, and end the former one of the key; one that says the same already stays as it is."""
    present = {**values, "why": why}
    former = _row_in_force(tx, table, key)
    if former is not None and all(getattr(former, name) == value for name, value in present.items()):
        return
    _end(tx, table, key, now=now, who=who, why=f"{CHANGED}{why}")
    tx.execute(insert(table).values(**key, **present, who=who, recorded_at=now))
