"""Faults on request: a broker around the simulated one that does wrong what the settings ask for, to practise with and to test with.

Corrections, voided trades, refusals and what others trade are facts of the exchange (`fault_events`). Everything else is only in what
this broker says: it keeps reports and answers back, gives them twice or in another order, and loses its session.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from tradeflow_core.brokers.base import (
    AccountSnapshot,
    BrokerUnavailable,
    ContractSpec,
    ExecutionsSnapshot,
    Health,
    MarginChange,
    OrdersSnapshot,
    OrderState,
    Quote,
    SessionLost,
)
from tradeflow_core.brokers.paper.broker import PaperBroker
from tradeflow_core.brokers.paper.fault_events import FaultChoice, FaultFacts
from tradeflow_core.home import FaultSettings
from tradeflow_core.model import Fill, OrderIntent

if TYPE_CHECKING:
    import pandas as pd

EXAGGERATION = 3
"""How many times the real size a quote shows that leads to a partial fill."""


class FaultyBroker:
    """A `Broker` that is `inner` with the faults of `settings`. Data about prices and contracts are left alone."""

    def __init__(self, inner: PaperBroker, settings: FaultSettings) -> None:
        self.inner, self.name, self._settings = inner, inner.name, settings
        # Longer than it denies an order, so that a denied one is not given up.
        self.ack_time = timedelta(minutes=settings.denied_minutes + 1)
        self._choice = FaultChoice(inner, settings)
        self._facts = FaultFacts(inner, settings, self._choice)
        self._generation = 0
        self._broken = ""
        self._sent: set[str] = set()
        self._denied: dict[str, datetime] = {}
        self._cancels: dict[str, datetime] = {}

    def connect(self, generation: int = 0) -> None:
        """Begin a session of that `generation`; raises SessionLost."""
        self.inner.connect(generation)
        self._generation, self._broken = generation, ""
        # A snapshot of a new session is complete: only orders that are sent from now on may be denied.
        self._sent.clear()
        self._denied.clear()

    def close(self) -> None:
        """Release the book. A cancellation that has not taken effect yet is forgotten."""
        self.inner.close()

    def server_time(self) -> datetime:
        """The time of the clock (UTC)."""
        return self.inner.server_time()

    def health(self) -> Health:
        """The session's health; after a drop it is bad until the next call, which synchronises anew."""
        health = self.inner.health()
        return replace(health, connected=False, reason=self._broken) if self._broken else health

    def accounts(self) -> list[str]:
        """The one account of the exchange."""
        return self.inner.accounts()

    def account_snapshot(self, account: str) -> AccountSnapshot:
        """Value of the account now."""
        self._go_on(account)
        return self.inner.account_snapshot(account)

    def positions(self, account: str) -> dict[tuple[str, int], int]:
        """Contracts held now; raises BrokerUnavailable where the session drops or the broker is silent."""
        self._ask(account, "positions")
        return self.inner.positions(account)

    def contract(self, instrument: str, contract: int) -> ContractSpec:
        """Facts of one contract."""
        return self.inner.contract(instrument, contract)

    def contracts(self, instrument: str, since: date | None = None) -> list[ContractSpec]:
        """Listed contracts in order of expiry."""
        return self.inner.contracts(instrument, since)

    def bars(self, instrument: str, contract: int, frequency: str, *, start: datetime, end: datetime) -> pd.DataFrame:
        """Complete bars of the simulated broker."""
        return self.inner.bars(instrument, contract, frequency, start=start, end=end)

    def fx_rates(self, currency: str, start: datetime, end: datetime) -> pd.Series:
        """Daily closing rates."""
        return self.inner.fx_rates(currency, start, end)

    def is_open(self, instrument: str) -> bool:
        """Whether the market trades now; on a day with odd hours the broker says that it does not."""
        day = self.inner.clock.now().date().isoformat()
        return self.inner.is_open(instrument) and not self._choice.strikes("odd_hours", instrument, day)

    def quote(self, instrument: str, contract: int) -> Quote:
        """Current quote, or one with another price or size than can be had; raises NoQuote."""
        quote = self.inner.quote(instrument, contract)
        event = (instrument, contract, quote.time.isoformat())
        if self._choice.strikes("moved_prices", *event):
            ticks = self._choice.ticks(*event)
            bid, ask = (self._facts.moved(instrument, price, ticks=ticks) for price in (quote.bid, quote.ask))
            quote = replace(quote, bid=bid, ask=ask)
        if self._choice.strikes("partial_fills", *event):
            sizes = (quote.bid_size * EXAGGERATION, quote.ask_size * EXAGGERATION)
            quote = replace(quote, bid_size=sizes[0], ask_size=sizes[1])
        return quote

    def submit(self, intent: OrderIntent) -> OrderState:
        """Place the order; raises OrderRejected, SessionLost, or BrokerUnavailable: it may have arrived or not."""
        self._use_line(intent.account)
        now = self.inner.clock.now()
        legs = [(leg.contract, leg.quantity) for leg in intent.legs]
        event = (intent.instrument, legs, now.isoformat())
        if self._choice.strikes_once("lost_orders", *event):
            raise BrokerUnavailable(f"order {intent.client_ref}: no answer; a fault on request lost the order")
        why = (
            f"order {intent.client_ref}: refused by a fault on request" if self._choice.strikes("rejected_orders", *event) else ""
        )
        state = self.inner.exchange.submit(intent, now, self._generation, refuse=why)
        self._sent.add(state.broker_id)
        if self._choice.strikes_once("lost_answers", *event):
            raise BrokerUnavailable(f"order {intent.client_ref}: no answer; a fault on request lost the answer")
        return state

    def modify(self, client_ref: str, limit_price: float) -> None:
        """Change the limit of a working order; raises as the simulated broker does, or BrokerUnavailable."""
        self._use_line(None)
        self.inner.modify(client_ref, limit_price)

    def cancel(self, client_ref: str) -> None:
        """Cancel a working order, at once or when time has moved on; raises UnknownOrder, SessionLost, BrokerUnavailable."""
        self._use_line(None)
        now = self.inner.clock.now()
        states = [state for account in self.accounts() for state in self.inner.orders(account).orders]
        numbers = [state.broker_id for state in states if state.client_ref == client_ref]
        if client_ref not in self._cancels and any(self._choice.strikes("late_cancels", number) for number in numbers):
            self._cancels[client_ref] = now
        if self._cancels.get(client_ref) != now:
            self.inner.cancel(client_ref)

    def what_if(self, intent: OrderIntent) -> MarginChange:
        """Margin before and after the order, and its commission."""
        self._use_line(intent.account)
        return self.inner.what_if(intent)

    def orders(self, account: str) -> OrdersSnapshot:
        """Orders without those that are denied; raises BrokerUnavailable where the session drops or the broker is silent."""
        self._ask(account, "orders")
        snapshot = self.inner.orders(account)
        return replace(snapshot, orders=tuple(state for state in snapshot.orders if not self._is_denied(state)))

    def executions(self, account: str, since: datetime | None = None) -> ExecutionsSnapshot:
        """Executions: late, twice, in another order or without commission; raises BrokerUnavailable as `orders` does."""
        self._ask(account, "executions")
        snapshot = self.inner.executions(account, since)
        reported = [report for fill in snapshot.fills if (report := self._reported(fill))]
        again = [fill for fill in reported if self._choice.strikes("doubled_executions", fill.exec_id)]
        reported.sort(key=lambda fill: not self._choice.strikes("disordered_executions", fill.exec_id))
        return replace(snapshot, fills=(*reported, *again))

    def _reported(self, fill: Fill) -> Fill | None:
        """The execution as it is reported now; None while it is not."""
        is_young = self.inner.clock.now() < fill.time + timedelta(minutes=self._settings.delay_minutes)
        if is_young and self._choice.strikes("late_executions", fill.exec_id):
            return None
        return replace(fill, commission=None) if is_young and self._choice.strikes("late_commissions", fill.exec_id) else fill

    def _is_denied(self, state: OrderState) -> bool:
        """Whether the order is missing from this snapshot: only an order that was sent in this session, and for a time."""
        if state.broker_id not in self._sent or not self._choice.strikes("denied_orders", state.broker_id):
            return False
        now = self.inner.clock.now()
        is_first = state.broker_id not in self._denied
        since = self._denied.setdefault(state.broker_id, now)
        return is_first or now < since + timedelta(minutes=self._settings.denied_minutes)

    def _ask(self, account: str, question: str) -> None:
        """What comes before the answer to a question about orders, executions or positions."""
        self._use_line(account)
        now = self.inner.clock.now().isoformat()
        if self._choice.strikes_once("silences", question, now):
            raise BrokerUnavailable(f"no answer about {question}; a fault on request keeps the broker silent")

    def _use_line(self, account: str | None) -> None:
        """Synchronise anew after a drop, or drop the session; then let happen what is due at the exchange."""
        if self._broken:
            self.connect(self._generation)
        if self._choice.strikes_once("session_drops", self.inner.clock.now().isoformat()):
            self._broken = "the session was dropped by a fault on request"
            raise BrokerUnavailable(f"{self._broken}; the next call synchronises anew")
        for each in [account] if account else self.accounts():
            self._go_on(each)

    def _go_on(self, account: str) -> None:
        """What is due at the exchange happens; cancellations that were late take effect after the orders were matched."""
        if account not in self.accounts():
            return
        self._facts.happen(account)
        now = self.inner.clock.now()
        for reference, asked_at in list(self._cancels.items()):
            if now > asked_at:
                del self._cancels[reference]
                # Whoever has taken the session meanwhile decides about the order; a question must not fail because of it.
                with suppress(SessionLost):
                    self.inner.cancel(reference)
