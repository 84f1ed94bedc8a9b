"""The paper broker: the `Broker` interface over a market, a paper exchange and a clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

import pandas as pd

from tradeflow_core.brokers.base import AccountSnapshot, ContractSpec, OrderState, Quote
from tradeflow_core.brokers.paper.exchange import Exchange
from tradeflow_core.brokers.paper.market import Market
from tradeflow_core.home import Clock
from tradeflow_core.model import Fill, OrderIntent


class PaperBroker:
    """A `Broker` that trades on `market` at the time of `clock`, with the book at `book_url`.

    It has no threads and never waits; nothing happens between two calls. All instances that open the same book, in any
    process, are one broker. `capital` is in `base_currency` and is used only when the book is made.
    """

    name = "paper"

    def __init__(
        self, market: Market, clock: Clock, *, book_url: str, account: str, base_currency: str, capital: Decimal
    ) -> None:
        self._market, self._clock = market, clock
        self._exchange = Exchange(market, book_url, account, base_currency=base_currency, capital=capital)

    def connect(self) -> None:
        """Nothing to open: the book was opened with the broker."""

    def close(self) -> None:
        """Release the book; orders go on working in it."""
        self._exchange.close()

    def server_time(self) -> datetime:
        """The time of the clock (UTC)."""
        return self._clock.now()

    def account_snapshot(self, account: str) -> AccountSnapshot:
        """Value of the account now, in its base currency."""
        return self._exchange.account_snapshot(account, self._clock.now())

    def positions(self, account: str) -> dict[tuple[str, int], int]:
        """Contracts held now by (instrument, contract), without zeros; an empty dictionary means flat."""
        return self._exchange.positions(account, self._clock.now())

    def contract(self, instrument: str, contract: int) -> ContractSpec:
        """Facts of one contract, expired ones too; raises UnknownContract."""
        return self._market.contract(instrument, contract, self._clock.now())

    def contracts(self, instrument: str, since: date | None = None) -> list[ContractSpec]:
        """Listed contracts in order of expiry; those that expired on or after `since` too, if given."""
        return self._market.contracts(instrument, self._clock.now(), since)

    def bars(self, instrument: str, contract: int, frequency: str, *, start: datetime, end: datetime) -> pd.DataFrame:
        """Complete bars that end in (start, end] and not after now, sorted; raises UnknownContract, NoData."""
        return self._market.bars(instrument, contract, frequency, start=start, end=end, now=self._clock.now())

    def fx_rates(self, currency: str, start: datetime, end: datetime) -> pd.Series:
        """Daily closing rates, US dollars for one unit, by instant in (start, end]; raises NoData."""
        return self._market.fx_rates(currency, start, end, now=self._clock.now())

    def is_open(self, instrument: str) -> bool:
        """Whether the market trades now."""
        return self._market.is_open(instrument, self._clock.now())

    def quote(self, instrument: str, contract: int) -> Quote:
        """Current quote; raises NoQuote where there is no usable one."""
        return self._market.quote(instrument, contract, self._clock.now())

    def submit(self, intent: OrderIntent) -> OrderState:
        """Place the order, once for each `client_ref`; raises OrderRejected."""
        return self._exchange.submit(intent, self._clock.now())

    def cancel(self, client_ref: str) -> None:
        """Cancel a working order, at once; what it filled stays. Raises UnknownOrder."""
        self._exchange.cancel(client_ref, self._clock.now())

    def order_state(self, client_ref: str) -> OrderState:
        """The state of the order now; raises UnknownOrder."""
        return self._exchange.order_state(client_ref, self._clock.now())

    def executions(self, account: str, refs: Sequence[str] | None = None) -> list[Fill]:
        """Fills of the account in order of time; with `refs`, only those of these orders."""
        return self._exchange.executions(account, self._clock.now(), refs)
