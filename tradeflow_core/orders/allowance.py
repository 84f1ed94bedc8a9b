"""What may be traded: the one place that asks every control of an instrument, when orders are made and again before one is sent.

A stop, a lock, an override, position limits of a strategy and of the whole instrument, and trade limits. Orders that are on their way
count as if they were filled wherever that makes a limit tighter: two strategies cannot use the same room twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.ledger import (
    ANY,
    active_stop,
    live_broker_orders,
    locked_instruments,
    open_instrument_orders,
    override_for,
    position_limit,
    positions_by_strategy,
    tradeable_now,
)
from tradeflow_core.model import ROLLS, Leg, Override, OverrideKind
from tradeflow_core.orders.sizing import (
    NOTHING,
    OnTheWay,
    apply_override,
    apply_position_limits,
    cut_to_caps,
    cut_to_total,
    largest_position,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """An instrument for a strategy now, in contracts, and the controls in force.

    `position` of the strategy, `instrument_position` of all strategies, `unfilled` of the strategy's open orders; `own_on_the_way` and
    `all_on_the_way`: what other orders of the strategy, and of all strategies, may still do. `stop` and `lock`: why trading is stopped
    or the instrument locked, empty if it is not. `tradeable`: contracts that trade limits still allow; None: no limit.
    """

    position: int
    instrument_position: int
    unfilled: int = 0
    lock: str = ""
    override: Override = field(default_factory=Override)
    strategy_limit: int | None = None
    instrument_limit: int | None = None
    stop: str = ""
    tradeable: int | None = None
    own_on_the_way: OnTheWay = NOTHING
    all_on_the_way: OnTheWay = NOTHING

    @property
    def no_trade(self) -> bool:
        """The position has to stay as it is."""
        return bool(self.lock) or self.override.kind is OverrideKind.NO_TRADING

    @property
    def reduce_only(self) -> bool:
        """The position may only shrink."""
        return self.override.kind is OverrideKind.REDUCE_ONLY

    @property
    def largest(self) -> int | None:
        """The most contracts that the strategy may hold on either side; None: no limit."""
        return largest_position(self.override, self.strategy_limit, self.instrument_limit)


@dataclass(frozen=True, slots=True)
class Allowance:
    """The quantities of the legs that may be traded, and why they are less than what was asked (empty if they are not)."""

    quantities: tuple[int, ...]
    why: str = ""


# --- reading the ledger --------------------------------------------------------------------------------------------------


def standings(view: Connection, desk: Desk, strategy: str, *, instruments: Iterable[str]) -> dict[str, Standing]:
    """The standing for a strategy of each of `instruments` and of those that it holds, by instrument, sorted: when orders are made.

    The open orders of the other strategies are on the way.
    """
    positions = positions_by_strategy(view)
    locks = _locks(view, desk, strategy, positions=positions)
    totals = _by_instrument(positions)
    unfilled: dict[str, int] = {}
    others: dict[str, OnTheWay] = {}
    for order in open_instrument_orders(view):
        if order.strategy == strategy:
            unfilled[order.instrument] = unfilled.get(order.instrument, 0) + order.remaining
        else:
            others[order.instrument] = others.get(order.instrument, NOTHING) + order.remaining
    held = {instrument for holder, instrument in positions if holder == strategy}
    return {
        instrument: Standing(
            positions.get((strategy, instrument), 0),
            totals.get(instrument, 0),
            unfilled.get(instrument, 0),
            locks.get(instrument, ""),
            override_for(view, strategy, instrument),
            position_limit(view, strategy, instrument),
            position_limit(view, ANY, instrument),
            all_on_the_way=others.get(instrument, NOTHING),
        )
        for instrument in sorted({*instruments, *held})
    }


def standing_at_work(view: Connection, desk: Desk, strategy: str, *, instrument: str) -> Standing:
    """The standing of one instrument for a strategy before an order is sent: what works at the broker is on the way."""
    positions, stop = positions_by_strategy(view), active_stop(view)
    of_strategy = of_all = NOTHING
    for order in live_broker_orders(view, instrument):
        left = sum(leg.remaining for leg in order.legs)
        of_all += left
        of_strategy = of_strategy + left if order.strategy == strategy else of_strategy
    return Standing(
        positions.get((strategy, instrument), 0),
        _by_instrument(positions).get(instrument, 0),
        lock=_locks(view, desk, strategy, positions=positions).get(instrument, ""),
        override=override_for(view, strategy, instrument),
        strategy_limit=position_limit(view, strategy, instrument),
        instrument_limit=position_limit(view, ANY, instrument),
        stop=stop.why if stop else "",
        tradeable=tradeable_now(view, strategy, instrument, now=desk.now()),
        own_on_the_way=of_strategy,
        all_on_the_way=of_all,
    )


def left_behind(view: Connection, desk: Desk) -> dict[str, str]:
    """Why an instrument is not traded, by instrument, where a strategy holds it that the settings do not name (any more)."""
    return _left_behind(desk, positions_by_strategy(view))


def _left_behind(desk: Desk, positions: Mapping[tuple[str, str], int]) -> dict[str, str]:
    return {
        instrument: f"strategy {holder}, which is not in the settings, holds {quantity}; "
        f"name it again with weight = 0 to have its positions closed, or rename it back"
        for (holder, instrument), quantity in sorted(positions.items())
        if holder not in desk.settings.strategies and holder != ROLLS
    }


def _locks(view: Connection, desk: Desk, strategy: str, *, positions: Mapping[tuple[str, str], int]) -> dict[str, str]:
    """Why instruments are locked for a strategy: by the locks in the ledger, or because another one was removed and still holds them.

    The roll of such a position goes on: it would expire otherwise.
    """
    stranded = _left_behind(desk, positions) if strategy in desk.settings.strategies else {}
    return {**stranded, **locked_instruments(view)}


def _by_instrument(positions: Mapping[tuple[str, str], int]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for (_, instrument), quantity in positions.items():
        totals[instrument] = totals.get(instrument, 0) + quantity
    return totals


# --- what it allows ------------------------------------------------------------------------------------------------------


def allowed_change(standing: Standing, trade: int) -> tuple[int, str]:
    """The change of the strategy's position that override and position limits leave of `trade`, and the reason where it is another one.

    A position beyond its limit is brought back, so that a trade of 0 may become a reduction. Stop and lock are not asked.
    """
    overridden = apply_override(standing.position, trade, standing.override)
    allowed = apply_position_limits(
        standing.position,
        standing.instrument_position,
        overridden,
        strategy_limit=standing.strategy_limit,
        instrument_limit=standing.instrument_limit,
        own_on_the_way=standing.own_on_the_way,
        all_on_the_way=standing.all_on_the_way,
    )
    if allowed == trade:
        return trade, ""
    if overridden != trade:
        return allowed, f"override {standing.override.kind} ({standing.override.why})"
    return allowed, "position limit"


def allowed_now(standing: Standing, strategy: str, legs: Sequence[Leg], *, sizes: Sequence[int]) -> Allowance:
    """The quantities of `legs` (what remains of them) that may be sent now. `sizes`: contracts on offer for each leg.

    A spread, or the roll of a position, leaves the position in the instrument as it is: only stop, lock, an override that forbids all
    trading and trade limits hold it back. Trade limits count every leg.
    """
    wanted = tuple(leg.remaining for leg in legs)
    nothing = (0,) * len(wanted)
    if standing.stop:
        return Allowance(nothing, f"trading is stopped ({standing.stop})")
    if standing.lock:
        return Allowance(nothing, f"locked ({standing.lock})")
    if standing.override.kind is OverrideKind.NO_TRADING:
        return Allowance(nothing, f"override {standing.override.kind} ({standing.override.why})")
    quantities, why = wanted, ""
    if len(wanted) == 1:
        change, why = _change_now(standing, strategy, wanted[0])
        quantities = (change,)
    if standing.tradeable is not None and sum(map(abs, quantities)) > standing.tradeable:
        quantities, why = cut_to_total(quantities, standing.tradeable), "trade limit"
    if any(quantities) and (offered := cut_to_caps(quantities, tuple(sizes))) != quantities:
        quantities, why = offered, "size quoted" if any(offered) else "no size quoted"
    return Allowance(quantities, why)


def _change_now(standing: Standing, strategy: str, trade: int) -> tuple[int, str]:
    """As `allowed_change`, but never more than `trade` nor against it: an order is only ever cut."""
    change, why = allowed_change(_at_work(standing, strategy), trade)
    cut = max(0, min(trade, change)) if trade > 0 else min(0, max(trade, change))
    return cut, why if cut != trade else ""


def _at_work(standing: Standing, strategy: str) -> Standing:
    """The standing with what still holds for an order that was made within its controls.

    A fraction was applied to the optimal position when the order was made; one of zero lets the order only reduce. A roll has no position of
    its own.
    """
    if strategy == ROLLS:
        return replace(standing, position=0, override=Override(), strategy_limit=None)
    if standing.override.closes or standing.reduce_only:
        override = Override(OverrideKind.REDUCE_ONLY, 1.0, standing.override.why)
        return replace(standing, position=_left_to_reduce(standing), override=override)
    return replace(standing, override=Override())


def _left_to_reduce(standing: Standing) -> int:
    """The part of the strategy's position that its orders on the way do not close already."""
    if standing.position > 0:
        return max(standing.position + standing.own_on_the_way.selling, 0)
    return min(standing.position + standing.own_on_the_way.buying, 0)
