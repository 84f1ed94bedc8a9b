"""Which faults happen, and those that are facts of the exchange: corrections, voided trades, and trades made elsewhere.

Whether a fault happens follows from the seed and from what it happens to, not from our references or from how often we ask. What must
happen only once is marked in the exchange's book, so that a client that is started again goes on from there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from tradeflow_core.brokers.paper.book import LIQUIDATION
from tradeflow_core.brokers.paper.broker import PaperBroker
from tradeflow_core.brokers.paper.market import round_to, tick_size, unit_hash
from tradeflow_core.errors import StateError
from tradeflow_core.home import FaultSettings, split_explicit
from tradeflow_core.model import Fill, Leg, OrderIntent, OrderType

LOOKBACK = timedelta(days=3)
"""Trades that are older are no longer changed, however long a desk was down."""
MAX_TICKS = 3
FAR_AWAY = 0.9
"""A foreign order that goes on working buys at this part of the price."""


class FaultChoice:
    """Decides which events have a fault."""

    def __init__(self, broker: PaperBroker, settings: FaultSettings) -> None:
        self._broker, self._settings = broker, settings
        self._explicit = [split_explicit(text) for text in settings.explicit]
        self._open = set(range(len(self._explicit)))

    def strikes(self, fault: str, *event: object) -> bool:
        """Whether the event has that fault; the answer for an event stays the same."""
        if unit_hash(self._settings.seed, fault, *event) < getattr(self._settings, fault):
            return True
        name = "/".join(map(str, (fault, *event)))
        return any(self._is_explicit(number, name) for number, (kind, _) in enumerate(self._explicit) if kind == fault)

    def strikes_once(self, fault: str, *event: object) -> bool:
        """The same, but only the first time that this is asked about the event, in whichever process."""
        return self.strikes(fault, *event) and self._broker.exchange.mark("/".join(map(str, ("once", fault, *event))))

    def share(self, *parts: object) -> float:
        """A number in [0, 1) for anything else that has to be chosen."""
        return unit_hash(self._settings.seed, *parts)

    def ticks(self, *parts: object) -> int:
        """A number of ticks, from 1 to `MAX_TICKS` or the same negative."""
        ticks = 1 + int(self.share("ticks", *parts) * MAX_TICKS)
        return ticks if self.share("sign", *parts) < 0.5 else -ticks

    def _is_explicit(self, number: int, event: str) -> bool:
        """Whether the explicit fault is for this event: the first one of its kind that came at or after its time."""
        instant = self._explicit[number][1]
        exchange = self._broker.exchange
        if number in self._open and instant is not None and self._broker.clock.now() >= instant:
            self._open.discard(number)
            if exchange.mark(f"explicit/{number}/{self._settings.explicit[number]}"):
                exchange.mark(f"chosen/{number}/{event}")
        return exchange.is_marked(f"chosen/{number}/{event}")


class FaultFacts:
    """What goes wrong at the exchange itself, as time goes on."""

    def __init__(self, broker: PaperBroker, settings: FaultSettings, choice: FaultChoice) -> None:
        self._broker, self._choice = broker, choice
        self._delay = timedelta(minutes=settings.delay_minutes)
        self._done_at: datetime | None = None
        self._placed: set[str] = set()

    def happen(self, account: str) -> None:
        """Let everything happen that is due by now, once for each instant."""
        now = self._broker.clock.now()
        if now == self._done_at:
            return
        self._done_at = now
        fills = self._broker.exchange.executions(account, now, now - LOOKBACK)
        changed = {fill.replaces for fill in fills if fill.replaces}
        # What was traded at this very instant waits for the next one: a client that is started again at it must find the same.
        ours = [fill for fill in fills if fill.client_ref and not fill.replaces and fill.time < now]
        for fill in ours:
            self._elsewhere(fill, now)
        due = [fill for fill in ours if fill.exec_id not in changed and fill.time + self._delay <= now]
        self._change(due, now)
        self._liquidate(account, now, busy={(fill.instrument, fill.contract) for fill in fills if fill.time == now})

    def _change(self, fills: Iterable[Fill], now: datetime) -> None:
        trades: dict[str, list[Fill]] = defaultdict(list)
        for fill in fills:
            trades[trade_of(fill)].append(fill)
        for trade, parts in trades.items():
            voided = self._choice.strikes("busted_executions", trade)
            for fill in parts:
                if voided:
                    self._replace(fill, 0, price=fill.price, now=now)
                elif self._choice.strikes("corrected_executions", fill.exec_id):
                    price = self.moved(fill.instrument, fill.price, ticks=self._choice.ticks(fill.exec_id))
                    self._replace(fill, fill.quantity, price=price, now=now)

    def _replace(self, fill: Fill, quantity: int, *, price: float, now: datetime) -> None:
        # Another process of the desk may have let it happen since the executions were read.
        with suppress(StateError):
            self._broker.exchange.change_execution(fill.exec_id, quantity, price=price, now=now)

    def _elsewhere(self, fill: Fill, now: datetime) -> None:
        if self._choice.strikes("foreign_trades", fill.exec_id):
            quantity = self._choice.ticks("foreign", fill.exec_id)
            self._place(fill.account, fill.instrument, Leg(fill.contract, quantity), reference=f"trade/{fill.exec_id}", now=now)
        if self._choice.strikes("foreign_orders", fill.exec_id):
            limit = round_to(self._step(fill.instrument, fill.price), fill.price - (1 - FAR_AWAY) * abs(fill.price))
            leg = Leg(fill.contract, 1)
            self._place(fill.account, fill.instrument, leg, reference=f"order/{fill.exec_id}", now=now, limit=limit)

    def _liquidate(self, account: str, now: datetime, busy: set[tuple[str, int]]) -> None:
        for (instrument, contract), quantity in self._broker.exchange.positions(account, now).items():
            event = (instrument, contract, now.date())
            is_due = (instrument, contract) not in busy and self._broker.is_open(instrument)
            if is_due and self._choice.strikes("liquidations", *event):
                reference = f"{LIQUIDATION}{instrument}/{contract}/{now.date()}"
                self._place(account, instrument, Leg(contract, -quantity), reference=reference, now=now)

    def _place(
        self, account: str, instrument: str, leg: Leg, *, reference: str, now: datetime, limit: float | None = None
    ) -> None:
        if reference in self._placed:
            return
        self._placed.add(reference)
        order_type = OrderType.MARKET if limit is None else OrderType.LIMIT
        intent = OrderIntent(reference, account, instrument, (leg,), order_type=order_type, limit_price=limit)
        self._broker.exchange.trade_elsewhere(intent, now)

    def moved(self, instrument: str, price: float, *, ticks: int) -> float:
        """The price moved by so many ticks."""
        return round(price + ticks * self._step(instrument, price), 10)

    def _step(self, instrument: str, price: float) -> float:
        return float(tick_size(self._broker.market.instruments[instrument], price))


def trade_of(fill: Fill) -> str:
    """What the executions of all legs of one trade have in common."""
    return fill.exec_id.rsplit(".", 1)[0]
