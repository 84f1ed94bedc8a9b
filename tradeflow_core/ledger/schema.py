"""The tables of state: facts from broker, market and people, recorded once. Everything else is derived from them.

Rows of facts (roll events, account values, executions, allocations, events of orders, marks, roll states) are appended and never edited:
`facts.append` adds them, each with a hash of itself and of the row before. Controls (stops, locks, overrides, limits) are facts that
get an end, once: a changed one ends and another begins. Orders change only in their filled quantity and status, positions only together
with a fill or an allocation: both are sums of facts, kept for speed.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from tradeflow_core.ledger.columns import Instant, Money, ends, hash_of_row, key, one_in_force, order_key, said_by
from tradeflow_core.model import BrokerOrderStatus, OrderLevel, OrderStatus, OrderType, OverrideKind, RollState
from tradeflow_core.store import Whole, word_type

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


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
    key(),
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
    *said_by(),
    hash_of_row(),
    UniqueConstraint("instrument", "generation", "after"),
)

roll_states = Table(
    "roll_states",
    metadata,
    key(),
    Column("instrument", String(40), nullable=False, index=True),
    Column("state", word_type(RollState), nullable=False),
    *said_by(),
    hash_of_row(),
)

price_marks = Table(
    "price_marks",
    metadata,
    key(),
    Column("instrument", String(40), nullable=False, index=True),
    Column("contract", Whole, nullable=False, comment="0: the instrument is an FX code, and the price its rate"),
    Column("time", Instant, nullable=False),
    Column("price", Float, comment="null: the bar at this time is rejected"),
    Column("source", String(20), nullable=False, comment="roll or manual"),
    Column("generation", Whole, comment="of the roll events that it belongs to; null: a person's word, which always counts"),
    *said_by(),
    hash_of_row(),
)

# --- capital -------------------------------------------------------------------------------------------------------------

account_values = Table(
    "account_values",
    metadata,
    key(),
    Column("account", String(40), nullable=False),
    Column("time", Instant, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("net_liquidation", Money, nullable=False),
    Column("excess_liquidity", Money, nullable=False),
    Column("fx_to_base", Float, nullable=False, comment="base currency for one unit, at the time"),
    hash_of_row(),
    UniqueConstraint("account", "time", "currency"),
)

capital_events = Table(
    "capital_events",
    metadata,
    key(),
    Column("time", Instant, nullable=False),
    Column("kind", String(20), nullable=False, comment="what a person says: model.CapitalEventKind"),
    Column("amount", Money, nullable=False, comment="base currency; 0 for void"),
    Column("voids", Integer, ForeignKey("capital_events.id"), comment="the event that this one takes back"),
    *said_by(),
    hash_of_row(),
)

# --- orders at three levels ----------------------------------------------------------------------------------------------

instrument_orders = Table(
    "instrument_orders",
    metadata,
    key(),
    Column("account", String(40), nullable=False),
    Column("strategy", String(60), nullable=False),
    Column("instrument", String(40), nullable=False),
    Column("quantity", Whole, nullable=False, comment="signed; 0 for a roll"),
    Column("filled", Whole, nullable=False, default=0),
    Column("order_type", word_type(OrderType), nullable=False, comment="best, market, limit, roll, balance"),
    Column("limit_price", Float),
    Column("status", word_type(OrderStatus), nullable=False, index=True, comment="open, completed, cancelled"),
    Column("day", Date, nullable=False, index=True, comment="business day for which it was made"),
    Column("reference_contract", Whole),
    Column("reference_price", Float, comment="the mid price that the decision was made on, of the reference contract"),
    Column("reference_time", Instant),
    Column("who", String(60), nullable=False),
    Column("why", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Index("ix_instrument_orders_key", "strategy", "instrument"),
)

contract_orders = Table(
    "contract_orders",
    metadata,
    key(),
    Column("account", String(40), nullable=False),
    Column("instrument", String(40), nullable=False),
    Column("order_type", word_type(OrderType), nullable=False),
    Column("limit_price", Float),
    Column("follows", Integer, ForeignKey("contract_orders.id"), comment="the order of which it trades no more than is filled"),
    Column("status", word_type(OrderStatus), nullable=False, index=True),
    Column("reference_price", Float, comment="price of the first leg when the order was made"),
    Column("created_at", Instant, nullable=False),
    Column("closed_at", Instant),
)

shares = Table(
    "shares",
    metadata,
    Column("contract_order_id", Integer, ForeignKey("contract_orders.id"), primary_key=True),
    Column("instrument_order_id", Integer, ForeignKey("instrument_orders.id"), primary_key=True, index=True),
    Column("quantity", Whole, nullable=False, comment="contracts for this instrument order; the sum over its legs for a spread"),
    Column("filled", Whole, nullable=False, default=0),
)

contract_order_legs = Table(
    "contract_order_legs",
    metadata,
    Column("contract_order_id", Integer, ForeignKey("contract_orders.id"), primary_key=True),
    Column("leg", Whole, primary_key=True),
    Column("instrument", String(40), nullable=False),
    Column("contract", Whole, nullable=False),
    Column("quantity", Whole, nullable=False),
    Column("filled", Whole, nullable=False, default=0),
)

broker_orders = Table(
    "broker_orders",
    metadata,
    key(),
    order_key("contract_order_id"),
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
        comment="sending, unknown, working, cancelling, filled, cancelled, rejected, expired, never_arrived",
    ),
    Column("broker_id", String(60)),
    Column("bid", Float, comment="quote of the first leg when the order was sent"),
    Column("ask", Float),
    Column("quoted_at", Instant),
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
    Column("instrument", String(40), nullable=False),
    Column("contract", Whole, nullable=False),
    Column("quantity", Whole, nullable=False),
    Column("filled", Whole, nullable=False, default=0),
)

order_events = Table(
    "order_events",
    metadata,
    key(),
    Column("level", word_type(OrderLevel), nullable=False, comment="instrument, contract, broker"),
    Column("order_id", Integer, nullable=False),
    Column("before", String(20), comment="status; null: it was made"),
    Column("after", String(20), nullable=False),
    Column("fixed", String(64), comment="of a new order: hash of what never changes of it"),
    *said_by(),
    hash_of_row(),
    Index("ix_order_events_order", "level", "order_id"),
)

# --- executions, whose they are, positions -------------------------------------------------------------------------------

fills = Table(
    "fills",
    metadata,
    key(),
    Column("exec_id", String(80), nullable=False, unique=True, comment="the broker's; a fill is booked once"),
    Column(
        "replaces", String(80), unique=True, comment="the execution whose place it takes: a correction, or with quantity 0 a bust"
    ),
    Column("broker_order_id", Integer, ForeignKey("broker_orders.id"), index=True, comment="null: not of an order of ours"),
    Column("leg", Whole),
    Column("account", String(40), nullable=False),
    Column("instrument", String(40), nullable=False),
    Column("contract", Whole, nullable=False),
    Column("quantity", Whole, nullable=False),
    Column("change", Whole, nullable=False, comment="of the position: quantity, less that of the execution which it replaces"),
    Column("price", Float, nullable=False),
    Column("time", Instant, nullable=False, index=True),
    Column("commission", Money, comment="as told with the execution; told later: commissions"),
    Column("currency", String(3), nullable=False),
    Column("broker_id", String(60), nullable=False, default=""),
    Column("bid", Float, comment="quote of the contract when the fill was booked"),
    Column("ask", Float),
    Column("quoted_at", Instant),
    *said_by(),
    hash_of_row(),
    Index("ix_fills_contract", "instrument", "contract"),
)

commissions = Table(
    "commissions",
    metadata,
    key(),
    Column("exec_id", String(80), nullable=False, unique=True, comment="of a fill that was booked without one"),
    Column("commission", Money, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("recorded_at", Instant, nullable=False),
    hash_of_row(),
)

allocations = Table(
    "allocations",
    metadata,
    key(),
    Column("account", String(40), nullable=False),
    Column("strategy", String(60), nullable=False),
    Column("instrument", String(40), nullable=False),
    Column("contract", Whole, comment="null: a transfer between strategies"),
    Column("quantity", Whole, nullable=False),
    Column("price", Float, nullable=False),
    Column("time", Instant, nullable=False, index=True),
    Column("fill_id", Integer, ForeignKey("fills.id"), index=True, comment="null: a transfer"),
    Column("instrument_order_id", Integer, ForeignKey("instrument_orders.id"), index=True, comment="of which it is a fill"),
    Column("contract_order_id", Integer, ForeignKey("contract_orders.id"), index=True),
    *said_by(),
    hash_of_row(),
    Index("ix_allocations_holder", "account", "instrument", "strategy"),
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
    Column("account", String(40), primary_key=True),
    Column("strategy", String(60), primary_key=True),
    Column("instrument", String(40), primary_key=True),
    Column("quantity", Whole, nullable=False),
)

# --- controls ------------------------------------------------------------------------------------------------------------

trading_stops = Table(
    "trading_stops",
    metadata,
    key(),
    Column("scope", String(40), nullable=False, server_default="", comment="what is stopped; empty: all trading"),
    *said_by(),
    hash_of_row(),
    *ends(),
    one_in_force("trading_stops", "scope"),
)

locks = Table(
    "locks",
    metadata,
    key(),
    Column("instrument", String(40), nullable=False),
    Column("owner", String(40), nullable=False, comment="who may lift it, see LockOwner"),
    *said_by(),
    hash_of_row(),
    *ends(),
    one_in_force("locks", "instrument", "owner"),
)

overrides = Table(
    "overrides",
    metadata,
    key(),
    Column("strategy", String(60), nullable=False, default="", comment="empty: every strategy"),
    Column("instrument", String(40), nullable=False, default="", comment="empty: every instrument"),
    Column("kind", word_type(OverrideKind), nullable=False, comment="fraction, reduce_only, no_trading"),
    Column("fraction", Float, nullable=False, default=1.0),
    *said_by(),
    hash_of_row(),
    *ends(),
    one_in_force("overrides", "strategy", "instrument"),
)

position_limits = Table(
    "position_limits",
    metadata,
    key(),
    Column("strategy", String(60), nullable=False, default="", comment="empty: sum over strategies"),
    Column("instrument", String(40), nullable=False),
    Column("contracts", Whole, nullable=False),
    *said_by(),
    hash_of_row(),
    *ends(),
    one_in_force("position_limits", "strategy", "instrument"),
)

trade_limits = Table(
    "trade_limits",
    metadata,
    key(),
    Column("strategy", String(60), nullable=False, default="", comment="empty: every strategy"),
    Column("instrument", String(40), nullable=False),
    Column("days", Whole, nullable=False),
    Column("contracts", Whole, nullable=False),
    *said_by(),
    hash_of_row(),
    *ends(),
    one_in_force("trade_limits", "strategy", "instrument", "days"),
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

identity = Table(
    "identity",
    metadata,
    Column("id", String(40), primary_key=True, comment="a random id of this ledger, given when it was made"),
    Column("made_at", Instant, nullable=False),
)
