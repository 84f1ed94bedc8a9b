"""The tables of state: facts from broker, market and people, recorded once. Everything else is derived from them.

Rows of facts (roll events, account values, fills, marks, roll states) are appended and never edited. Orders change only in
their filled quantity and status, positions only together with a fill. Controls (stops, locks, overrides, limits) are appended too and
only get an end, once: a changed one ends and another begins.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from tradeflow_core.model import BrokerOrderStatus, OrderStatus, OrderType, OverrideKind, RollState
from tradeflow_core.store import Whole, word_type


class Instant(TypeDecorator[datetime]):
    """A timezone-aware UTC instant, stored without its zone; a naive one is refused."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the instant {value.isoformat()} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Money(TypeDecorator[Decimal]):
    """An exact decimal, stored as text, since SQLite has no decimal type."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Any) -> Decimal | None:
        return None if value is None else Decimal(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True, autoincrement=True)


def _order(name: str) -> Column[int]:
    return Column(name, Integer, ForeignKey(f"{name.removesuffix('_id')}s.id"), nullable=False, index=True)


def _said_by() -> list[Column[Any]]:
    return [
        Column("who", String(60), nullable=False),
        Column("why", Text, nullable=False),
        Column("recorded_at", Instant, nullable=False),
    ]


def _ends() -> list[Column[Any]]:
    """When a control ended, who ended it and why; null while it is in force."""
    return [Column("ended_at", Instant), Column("ended_by", String(60)), Column("ended_why", Text)]


def _one_in_force(table: str, *key: str) -> Index:
    """At most one row in force for a key."""
    in_force = text("ended_at IS NULL")
    return Index(f"uq_{table}_in_force", *key, unique=True, sqlite_where=in_force, postgresql_where=in_force)


# --- contracts and rolls -------------------------------------------------------------------------------------------------

contracts = Table(
    "contracts",
    metadata,
    Column("instrument", String(40), primary_key=True),
    Column("contract", Whole, primary_key=True),
    Column("expiry", Date, nullable=False, comment="last trading date as the broker told it"),
    Column("sampling", Boolean, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)

roll_events = Table(
    "roll_events",
    metadata,
    _id(),
    Column("instrument", String(40), nullable=False, index=True),
    Column(
        "generation",
        Whole,
        nullable=False,
        comment="a new history of the instrument is a new generation; the highest is in force",
    ),
    Column("after", Instant, comment="in force for times later than this; null for the first"),
    Column("price_contract", Whole, nullable=False),
    Column("forward_contract", Whole, nullable=False),
    Column("carry_contract", Whole, nullable=False),
    Column("reason", String(20), nullable=False, comment="calendar, person, auto, import"),
    *_said_by(),
    UniqueConstraint("instrument", "generation", "after"),
)

roll_states = Table(
    "roll_states",
    metadata,
    _id(),
    Column("instrument", String(40), nullable=False, index=True),
    Column("state", word_type(RollState), nullable=False),
    *_said_by(),
)

price_marks = Table(
    "price_marks",
    metadata,
    _id(),
    Column("instrument", String(40), nullable=False, index=True),
    Column("contract", Whole, nullable=False, comment="0: the instrument is an FX code, and the price its rate"),
    Column("time", Instant, nullable=False),
    Column("price", Float, comment="null: the bar at this time is rejected"),
    Column("source", String(20), nullable=False, comment="roll or manual"),
    Column("generation", Whole, comment="of the roll events that it belongs to; null: a person's word, which always counts"),
    *_said_by(),
)

# --- capital -------------------------------------------------------------------------------------------------------------

account_values = Table(
    "account_values",
    metadata,
    _id(),
    Column("account", String(40), nullable=False),
    Column("time", Instant, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("net_liquidation", Money, nullable=False),
    Column("excess_liquidity", Money, nullable=False),
    Column("fx_to_base", Float, nullable=False, comment="base currency for one unit, at the time"),
    UniqueConstraint("account", "time", "currency"),
)

capital_events = Table(
    "capital_events",
    metadata,
    _id(),
    Column("time", Instant, nullable=False),
    Column("kind", String(20), nullable=False, comment="accept (a large change is right) or flow (deposit +, withdrawal -)"),
    Column("amount", Money, nullable=False, comment="base currency; 0 for accept"),
    *_said_by(),
)

# --- orders at three levels, fills, positions ----------------------------------------------------------------------------

instrument_orders = Table(
    "instrument_orders",
    metadata,
    _id(),
    Column("strategy", String(60), nullable=False),
    Column("instrument", String(40), nullable=False),
    Column("quantity", Whole, nullable=False, comment="signed; 0 for a roll"),
    Column("filled", Whole, nullable=False, default=0),
    Column("order_type", word_type(OrderType), nullable=False, comment="best, market, limit, roll, balance"),
    Column("status", word_type(OrderStatus), nullable=False, index=True, comment="open, completed, cancelled"),
    Column("day", Date, nullable=False, index=True, comment="business day for which it was made"),
    Column("reference_contract", Whole),
    Column("reference_price", Float),
    Column("reference_time", Instant),
    Column("created_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Index("ix_instrument_orders_key", "strategy", "instrument"),
)

contract_orders = Table(
    "contract_orders",
    metadata,
    _id(),
    _order("instrument_order_id"),
    Column("instrument", String(40), nullable=False),
    Column("order_type", word_type(OrderType), nullable=False),
    Column("status", word_type(OrderStatus), nullable=False, index=True),
    Column("reference_price", Float, comment="price of the first leg when the order was made"),
    Column("created_at", Instant, nullable=False),
    Column("closed_at", Instant),
)

contract_order_legs = Table(
    "contract_order_legs",
    metadata,
    Column("contract_order_id", Integer, ForeignKey("contract_orders.id"), primary_key=True),
    Column("leg", Whole, primary_key=True),
    Column("contract", Whole, nullable=False),
    Column("quantity", Whole, nullable=False),
    Column("filled", Whole, nullable=False, default=0),
)

broker_orders = Table(
    "broker_orders",
    metadata,
    _id(),
    _order("contract_order_id"),
    Column("client_ref", String(40), nullable=False, unique=True, comment="ours, unique for ever"),
    Column("account", String(40), nullable=False),
    Column("instrument", String(40), nullable=False),
    Column("order_type", word_type(OrderType), nullable=False),
    Column("limit_price", Float),
    Column(
        "status",
        word_type(BrokerOrderStatus),
        nullable=False,
        index=True,
        comment="sending, unknown, working, filled, cancelled, rejected, never_arrived",
    ),
    Column("broker_id", String(60)),
    Column("bid", Float, comment="quote of the first leg when the order was sent"),
    Column("ask", Float),
    Column("reason", Text, nullable=False, default=""),
    Column("created_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("missing_at", Instant, comment="since when the broker's answers lack it; null: they have it"),
    Column("closed_at", Instant),
)

broker_order_legs = Table(
    "broker_order_legs",
    metadata,
    Column("broker_order_id", Integer, ForeignKey("broker_orders.id"), primary_key=True),
    Column("leg", Whole, primary_key=True),
    Column("contract", Whole, nullable=False),
    Column("quantity", Whole, nullable=False),
    Column("filled", Whole, nullable=False, default=0),
)

fills = Table(
    "fills",
    metadata,
    _id(),
    Column("exec_id", String(80), nullable=False, unique=True, comment="the broker's; a fill is booked once"),
    _order("broker_order_id"),
    Column("leg", Whole, nullable=False),
    Column("account", String(40), nullable=False),
    Column("strategy", String(60), nullable=False),
    Column("instrument", String(40), nullable=False),
    Column("contract", Whole, nullable=False),
    Column("quantity", Whole, nullable=False),
    Column("price", Float, nullable=False),
    Column("time", Instant, nullable=False, index=True),
    Column("commission", Money),
    Column("currency", String(3), nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Index("ix_fills_contract", "instrument", "contract"),
)

contract_positions = Table(
    "contract_positions",
    metadata,
    Column("account", String(40), primary_key=True),
    Column("instrument", String(40), primary_key=True),
    Column("contract", Whole, primary_key=True),
    Column("quantity", Whole, nullable=False),
)

strategy_positions = Table(
    "strategy_positions",
    metadata,
    Column("strategy", String(60), primary_key=True),
    Column("instrument", String(40), primary_key=True),
    Column("quantity", Whole, nullable=False),
)

# --- controls ------------------------------------------------------------------------------------------------------------

trading_stops = Table(
    "trading_stops",
    metadata,
    _id(),
    Column("scope", String(40), nullable=False, server_default="", comment="what is stopped; empty: all trading"),
    *_said_by(),
    *_ends(),
    _one_in_force("trading_stops", "scope"),
)

locks = Table(
    "locks",
    metadata,
    _id(),
    Column("instrument", String(40), nullable=False),
    Column("owner", String(40), nullable=False, comment="who may lift it: prices, stale, execution, reconciliation, person"),
    *_said_by(),
    *_ends(),
    _one_in_force("locks", "instrument", "owner"),
)

overrides = Table(
    "overrides",
    metadata,
    _id(),
    Column("strategy", String(60), nullable=False, default="", comment="empty: every strategy"),
    Column("instrument", String(40), nullable=False, default="", comment="empty: every instrument"),
    Column("kind", word_type(OverrideKind), nullable=False, comment="fraction, reduce_only, no_trading"),
    Column("fraction", Float, nullable=False, default=1.0),
    *_said_by(),
    *_ends(),
    _one_in_force("overrides", "strategy", "instrument"),
)

position_limits = Table(
    "position_limits",
    metadata,
    _id(),
    Column("strategy", String(60), nullable=False, default="", comment="empty: sum over strategies"),
    Column("instrument", String(40), nullable=False),
    Column("contracts", Whole, nullable=False),
    *_said_by(),
    *_ends(),
    _one_in_force("position_limits", "strategy", "instrument"),
)

trade_limits = Table(
    "trade_limits",
    metadata,
    _id(),
    Column("strategy", String(60), nullable=False, default="", comment="empty: every strategy"),
    Column("instrument", String(40), nullable=False),
    Column("days", Whole, nullable=False),
    Column("contracts", Whole, nullable=False),
    *_said_by(),
    *_ends(),
    _one_in_force("trade_limits", "strategy", "instrument", "days"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("owner", String(80), nullable=False, comment="a random id; empty: nobody has it"),
    Column("generation", Whole, nullable=False, server_default="0", comment="higher with every new owner"),
    Column("about", Text, nullable=False, server_default="", comment="host, process and home of the owner, for people"),
    Column("acquired_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

day_steps = Table(
    "day_steps",
    metadata,
    Column("day", Date, primary_key=True),
    Column("step", String(40), primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant, nullable=False),
    Column("seconds", Float, nullable=False, comment="measured duration of the work"),
    Column("summary", Text, nullable=False),
)
