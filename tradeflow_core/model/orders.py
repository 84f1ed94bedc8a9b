"""Orders at their three levels, what is sent to a broker, and fills.

A strategy's trade is an *instrument order*. It is worked by one or more *contract orders*, each with one leg or, for a calendar
spread, two. A contract order is worked by one *broker order* after another. Quantities are whole contracts and signed: positive buys,
negative sells, so no type of order has a side of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

ROLLS = "_rolls"
"""Pseudo strategy that owns roll orders."""


class OrderType(StrEnum):
    """Why an order was made and how it is worked."""

    BEST = "best"
    """A strategy's trade, at the best price that can be had."""
    ROLL = "roll"
    """A position moves from the priced contract to the forward one."""
    BALANCE = "balance"
    """A correction of the ledger after a trade made elsewhere; nothing is sent."""
    MARKET = "market"
    LIMIT = "limit"
    LAST = "last"
    """Filled at the last price of the contract, market open or not. Only the paper exchange of a replay takes it."""


class OrderStatus(StrEnum):
    """Status of an instrument or contract order."""

    OPEN = "open"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class BrokerOrderStatus(StrEnum):
    """Status of a broker order, in the ledger and at the broker (who has neither `SENDING`, `UNKNOWN` nor `NEVER_ARRIVED`)."""

    SENDING = "sending"
    """The intent is recorded; whether the broker has received it is not known yet."""
    UNKNOWN = "unknown"
    """The broker's answer did not have it: it may have been lost on its way, or the answer is wrong. It may still fill."""
    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NEVER_ARRIVED = "never_arrived"
    """The broker has never acknowledged it, and two answers apart in time did not have it."""

    @property
    def is_live(self) -> bool:
        """Whether an order of this status may still fill."""
        return self in LIVE_STATUSES


SETTLED_STATUSES = (BrokerOrderStatus.CANCELLED, BrokerOrderStatus.NEVER_ARRIVED)
"""How a person may settle an unknown order: it is over, or it never was there. Its fills, if any, are booked all the same."""

LIVE_STATUSES = (BrokerOrderStatus.SENDING, BrokerOrderStatus.UNKNOWN, BrokerOrderStatus.WORKING)


def remaining(quantity: int, filled: int) -> int:
    """What is left of an order; 0 of an order that was filled with more than its quantity, which is never traded back."""
    return quantity - filled if (quantity - filled) * quantity > 0 else 0


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg of an order: signed `quantity` of `contract`, of which `filled` (of the same sign) is done."""

    contract: int
    quantity: int
    filled: int = 0

    @property
    def remaining(self) -> int:
        return remaining(self.quantity, self.filled)


@dataclass(frozen=True, slots=True)
class InstrumentOrder:
    """What a strategy wants to trade of an instrument, for the business day `day`.

    The reference is what the decision was made on: a contract, its price, and the time of that price (UTC).
    """

    id: int
    strategy: str
    instrument: str
    quantity: int
    filled: int
    order_type: OrderType
    status: OrderStatus
    day: date
    reference_contract: int | None
    reference_price: float | None
    reference_time: datetime | None
    created_at: datetime
    closed_at: datetime | None

    @property
    def remaining(self) -> int:
        return remaining(self.quantity, self.filled)


@dataclass(frozen=True, slots=True)
class ContractOrder:
    """A trade in one contract, or a calendar spread of two, for the strategy of its instrument order."""

    id: int
    instrument_order_id: int
    strategy: str
    instrument: str
    order_type: OrderType
    status: OrderStatus
    reference_price: float | None
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order that was, or is about to be, sent to the broker. `client_ref` is our reference, `broker_id` the broker's once it is known;
    `bid` and `ask` are the quote of the first leg when it was sent; `missing_at` (UTC): since when the broker's answers lack it."""

    id: int
    contract_order_id: int
    strategy: str
    client_ref: str
    broker_id: str | None
    account: str
    instrument: str
    order_type: OrderType
    status: BrokerOrderStatus
    bid: float | None
    ask: float | None
    sent_at: datetime
    missing_at: datetime | None
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """What we want the broker to do. `client_ref` is ours, unique for ever: submitting the same one twice makes one order.

    `limit_price` of a spread is the price of the first leg minus that of the second.
    """

    client_ref: str
    account: str
    instrument: str
    legs: tuple[Leg, ...]
    order_type: OrderType = OrderType.MARKET
    limit_price: float | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of one leg, or a later change of one. `exec_id` is the broker's and unique; `quantity` is signed.

    `client_ref` is "" for an execution that is not of an order of ours, such as a trade at the broker's terminal. `broker_id` is the
    broker's number of the order. `commission` is None until it is known: the same `exec_id` may be reported again later with it.

    `replaces` is the `exec_id` of the execution that this one corrects and whose place it takes; with a `quantity` of 0 that execution
    was voided (a bust). `time` (UTC) of a correction is that of the correction, not of the trade.
    """

    exec_id: str
    client_ref: str
    account: str
    instrument: str
    contract: int
    quantity: int
    price: float
    time: datetime
    commission: Decimal | None
    currency: str
    broker_id: str = ""
    replaces: str | None = None
