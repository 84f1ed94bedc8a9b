"""The paper broker: the `Broker` interface over a market, a paper exchange and a clock."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pandas as pd

from tradeflow_core.brokers.base import (
    AccountSnapshot,
    ContractSpec,
    ExecutionsSnapshot,
    Health,
    MarginChange,
    OrdersSnapshot,
    OrderState,
    Quote,
)
from tradeflow_core.brokers.paper.exchange import Exchange
from tradeflow_core.brokers.paper.market import Market
from tradeflow_core.home import Clock
from tradeflow_core.model import OrderIntent


class PaperBroker:
    """A `Broker` that trades on `market` at the time of `clock`, with the book at `book_url`.

    It has no threads and never waits; nothing happens between two calls. All instances that open the same book, in any
    process, are one broker. `capital` is in `base_currency` and is used only when the book is made.
    """

    name = "paper"
    ack_time = timedelta(0)

    def __init__(
        self, market: Market, clock: Clock, *, book_url: str, account: str, base_currency: str, capital: Decimal
    ) -> None:
        self.market, self.clock = market, clock
        self.exchange = Exchange(market, book_url, account, base_currency=base_currency, capital=capital)
        self._generation = self._resync = 0

    def connect(self, generation: int = 0) -> None:
        """Begin a session of that `generation`; every one has a `resync` number of its own. Raises SessionLost."""
        self._resync = self.exchange.connect(generation)
        self._generation = generation

    def close(self) -> None:
        """Release the book; orders go on working in it."""
        self._resync = 0
        self.exchange.close()

    def health(self) -> Health:
        """Whether there is a session."""
        return Health(bool(self._resync), self._resync, "" if self._resync else "there is no session; connect first")

    def accounts(self) -> list[str]:
        """The one account of this exchange."""
        return [self.exchange.account]

    def server_time(self) -> datetime:
        """The time of the clock (UTC)."""
        return self.clock.now()

    def account_snapshot(self, account: str) -> AccountSnapshot:
        """Value of the account now, in its base currency."""
        return self.exchange.account_snapshot(account, self.clock.now())

    def positions(self, account: str) -> dict[tuple[str, int], int]:
        """Contracts held now by (instrument, contract), without zeros; an empty dictionary means flat."""
        return self.exchange.positions(account, self.clock.now())

    def contract(self, instrument: str, contract: int) -> ContractSpec:
        """Facts of one contract, expired ones too; raises UnknownContract."""
        return self.market.contract(instrument, contract, self.clock.now())

    def contracts(self, instrument: str, since: date | None = None) -> list[ContractSpec]:
        """Listed contracts in order of expiry; those that expired on or after `since` too, if given."""
        return self.market.contracts(instrument, self.clock.now(), since)

    def bars(self, instrument: str, contract: int, frequency: str, *, start: datetime, end: datetime) -> pd.DataFrame:
        """Complete bars that end in (start, end] and not after now, sorted; raises UnknownContract, NoData."""
        return self.market.bars(instrument, contract, frequency, start=start, end=end, now=self.clock.now())

    def fx_rates(self, currency: str, start: datetime, end: datetime) -> pd.Series:
        """Daily closing rates, US dollars for one unit, by instant in (start, end]; raises NoData."""
        return self.market.fx_rates(currency, start, end, now=self.clock.now())

    def is_open(self, instrument: str) -> bool:
        """Whether the market trades now."""
        return self.market.is_open(instrument, self.clock.now())

    def quote(self, instrument: str, contract: int) -> Quote:
        """Current quote with the sizes that nobody has taken yet; raises NoQuote where there is no usable one."""
        return self.exchange.quote(instrument, contract, self.clock.now())

    def submit(self, intent: OrderIntent) -> OrderState:
        """Place the order, once for each `client_ref`; raises OrderRejected, SessionLost."""
        return self.exchange.submit(intent, self.clock.now(), self._generation)

    def modify(self, client_ref: str, limit_price: float) -> None:
        """Change the limit of a working order, at once. Raises UnknownOrder, OrderRejected, SessionLost."""
        self.exchange.modify(client_ref, limit_price, now=self.clock.now(), generation=self._generation)

    def cancel(self, client_ref: str) -> None:
        """Cancel a working order, at once; what it filled stays. Raises UnknownOrder, SessionLost."""
        self.exchange.cancel(client_ref, self.clock.now(), self._generation)

    def what_if(self, intent: OrderIntent) -> MarginChange:
        """Margin before and after the order, and its commission; raises OrderRejected where it would be refused."""
        return self.exchange.what_if(intent, self.clock.now())

    def orders(self, account: str) -> OrdersSnapshot:
        """Every open order and every one that ended in the last days, by the order in which they came in."""
        now = self.clock.now()
        return OrdersSnapshot(self._resync, now, self.exchange.orders(account, now))

    def executions(self, account: str, since: datetime | None = None) -> ExecutionsSnapshot:
        """Executions of the account in the order in which they happened; with `since`, those of that time and later."""
        now = self.clock.now()
        return ExecutionsSnapshot(self._resync, now, self.exchange.executions(account, now, since))
