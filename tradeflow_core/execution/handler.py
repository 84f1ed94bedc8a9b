"""The stack handler: polls the broker, books fills, makes and sends the orders that are due, pass after pass until its session ends.

All its state is in the ledger, so that it may be killed at any instant and started again. Only one trades at a time (session.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from tradeflow_core.brokers import BrokerUnavailable
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError, TradeflowError
from tradeflow_core.execution.fills import poll_orders, request_cancel
from tradeflow_core.execution.held_back import Hindrances, why_unfilled
from tradeflow_core.execution.reconciliation import reconcile
from tradeflow_core.execution.rolls import finish_rolls, generate_roll_orders, lagging_rolls
from tradeflow_core.execution.send import send_orders
from tradeflow_core.execution.session import LEASE, TradingSession, trading_session
from tradeflow_core.execution.spawn import spawn_contract_orders
from tradeflow_core.home import WallClock
from tradeflow_core.ledger import (
    LedgerBusy,
    active_stop,
    close_all_orders,
    count_open_contract_orders,
    find_lease,
    has_open_instrument_orders,
    live_broker_orders,
    unfinished_rolls,
    unwanted_broker_orders,
)
from tradeflow_core.model import CLOSING_HOUR

POLL_SECONDS = 5
"""Time between two passes in a live home: short enough that a person who watches sees a fill booked."""
ROUNDS = 5
"""How often one pass sends what the fills of this very pass make due: the second leg of an outright roll goes out with the fills of the
first, and a pass that is repeated after a kill finds nothing more to do. A bound, so that the next pass reconciles and looks for stops."""
AFTER_CLOSE = time(CLOSING_HOUR, 5)
"""When a replay looks at the closes of a day, in the desk's time zone."""
CANCEL_SECONDS = 60
"""How long a broker may take to confirm cancellations before an alert asks a person to look."""
STOP_SECONDS = 15
"""How long `tradeflow stop` leaves the cancellations to a running handler: three of its passes."""


class Unsupervised(StateError):
    """The process that started the handler is gone; the handler has ended its session."""


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
        self._lagging: set[str] = set()
        self._hindrances = Hindrances()
        self._has_looked_back = False

    def step(self) -> Pass:
        """One pass: fills of orders at work, positions against the broker's, new contract and roll orders, new broker orders, their fills.

        A broker that does not answer ends the pass: what is recorded stays, and nothing is concluded from its silence.
        """
        desk, done = self.desk, Pass()
        try:
            done.fills = poll_orders(desk, long_ago=not self._has_looked_back)
            self._has_looked_back = True
            with desk.ledger.read() as view:
                stopped = active_stop(view)
                idle = not has_open_instrument_orders(view, desk.account) and not live_broker_orders(view, desk.account)
                unwanted = unwanted_broker_orders(view, desk.account)
            if stopped:
                self.cancel_at_work()
                return done
            for order in unwanted:
                request_cancel(desk, order, now=desk.now(), why="the order above it is closed")
            if not idle:
                reconcile(desk)
            for _ in range(ROUNDS):
                done.rolls += finish_rolls(desk)
                done.spawned += spawn_contract_orders(desk)
                done.rolls += generate_roll_orders(desk)
                sent, blocked = send_orders(desk)
                self._hindrances.note(blocked, desk.now())
                if not sent:
                    break
                done.sent += sent
                done.fills += poll_orders(desk)
            self._watch_outright_rolls()
        except BrokerUnavailable as error:
            self._tell_silence(error)
        with desk.ledger.read() as view:
            done.waiting = count_open_contract_orders(view, desk.account)
        return done

    def run(
        self,
        until: datetime,
        on_pass: Callable[[Pass], None] | None = None,
        is_supervised: Callable[[], bool] = lambda: True,
    ) -> Pass:
        """Pass after pass until `until` (UTC), then `end_of_day`. A simulated clock moves one tick with each pass, and to `until` when
        nothing is left to do. Raises StateError if another handler is at work, or takes over.

        When it is interrupted (Ctrl-C, a run that is terminated in Dagster), orders at work are cancelled before it ends; the next session
        goes on with what is left of them. `is_supervised` is asked before each pass: where whoever started the handler is gone, it does the
        same and raises Unsupervised.
        """
        with trading_session(self.desk) as session:
            try:
                return self._work(session, until, on_pass, is_supervised=is_supervised)
            except Unsupervised as error:
                self._cancel_interrupted()
                self.desk.alerts.send("handler without supervision", str(error), self.desk.now(), is_new=True)
                raise
            except Exception:
                raise
            except BaseException:  # an interruption: of the person, or of Dagster, whose class for it is not known here
                self._cancel_interrupted()
                raise

    def _work(
        self,
        session: TradingSession,
        until: datetime,
        on_pass: Callable[[Pass], None] | None,
        *,
        is_supervised: Callable[[], bool],
    ) -> Pass:
        desk, total = self.desk, Pass()
        self._reconcile()
        while desk.now() < until:
            if not is_supervised():
                raise Unsupervised(
                    "whoever started this stack handler is gone, and nobody could stop it; its orders were cancelled, start it again"
                )
            try:
                session.prolong()
                done = self.step()
                with desk.ledger.read() as view:
                    over = not has_open_instrument_orders(view, desk.account) or active_stop(view) is not None
            except LedgerBusy as error:
                desk.alerts.send("ledger", f"{error}; the next pass looks again", desk.now())
                done, over = Pass(), False
            total = total + done
            if on_pass:
                on_pass(done)
            self._wait(until if over else self._next_pass(until), until)
        total.fills += self.end_of_day()
        return total

    def _next_pass(self, until: datetime) -> datetime:
        """When the next pass is by a simulated clock: a tick later; in a replay also just after the day's close, which a long tick would miss."""
        desk, now = self.desk, self.desk.now()
        later = now + timedelta(minutes=desk.settings.day.tick_minutes)
        if desk.settings.market == "replay" and now < (close := desk.home.at(desk.today(), AFTER_CLOSE)):
            later = min(later, close)
        return min(later, until)

    def end_of_day(self) -> int:
        """Cancel what is at work, book its last fills, close every order: no order outlives its day. Returns the number of fills booked."""
        desk = self.desk
        deadline = desk.now() + timedelta(seconds=CANCEL_SECONDS)
        fills = self._cancel_and_collect(deadline)
        if self._at_work():
            # What the broker reports as ended is ended; a fill that is still missing is booked when it is reported.
            fills += poll_orders(desk, accept_ends=True)
        if left := self._at_work():
            message = (
                f"{', '.join(left)} could not be cancelled within {CANCEL_SECONDS} s; check the broker, then run the stack handler again "
                "(an order that the broker does not know: `tradeflow orders settle`; a fill that it never reports: `tradeflow orders fill`)"
            )
            desk.alerts.send("orders at work after the end of day", message, desk.now())
            raise StateError(message)
        why = why_unfilled(desk, self._hindrances)
        with desk.ledger.begin() as tx:
            close_all_orders(tx, desk.account, desk.now(), why=why)
            rests = unfinished_rolls(tx, desk.account)
        for instrument, rest in rests.items():
            text = f"{instrument}: {rest} contracts are left of a roll that is half done (`tradeflow positions`); the next session trades them first"
            desk.alerts.send(f"unfinished roll {instrument}", text, desk.now())
        self._reconcile()
        return fills

    def _cancel_and_collect(self, deadline: datetime) -> int:
        """Have every order at work cancelled and book its fills, until none is left or the time is up; returns the number of fills.

        Raises BrokerUnavailable where the broker does not answer all the while.
        """
        fills, is_cancelled = 0, False
        while True:
            silent: BrokerUnavailable | None = None
            try:
                fills += poll_orders(self.desk)
                if not is_cancelled:
                    self.cancel_at_work()
                    is_cancelled = True
                    fills += poll_orders(self.desk)
            except BrokerUnavailable as error:
                silent = error
            if self.desk.now() >= deadline or (silent is None and not self._at_work()):
                break
            self._wait(min(self.desk.now() + timedelta(seconds=POLL_SECONDS), deadline), deadline)
        if silent is not None:
            raise silent
        return fills

    def _watch_outright_rolls(self) -> None:
        """Tell a person, once a session, about outright rolls of which the second leg lags behind the first."""
        with self.desk.ledger.read() as view:
            lagging = lagging_rolls(view, self.desk)
        for instrument, what in lagging.items():
            if instrument not in self._lagging:
                self.desk.alerts.send(f"roll lags {instrument}", f"{instrument}: {what}", self.desk.now())
        self._lagging = set(lagging)

    def _reconcile(self) -> None:
        """Compare positions with the broker's; where it does not answer, the next pass does."""
        try:
            reconcile(self.desk)
        except BrokerUnavailable as error:
            self._tell_silence(error)

    def _tell_silence(self, error: BrokerUnavailable) -> None:
        text = f"the broker does not answer ({error}); nothing is assumed, the next pass looks again"
        self.desk.alerts.send("broker", text, self.desk.now())

    def _cancel_interrupted(self) -> None:
        try:
            self.cancel_at_work()
            poll_orders(self.desk)
        except TradeflowError as error:
            text = f"the handler was interrupted and could not cancel its orders ({error}); run it again, or `tradeflow stop`"
            self.desk.alerts.send("interrupted", text, self.desk.now())

    def cancel_after_stop(self) -> list[str]:
        """Have every order at work cancelled after trading was stopped: by the handler that is at work, or else here.

        Returns the references of orders whose end the broker has not confirmed. A handler that does not do it within `STOP_SECONDS` loses
        its session: then it can neither write nor send.
        """
        deadline = WallClock().now() + timedelta(seconds=STOP_SECONDS)
        while self._at_work() and self._another_trades() and WallClock().now() < deadline:
            WallClock().wait(0.2)
        if self._at_work():
            with trading_session(self.desk, by_force=True):
                self.cancel_at_work()
                poll_orders(self.desk)
        return self._at_work()

    def _another_trades(self) -> bool:
        with self.desk.ledger.read() as view:
            lease = find_lease(view, LEASE)
        return lease is not None and lease.is_held(WallClock().now())

    def cancel_at_work(self) -> None:
        """Ask the broker to cancel every order at work."""
        with self.desk.ledger.read() as view:
            orders = live_broker_orders(view, self.desk.account)
        for order in orders:
            request_cancel(self.desk, order, now=self.desk.now(), why="what is at work is cancelled")

    def _at_work(self) -> list[str]:
        with self.desk.ledger.read() as view:
            return [order.client_ref for order in live_broker_orders(view, self.desk.account)]

    def _wait(self, until: datetime, limit: datetime) -> None:
        clock = self.desk.clock
        if self.desk.settings.time_is_real:
            clock.wait(min(POLL_SECONDS, max((limit - clock.now()).total_seconds(), 0)))
        else:
            clock.advance_to(until)
