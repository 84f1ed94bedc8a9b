"""Where an instrument stands for a strategy: what is held and on its way, and every control in force.

Orders that are on their way count as if they were filled wherever that makes a limit tighter: two strategies cannot use the same room twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.ledger import (
    ANY,
    active_stop,
    combine_overrides,
    live_broker_orders,
    locked_instruments,
    open_instrument_orders,
    overrides_in_force,
    position_limits_in_force,
    positions_by_strategy,
    roll_states_now,
    trade_limits_in_force,
)
from tradeflow_core.model import ROLLS, UNASSIGNED, Override, OverrideKind, RollState
from tradeflow_core.orders.sizing import NOTHING, OnTheWay, largest_position


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


class Controls:
    """Everything that is held and that holds trading back, read once: one query a table, however many instruments are asked for."""

    def __init__(self, view: Connection, desk: Desk) -> None:
        self.desk = desk
        self.positions = positions_by_strategy(view, desk.account)
        self.totals: dict[str, int] = {}
        for (_, instrument), quantity in self.positions.items():
            self.totals[instrument] = self.totals.get(instrument, 0) + quantity
        stop = active_stop(view)
        self.stop = stop.why if stop else ""
        self._locked = locked_instruments(view)
        self._stranded = _left_behind(desk, self.positions)
        self._overrides = overrides_in_force(view)
        self._states = roll_states_now(view)
        self._limits = position_limits_in_force(view)

    def standing(self, strategy: str, instrument: str) -> Standing:
        """Position and controls, without any order."""
        return Standing(
            self.positions.get((strategy, instrument), 0),
            self.totals.get(instrument, 0),
            lock=self._lock(strategy, instrument),
            override=self._override(strategy, instrument),
            strategy_limit=self._limits.get((strategy, instrument)),
            instrument_limit=self._limits.get((ANY, instrument)),
            stop=self.stop,
        )

    def _lock(self, strategy: str, instrument: str) -> str:
        """Why an instrument is locked for a strategy: by the locks in the ledger, or because somebody holds it who is no strategy here.

        The roll of such a position goes on: it would expire otherwise.
        """
        locked = self._locked.get(instrument, "")
        return locked or (self._stranded.get(instrument, "") if strategy in self.desk.settings.strategies else "")

    def _override(self, strategy: str, instrument: str) -> Override:
        state = self._states.get(instrument, RollState.NO_ROLL)
        return combine_overrides(self._overrides, strategy, instrument, state=state)


class AtWork:
    """`Controls`, with what works at the broker on its way and what trade limits leave: before orders are sent.

    `add` counts an order that is about to be sent, so that several can be decided in one transaction.
    """

    def __init__(self, view: Connection, desk: Desk, instruments: Iterable[str]) -> None:
        self.controls = Controls(view, desk)
        self._limits = trade_limits_in_force(view, desk.account, now=desk.now(), instruments=sorted(set(instruments)))
        self._on_the_way: dict[tuple[str, str], OnTheWay] = {}
        self._traded: dict[tuple[str, str], int] = {}
        for order in live_broker_orders(view, desk.account):
            self._count(order.strategies, order.instrument, [leg.remaining for leg in order.legs], is_new=False)

    def add(self, strategies: Sequence[str], instrument: str, quantities: Sequence[int]) -> None:
        """Count an order of these signed quantities, one a leg."""
        self._count(strategies, instrument, quantities, is_new=True)

    def _count(self, strategies: Sequence[str], instrument: str, quantities: Sequence[int], *, is_new: bool) -> None:
        net, contracts = sum(quantities), sum(map(abs, quantities))
        for whose in {ANY, *strategies}:
            key = (whose, instrument)
            self._on_the_way[key] = self._on_the_way.get(key, NOTHING) + net
            if is_new:  # trade limits count those that work already
                self._traded[key] = self._traded.get(key, 0) + contracts

    def standing(self, strategy: str, instrument: str) -> Standing:
        """The standing of an instrument for a strategy with everything that is on its way."""
        plain = self.controls.standing(strategy, instrument)
        left = [
            max(limit.left - self._traded.get((limit.strategy, instrument), 0), 0)
            for limit in self._limits
            if limit.instrument == instrument and limit.strategy in (ANY, strategy)
        ]
        return Standing(
            plain.position,
            plain.instrument_position,
            lock=plain.lock,
            override=plain.override,
            strategy_limit=plain.strategy_limit,
            instrument_limit=plain.instrument_limit,
            stop=plain.stop,
            tradeable=min(left, default=None),
            own_on_the_way=self._on_the_way.get((strategy, instrument), NOTHING),
            all_on_the_way=self._on_the_way.get((ANY, instrument), NOTHING),
        )


def standings(view: Connection, desk: Desk, strategy: str, *, instruments: Iterable[str]) -> dict[str, Standing]:
    """The standing for a strategy of each of `instruments` and of those that it holds, by instrument, sorted: when orders are made.

    The open orders of the other strategies are on the way. The stop is not asked, and trade limits are not: both are when orders are sent.
    """
    controls = Controls(view, desk)
    unfilled: dict[str, int] = {}
    others: dict[str, OnTheWay] = {}
    for order in open_instrument_orders(view, desk.account):
        if order.strategy == strategy:
            unfilled[order.instrument] = unfilled.get(order.instrument, 0) + order.remaining
        else:
            others[order.instrument] = others.get(order.instrument, NOTHING) + order.remaining
    held = {instrument for holder, instrument in controls.positions if holder == strategy}
    result = {}
    for instrument in sorted({*instruments, *held}):
        plain = controls.standing(strategy, instrument)
        result[instrument] = Standing(
            plain.position,
            plain.instrument_position,
            unfilled.get(instrument, 0),
            plain.lock,
            plain.override,
            plain.strategy_limit,
            plain.instrument_limit,
            all_on_the_way=others.get(instrument, NOTHING),
        )
    return result


def standing_at_work(view: Connection, desk: Desk, strategy: str, *, instrument: str) -> Standing:
    """The standing of one instrument for a strategy before an order is sent: what works at the broker is on the way."""
    return AtWork(view, desk, [instrument]).standing(strategy, instrument)


def left_behind(view: Connection, desk: Desk) -> dict[str, str]:
    """Why an instrument is not traded, by instrument, where somebody holds it who is no strategy of the settings (any more)."""
    return _left_behind(desk, positions_by_strategy(view, desk.account))


def _left_behind(desk: Desk, positions: Mapping[tuple[str, str], int]) -> dict[str, str]:
    held: dict[str, str] = {}
    for (holder, instrument), quantity in sorted(positions.items()):
        if holder in UNASSIGNED:
            held[instrument] = (
                f"{quantity} traded elsewhere belong to no strategy; give them to one with `tradeflow positions assign`"
            )
        elif holder not in desk.settings.strategies and holder != ROLLS:
            held[instrument] = (
                f"strategy {holder}, which is not in the settings, holds {quantity}; `tradeflow reconcile` says what to do about it"
            )
    return held
