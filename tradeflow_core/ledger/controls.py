"""Controls of trading, set by a person or by a check: stops, locks, overrides, limits.

Each is a row that is inserted when the control is set and gets an end when it is lifted; a changed control ends and another begins. So
who locked an instrument, why, and who lifted it can be answered for ever (`control_history`). Only rows without an end are in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, bindparam, func, select

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.decisions import roll_state
from tradeflow_core.ledger.facts import append, append_end
from tradeflow_core.ledger.schema import (
    allocations,
    broker_order_legs,
    broker_orders,
    instrument_orders,
    locks,
    overrides,
    position_limits,
    shares,
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
        append(tx, trading_stops, scope=ANY, who=who, why=why, recorded_at=now)


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
    """The overrides that hold for a strategy in an instrument, see `combine_overrides`."""
    return combine_overrides(overrides_in_force(view), strategy, instrument, state=roll_state(view, instrument))


def overrides_in_force(view: Connection) -> dict[tuple[str, str], Override]:
    """The overrides in force by (strategy, instrument)."""
    rows = view.execute(select(overrides).where(overrides.c.ended_at.is_(None)).order_by(overrides.c.id))
    return {(row.strategy, row.instrument): Override(row.kind, row.fraction, row.why) for row in rows}


def combine_overrides(
    in_force: Mapping[tuple[str, str], Override], strategy: str, instrument: str, *, state: RollState
) -> Override:
    """The overrides of the strategy, of the instrument and of both, combined.

    An instrument in the roll state No_Open may only be reduced. That is derived from the state and not stored, so it ends with the
    state and leaves stored overrides as they are.
    """
    combined = Override()
    if state is RollState.NO_OPEN:
        combined = Override(OverrideKind.REDUCE_ONLY, 1.0, f"roll state {RollState.NO_OPEN}")
    for (whose, where), override in in_force.items():
        if whose in (ANY, strategy) and where in (ANY, instrument):
            combined = combined * override
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


def position_limits_in_force(view: Connection) -> dict[tuple[str, str], int]:
    """The position limits in force, in contracts, by (strategy, instrument)."""
    rows = view.execute(select(position_limits).where(position_limits.c.ended_at.is_(None)))
    return {(row.strategy, row.instrument): row.contracts for row in rows}


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
    view: Connection,
    account: str,
    *,
    now: datetime,
    strategy: str | None = None,
    instruments: Sequence[str] | None = None,
) -> list[TradeLimit]:
    """The trade limits in force, by instrument, strategy and days, with what is used by the account. With `strategy`: those that hold for
    it, that is also those of `ANY`.

    The fills of our orders in the period count, and what orders at the broker may still fill, with every leg of a spread.
    """
    query = select(trade_limits).where(trade_limits.c.ended_at.is_(None))
    if strategy is not None:
        query = query.where(trade_limits.c.strategy.in_((ANY, strategy)))
    if instruments is not None:
        query = query.where(trade_limits.c.instrument.in_(instruments))
    rows = view.execute(query.order_by(trade_limits.c.instrument, trade_limits.c.strategy, trade_limits.c.days)).all()
    limited = sorted({row.instrument for row in rows})
    at_work = _at_work(view, account, limited) if rows else {}
    traded = {days: _traded(view, account, limited, since=now - timedelta(days=days)) for days in {row.days for row in rows}}
    return [
        TradeLimit(
            row.strategy,
            row.instrument,
            row.days,
            row.contracts,
            traded[row.days].get((row.strategy, row.instrument), 0) + at_work.get((row.strategy, row.instrument), 0),
        )
        for row in rows
    ]


def tradeable_now(view: Connection, account: str, strategy: str, *, instrument: str, now: datetime) -> int | None:
    """Contracts that the trade limits still allow at `now`; None: no limit applies."""
    limits = trade_limits_in_force(view, account, now=now, strategy=strategy, instruments=[instrument])
    return min((limit.left for limit in limits), default=None)


def _traded(view: Connection, account: str, instruments: Sequence[str], *, since: datetime) -> dict[tuple[str, str], int]:
    """Contracts filled after `since` by (strategy, instrument), those of all strategies together under `ANY`."""
    of = allocations.c
    wanted = [of.account == account, of.instrument.in_(instruments), of.time > since, of.instrument_order_id.is_not(None)]
    # An execution that was corrected counts as what is left of it.
    each = select(of.strategy, of.instrument, func.abs(func.sum(of.quantity)).label("contracts")).where(*wanted)
    of_fill = each.group_by(of.strategy, of.instrument, of.fill_id).subquery()
    summed = select(of_fill.c.strategy, of_fill.c.instrument, func.sum(of_fill.c.contracts)).group_by(
        of_fill.c.strategy, of_fill.c.instrument
    )
    return _with_all(view.execute(summed).all())


def _at_work(view: Connection, account: str, instruments: Sequence[str]) -> dict[tuple[str, str], int]:
    """Contracts, over all legs, that broker orders may still trade, by (strategy, instrument), of all together under `ANY`."""
    leg = broker_order_legs.c
    left = func.sum(func.abs(leg.quantity - leg.filled))
    query = (
        select(broker_orders.c.contract_order_id, leg.instrument, left.label("contracts"))
        .select_from(broker_order_legs.join(broker_orders))
        .where(broker_orders.c.account == account, broker_orders.c.status.in_(LIVE_STATUSES), leg.instrument.in_(instruments))
        .group_by(broker_orders.c.contract_order_id, leg.instrument)
    )
    rows = view.execute(query).all()
    of_order = select(shares.c.contract_order_id, instrument_orders.c.strategy).join(instrument_orders)
    named = view.execute(of_order.where(shares.c.contract_order_id.in_([row.contract_order_id for row in rows]))).all()
    whose: dict[int, set[str]] = {}
    for order, strategy in named:
        whose.setdefault(order, set()).add(strategy)
    used: dict[tuple[str, str], int] = {}
    for order, instrument, contracts in rows:
        for strategy in {ANY, *whose.get(order, set())}:
            used[strategy, instrument] = used.get((strategy, instrument), 0) + int(contracts)
    return used


def _with_all(rows: Sequence[Any]) -> dict[tuple[str, str], int]:
    """Contracts by (strategy, instrument), and the sums over strategies under `ANY`."""
    used: dict[tuple[str, str], int] = {}
    for strategy, instrument, contracts in rows:
        used[strategy, instrument] = int(contracts)
        used[ANY, instrument] = used.get((ANY, instrument), 0) + int(contracts)
    return used


def _matches(table: Table, key: Key) -> list[ColumnElement[bool]]:
    """The conditions for the rows of a key in force."""
    return [table.c.ended_at.is_(None), *(table.c[name] == value for name, value in key.items())]


def _row_in_force(view: Connection, table: Table, key: Key) -> Any | None:
    return view.execute(select(table).where(*_matches(table, key))).first()


def _end(tx: Connection, table: Table, key: Key, *, now: datetime, who: str, why: str) -> bool:
    """End the row of a key in force; False if there is none."""
    former = _row_in_force(tx, table, key)
    if former is not None:
        append_end(tx, table, former.id, now=now, who=who, why=why)
    return former is not None


def _put(tx: Connection, table: Table, key: Key, *, values: Key, now: datetime, who: str, why: str) -> None:
    """Add a row with these values, and end the former one of the key; one that says the same already stays as it is."""
    present = {**values, "why": why}
    former = _row_in_force(tx, table, key)
    if former is not None and all(getattr(former, name) == value for name, value in present.items()):
        return
    _end(tx, table, key, now=now, who=who, why=f"{CHANGED}{why}")
    append(tx, table, **key, **present, who=who, recorded_at=now)
