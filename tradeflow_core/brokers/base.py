"""The `Broker` interface: everything that tradeflow needs from a broker, with its types and errors.

Every call is synchronous and has a deadline. A failure is a typed error, never an empty answer. Three outcomes are kept
apart: `BrokerUnavailable` (no answer, so nothing is known), `NoData` (the broker has no data at all for this contract or
currency), and an empty frame (it has data, but none in the window).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from tradeflow_core.errors import TradeflowError
from tradeflow_core.model import BrokerOrderStatus, Fill, Leg, OrderIntent, OrderType

if TYPE_CHECKING:
    import pandas as pd

BAR_COLUMNS = ["contract", "frequency", "start", "end", "OPEN", "HIGH", "LOW", "FINAL", "VOLUME"]
"""Columns of a frame of bars: contract int64, frequency text `D`, `H` or finer, start and end `datetime64[us, UTC]`, the rest float64."""

ENDED_ORDERS_REPORTED = timedelta(days=7)
"""How long a broker goes on reporting an order that has ended: a desk that was down over a long weekend still finds it."""


class BrokerError(TradeflowError):
    """Base class of all errors of a broker."""


class BrokerUnavailable(BrokerError):
    """No answer in time, or no connection. After `submit` this means: outcome unknown, find the order by its reference."""


class SessionLost(BrokerError):
    """A newer generation has taken over the session: this client may read, but must not trade any more."""


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
    """Best bid and ask with their sizes (contracts) at `time`.

    `priced_at`: when the newest price behind it was made, where the broker only has prices of the past (a replay); None: at `time`.
    """

    instrument: str
    contract: int
    time: datetime
    bid: float
    ask: float
    bid_size: int
    ask_size: int
    priced_at: datetime | None = None

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
    """What the broker reports about one order. `client_ref` is "" for an order that is not ours, `reason` why it was refused or cancelled.

    What is `filled` of a leg is what the executions that still stand add up to: less than its quantity, even though the status is filled,
    where a trade was voided later.
    """

    client_ref: str
    broker_id: str
    status: BrokerOrderStatus
    account: str
    instrument: str
    legs: tuple[Leg, ...]
    order_type: OrderType = OrderType.MARKET
    limit_price: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OrdersSnapshot:
    """Every open order of an account and every one that ended within `ENDED_ORDERS_REPORTED`, at `time` (UTC).

    `resync` is a number that changes whenever the connection was synchronised anew. What is missing from a snapshot may be on its way
    as long as the number is the same as before; it is not there once a snapshot of a new number lacks it too.
    """

    resync: int
    time: datetime
    orders: tuple[OrderState, ...]


@dataclass(frozen=True, slots=True)
class ExecutionsSnapshot:
    """Executions of an account in the order in which the broker recorded them, at `time` (UTC); `resync` as in `OrdersSnapshot`."""

    resync: int
    time: datetime
    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True)
class MarginChange:
    """What an order would do, all in `currency`: initial margin of the account before and after it, and its commission."""

    currency: str
    before: Decimal
    after: Decimal
    commission: Decimal


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the connection works now, its `resync` number, and why it does not (`reason`, else empty)."""

    connected: bool
    resync: int
    reason: str = ""


class Broker(Protocol):
    """A connection to a broker. Implementations: the paper exchange on a simulated market, and on a replayed one."""

    name: str
    ack_time: timedelta
    """How long the broker may take until its snapshots have an order that was sent; zero: from the moment that `submit` returns."""

    def connect(self, generation: int = 0) -> None:
        """Open the session; raises BrokerUnavailable.

        A `generation` above 0 claims the right to trade: it takes the session from every lower one, which then gets SessionLost from
        `submit`, `modify` and `cancel`. Raises SessionLost where a higher one has claimed it before. With 0 nothing is claimed: such a
        client reads, and trades only as long as nobody has claimed the session.
        """

    def close(self) -> None:
        """End the session; orders that work at the broker go on working."""

    def server_time(self) -> datetime:
        """The broker's time (UTC)."""

    def health(self) -> Health:
        """Whether the connection works; never raises."""

    def accounts(self) -> list[str]:
        """The accounts that this session may trade."""

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
        """Place the order, once for each `client_ref`.

        Raises OrderRejected, SessionLost, or BrokerUnavailable when the outcome is unknown.
        """

    def modify(self, client_ref: str, limit_price: float) -> None:
        """Ask for another limit price; `orders` reports the outcome: an order that has ended meanwhile stays as it is.

        Raises UnknownOrder, OrderRejected (not a limit order, or no usable price), SessionLost, or BrokerUnavailable.
        """

    def cancel(self, client_ref: str) -> None:
        """Ask for a cancellation; `orders` reports the outcome. Raises UnknownOrder, SessionLost, or BrokerUnavailable."""

    def what_if(self, intent: OrderIntent) -> MarginChange:
        """What the order would cost, without placing it; raises OrderRejected where it would be refused."""

    def orders(self, account: str) -> OrdersSnapshot:
        """Every open order and every order that ended within `ENDED_ORDERS_REPORTED`, by the order in which they came in."""

    def executions(self, account: str, since: datetime | None = None) -> ExecutionsSnapshot:
        """Executions of the account, corrections included; with `since`, those whose time is not before it.

        An execution, or its commission, may be told some time after it happened: ask from well before the last one that is known.
        """
