"""The stack handler: looks at the world, books what happened, sends what is due, again and again until its session ends.

All its state is in the ledger, so that it may be killed at any instant and started again. A file lock makes sure that only one works on
this machine, a lease in the ledger that only one works on any.
"""

from __future__ import annotations

import fcntl
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from tradeflow_core.brokers import BrokerUnavailable, UnknownOrder
from tradeflow_core.clock import SimulatedClock, WallClock
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.execution.fills import poll_orders
from tradeflow_core.execution.reconcile import reconcile
from tradeflow_core.execution.rolls import generate_roll_orders
from tradeflow_core.execution.send import close_at_last_price, send_orders
from tradeflow_core.execution.spawn import spawn_contract_orders
from tradeflow_core.instruments import display
from tradeflow_core.ledger import (
    ROLLS,
    ContractOrder,
    active_stop,
    add_contract_order,
    add_instrument_order,
    close_all_orders,
    live_broker_orders,
    open_contract_orders,
    open_instrument_orders,
    positions_by_contract,
    positions_by_strategy,
    release_lease,
    take_lease,
)

LEASE = "stack_handler"
LEASE_SECONDS = 120
POLL_SECONDS = 5
CANCEL_SECONDS = 60


@dataclass
class Pass:
    """What one pass, or a whole session, did."""

    spawned: int = 0
    rolls: int = 0
    sent: int = 0
    fills: int = 0
    waiting: int = 0

    def __add__(self, other: Pass) -> Pass:
        return Pass(
            self.spawned + other.spawned,
            self.rolls + other.rolls,
            self.sent + other.sent,
            self.fills + other.fills,
            other.waiting,
        )


class StackHandler:
    """Works the order stack of one desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.owner = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}"

    def step(self) -> Pass:
        """One pass: fills of orders at work, positions against the broker's, new contract and roll orders, new broker orders, their fills.

        A broker that does not answer ends the pass; what was recorded stays, nothing is assumed.
        """
        desk, done = self.desk, Pass()
        try:
            done.fills = poll_orders(desk)
            with desk.ledger.read() as view:
                stopped = active_stop(view)
                idle = not open_instrument_orders(view) and not live_broker_orders(view)
            if stopped:
                self.cancel_at_work()
                return done
            if not idle:
                reconcile(desk)
            done.spawned = spawn_contract_orders(desk)
            done.rolls = generate_roll_orders(desk)
            done.sent, _ = send_orders(desk)
            if done.sent:
                done.fills += poll_orders(desk)
        except BrokerUnavailable as error:
            desk.alerts.send(
                "broker", f"the broker does not answer ({error}); nothing is assumed, the next pass looks again", desk.now()
            )
        with desk.ledger.read() as view:
            done.waiting = len(open_contract_orders(view))
        return done

    def run(self, until: datetime, on_pass: Callable[[Pass], None] | None = None) -> Pass:
        """Pass after pass until `until` (UTC), then end the day's orders. A simulated clock moves a tick a pass, and straight to the end
        when nothing is left to do. Raises StateError if another handler is at work.
        """
        with _alone_on_this_machine(self.desk.home.path / "stack_handler.lock"):
            self._hold_lease()
            try:
                return self._session(until, on_pass)
            finally:
                with self.desk.ledger.begin() as tx:
                    release_lease(tx, LEASE, self.owner)

    def _session(self, until: datetime, on_pass: Callable[[Pass], None] | None) -> Pass:
        desk, total = self.desk, Pass()
        tick = timedelta(minutes=desk.settings.day.tick_minutes)
        reconcile(desk)
        while desk.now() < until:
            self._hold_lease()
            done = self.step()
            total = total + done
            if on_pass:
                on_pass(done)
            with desk.ledger.read() as view:
                over = not open_instrument_orders(view) or active_stop(view) is not None
            self._wait(until if over else min(desk.now() + tick, until), until)
        total.fills += self.end_of_day()
        return total

    def end_of_day(self) -> int:
        """Cancel what is at work, book its last fills, close every order. Nothing survives the night; returns the fills booked."""
        desk = self.desk
        fills = poll_orders(desk)
        self.cancel_at_work()
        deadline = desk.now() + timedelta(seconds=CANCEL_SECONDS)
        fills += poll_orders(desk)
        while self._at_work() and desk.now() < deadline:
            self._wait(desk.now() + timedelta(seconds=POLL_SECONDS), deadline)
            fills += poll_orders(desk)
        if left := self._at_work():
            message = f"{', '.join(left)} could not be cancelled within {CANCEL_SECONDS} s; check the broker, then run the stack handler again"
            desk.alerts.send("orders at work after the end of day", message, desk.now())
            raise StateError(message)
        with desk.ledger.begin() as tx:
            close_all_orders(tx, desk.now())
        reconcile(desk)
        return fills

    def cancel_at_work(self) -> None:
        """Ask the broker to cancel every order at work."""
        with self.desk.ledger.read() as view:
            orders = live_broker_orders(view)
        for order in orders:
            try:
                self.desk.broker.cancel(order.client_ref)
            except UnknownOrder:
                continue  # poll_orders decides whether it is lost

    def _at_work(self) -> list[str]:
        with self.desk.ledger.read() as view:
            return [order.client_ref for order in live_broker_orders(view)]

    def _hold_lease(self) -> None:
        with self.desk.ledger.begin() as tx:
            take_lease(tx, LEASE, self.owner, WallClock().now(), LEASE_SECONDS, _was_here)

    def _wait(self, until: datetime, limit: datetime) -> None:
        clock = self.desk.clock
        if isinstance(clock, SimulatedClock):
            clock.advance_to(until)
        else:
            clock.wait(min(POLL_SECONDS, max((limit - clock.now()).total_seconds(), 0)))


@contextmanager
def _alone_on_this_machine(path: Path) -> Iterator[None]:
    """Hold the file `path` locked, which the system undoes when this process dies, however it dies. Raises StateError if another holds it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError("a stack handler of this home is running already on this machine; stop that one first") from error
        yield


def _was_here(owner: str) -> bool:
    """Whether the owner of a lease was on this machine. Whoever holds the file lock knows that it lives no more."""
    return owner.split(" ", 1)[0] == socket.gethostname()


def close_rolled_contract(desk: Desk, code: str, contract: int) -> list[str]:
    """Close what is held of a contract that a tape has rolled out of, at its last price, for the strategies that hold it.

    Returns lines for the report of the day. Interrupted at any point and called again it goes on: what the broker has filled is booked
    first, and orders that were made are used.
    """
    poll_orders(desk)
    with desk.ledger.begin() as tx:
        position = positions_by_contract(tx, desk.account).get((code, contract), 0)
        if not position:
            return []
        underway = [order for order in open_contract_orders(tx) if _closes(order, code, contract)]
        left = position + sum(leg.remaining for order in underway for leg in order.legs)
        for name, part in _holders(tx, code, left) if left else []:
            order = add_instrument_order(
                tx, name, code, -part if name != ROLLS else 0, "balance", desk.today(), desk.now(), contract
            )
            add_contract_order(tx, order, code, "balance", [(contract, -part)], desk.now())
    with desk.ledger.read() as view:
        children = [order for order in open_contract_orders(view) if _closes(order, code, contract)]
    for child in children:
        close_at_last_price(desk, child)
    poll_orders(desk)
    return [f"{code}: {position} of {display(contract)} closed at the last price, since the tape rolled"]


def _closes(order: ContractOrder, code: str, contract: int) -> bool:
    return order.instrument == code and order.order_type == "balance" and [leg.contract for leg in order.legs] == [contract]


def _holders(tx: Connection, code: str, position: int) -> list[tuple[str, int]]:
    """Whose the `position` in an instrument is: (strategy, contracts), the largest holder first; what nobody holds is the first one's."""
    holders = {
        name: held for (name, instrument), held in positions_by_strategy(tx).items() if instrument == code and name != ROLLS
    }
    shares: list[tuple[str, int]] = []
    for name, held in sorted(holders.items(), key=lambda item: (-abs(item[1]), item[0])):
        if held * position > 0:
            part = held if abs(held) <= abs(position) else position
            shares.append((name, part))
            position -= part
    return [*shares, (next(iter(sorted(holders)), ROLLS), position)] if position else shares
