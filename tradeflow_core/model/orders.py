"""Orders at their three levels, what is sent to a broker, and fills.

A strategy's trade is an *instrument order*. It is worked by one or more *contract orders*, each with one leg or, for a calendar
spread, two; a contract order may work for several instrument orders, each with its *share*. A contract order is worked by one *broker
order* after another. Quantities are whole contracts and signed: positive buys, negative sells, so no type of order has a side of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

ROLLS = "_rolls"
"""Pseudo strategy that owns roll orders, and what is left of a roll that is half done."""
OUTSIDE = "_outside"
"""Owner of trades that people made elsewhere, such as at the broker's terminal, until a person assigns them."""
BY_BROKER = "_broker"
"""Owner of liquidations by the broker, until a person assigns them."""
UNASSIGNED = (OUTSIDE, BY_BROKER)
"""Owners that are no strategies: what they hold has to be assigned by a person."""


class OrderLevel(StrEnum):
    """The three levels of orders."""

    INSTRUMENT = "instrument"
    CONTRACT = "contract"
    BROKER = "broker"


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
    CANCELLING = "cancelling"
    """Its cancellation is asked for, again and again until the broker reports its end. It may still fill."""
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    """Its time at the broker ran out."""
    NEVER_ARRIVED = "never_arrived"
    """The broker has never acknowledged it, and two answers apart in time did not have it."""

    @property
    def is_live(self) -> bool:
        """Whether an order of this status may still fill."""
        return self in LIVE_STATUSES

    def may_become(self, after: BrokerOrderStatus) -> bool:
        """Whether `after` may follow this status, see `NEXT_STATUSES`."""
        return after in NEXT_STATUSES[self]


def _next_statuses() -> dict[BrokerOrderStatus, frozenset[BrokerOrderStatus]]:
    s = BrokerOrderStatus
    ends = {s.FILLED, s.CANCELLED, s.REJECTED, s.EXPIRED}
    return {
        s.SENDING: frozenset({*ends, s.UNKNOWN, s.WORKING, s.CANCELLING, s.NEVER_ARRIVED}),
        s.UNKNOWN: frozenset({*ends, s.WORKING, s.CANCELLING, s.NEVER_ARRIVED}),
        s.WORKING: frozenset({*ends, s.UNKNOWN, s.CANCELLING}),
        s.CANCELLING: frozenset({*ends, s.UNKNOWN, s.NEVER_ARRIVED}),
        **{end: frozenset({s.CANCELLING, *ends} - {end}) for end in (*ends, s.NEVER_ARRIVED)},
    }


LIVE_STATUSES = (
    BrokerOrderStatus.SENDING,
    BrokerOrderStatus.UNKNOWN,
    BrokerOrderStatus.WORKING,
    BrokerOrderStatus.CANCELLING,
)

NEXT_STATUSES = _next_statuses()
"""By status, those that may follow it. An end may be corrected by another that the broker reports later; one of whose order the broker
says that it works becomes `CANCELLING`, never `WORKING`: another order may have taken its place."""

SETTLED_STATUSES = (BrokerOrderStatus.CANCELLED, BrokerOrderStatus.NEVER_ARRIVED)
"""How a person may settle an unknown order: it is over, or it never was there. Its fills, if any, are booked all the same."""


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
    account: str
    strategy: str
    instrument: str
    quantity: int
    filled: int
    order_type: OrderType
    limit_price: float | None
    status: OrderStatus
    day: date
    reference_contract: int | None
    reference_price: float | None
    reference_time: datetime | None
    who: str
    why: str
    created_at: datetime
    closed_at: datetime | None

    @property
    def remaining(self) -> int:
        return remaining(self.quantity, self.filled)


@dataclass(frozen=True, slots=True)
class Share:
    """What a contract order does for one instrument order: signed `quantity`, of which `filled` is done; the sum over both legs of a
    spread, which has one share only. `decided_at`: when the instrument order was made, if prices decided on it (UTC)."""

    instrument_order_id: int
    strategy: str
    quantity: int
    filled: int = 0
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ContractOrder:
    """A trade in one contract, or a calendar spread of two, for the instrument orders of its `shares`.

    `follows`: the contract order of which it trades no more than is filled.
    """

    id: int
    account: str
    instrument: str
    order_type: OrderType
    limit_price: float | None
    follows: int | None
    status: OrderStatus
    reference_price: float | None
    created_at: datetime
    shares: tuple[Share, ...]
    legs: tuple[Leg, ...]

    @property
    def strategies(self) -> tuple[str, ...]:
        """Whose order it is."""
        return tuple(share.strategy for share in self.shares)

    @property
    def decided_at(self) -> datetime | None:
        """When it was decided (UTC), on prices up to then; None where no price decided, as of a roll."""
        return max((share.decided_at for share in self.shares if share.decided_at is not None), default=None)


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order that was, or is about to be, sent to the broker. `client_ref` is our reference, `broker_id` the broker's once it is known;
    `bid` and `ask` are the quote of the first leg when it was sent; `missing_at` (UTC): since when the broker's answers lack it."""

    id: int
    contract_order_id: int
    client_ref: str
    broker_id: str | None
    account: str
    instrument: str
    order_type: OrderType
    limit_price: float | None
    status: BrokerOrderStatus
    bid: float | None
    ask: float | None
    reason: str
    sent_at: datetime
    missing_at: datetime | None
    shares: tuple[Share, ...]
    legs: tuple[Leg, ...]

    @property
    def strategies(self) -> tuple[str, ...]:
        """Whose order it is."""
        return tuple(share.strategy for share in self.shares)


@dataclass(frozen=True, slots=True)
class Quoted:
    """Bid and ask of a contract at `time` (UTC), kept with an order or a fill."""

    bid: float
    ask: float
    time: datetime


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
    was voided (a bust). `time` (UTC) of a correction is that of the correction, not of the trade. `is_liquidation`: the broker traded to
    bring the account within its margin.
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
    is_liquidation: bool = False
