"""The `Broker` interface: everything that tradeflow needs from a broker, with its types and errors.

Every call is synchronous and has a deadline. A failure is a typed error, never an empty answer. Three outcomes are kept
apart: `BrokerUnavailable` (no answer, so nothing is known), `NoData` (the broker has no data at all for this contract or
currency), and an empty frame (it has data, but none in the window).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from tradeflow_core.errors import TradeflowError
from tradeflow_core.model import BrokerOrderStatus, Fill, OrderIntent

if TYPE_CHECKING:
    import pandas as pd

BAR_COLUMNS = ["contract", "frequency", "start", "end", "OPEN", "HIGH", "LOW", "FINAL", "VOLUME"]
"""Columns of a frame of bars: contract int64, frequency text `D`, `H` or finer, start and end `datetime64[us, UTC]`, the rest float64."""


class BrokerError(TradeflowError):
    """Base class of all errors of a broker."""


class BrokerUnavailable(BrokerError):
    """No answer in time, or no connection. After `submit` this means: outcome unknown, find the order by its reference."""


class UnknownContract(BrokerError):
    """The broker does not know the contract."""


class NoData(BrokerError):
    """The broker has no data at all for this contract or currency."""


class NoQuote(BrokerError):
    """There is no usable bid and ask now: market closed, no quotes, or one side missing."""


class OrderRejected(BrokerError):
    """The broker refused the order; it does not exist there."""


class UnknownOrder(BrokerError):
    """The broker has never seen an order with this reference."""


@dataclass(frozen=True, slots=True)
class ContractSpec:
    """One listed contract: `expiry` is its last trading date."""

    instrument: str
    contract: int
    expiry: date
    currency: str
    point_size: float
    tick: float


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask with their sizes (contracts) at `time`."""

    instrument: str
    contract: int
    time: datetime
    bid: float
    ask: float
    bid_size: int
    ask_size: int

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """What the account is worth at `time`, by currency: net liquidation value and excess liquidity."""

    account: str
    time: datetime
    net_liquidation: dict[str, Decimal]
    excess_liquidity: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class OrderState:
    """What the broker reports about one order: `filled` contracts of each leg, in the order of the legs."""

    client_ref: str
    broker_id: str
    status: BrokerOrderStatus
    filled: tuple[int, ...]
    reason: str = ""


class Broker(Protocol):
    """A connection to a broker. Implementations: the paper exchange on a simulated market, and on a replayed one."""

    name: str

    def connect(self) -> None:
        """Open the session; raises BrokerUnavailable."""

    def close(self) -> None:
        """End the session; orders that work at the broker go on working."""

    def server_time(self) -> datetime:
        """The broker's time (UTC)."""

    def account_snapshot(self, account: str) -> AccountSnapshot: ...

    def positions(self, account: str) -> dict[tuple[str, int], int]:
        """Contracts held now by (instrument, contract), without zeros; an empty dictionary means that the account is flat."""

    def contract(self, instrument: str, contract: int) -> ContractSpec:
        """Facts of one contract; raises UnknownContract."""

    def contracts(self, instrument: str, since: date | None = None) -> list[ContractSpec]:
        """Listed contracts in order of expiry; those that expired on or after `since` too, if given."""

    def bars(self, instrument: str, contract: int, frequency: str, *, start: datetime, end: datetime) -> pd.DataFrame:
        """Complete bars (`BAR_COLUMNS`) that end in (start, end], sorted; raises UnknownContract, NoData, BrokerUnavailable."""

    def fx_rates(self, currency: str, start: datetime, end: datetime) -> pd.Series:
        """Daily closing rates, US dollars for one unit of `currency`, by instant (UTC) of the close in (start, end]."""

    def is_open(self, instrument: str) -> bool:
        """Whether the market trades now."""

    def quote(self, instrument: str, contract: int) -> Quote:
        """Current quote; raises NoQuote where there is no usable one."""

    def submit(self, intent: OrderIntent) -> OrderState:
        """Place the order, once for each `client_ref`; raises OrderRejected, or BrokerUnavailable when the outcome is unknown."""

    def cancel(self, client_ref: str) -> None:
        """Ask for a cancellation; `order_state` reports the outcome. Raises UnknownOrder."""

    def order_state(self, client_ref: str) -> OrderState:
        """The state of the order; raises UnknownOrder when the broker has never seen it."""

    def executions(self, account: str, refs: Sequence[str] | None = None) -> list[Fill]:
        """Fills of the account in order of time; with `refs`, only those of these orders."""
