"""The tables of the paper exchange's own database, and how it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    insert,
    select,
)

from tradeflow_core.errors import StateError
from tradeflow_core.model import BrokerOrderStatus, OrderType
from tradeflow_core.store import Whole, create_sql_engine, word_type

_metadata = MetaData()

account_table = Table(
    "account",
    _metadata,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("account", String, nullable=False),
    Column("base_currency", String, nullable=False),
    Column("capital", String, nullable=False),
)

orders = Table(
    "orders",
    _metadata,
    Column("broker_id", Integer, primary_key=True),
    Column("client_ref", String, nullable=False, unique=True),
    Column("account", String, nullable=False),
    Column("instrument", String, nullable=False),
    Column("order_type", word_type(OrderType), nullable=False),
    Column("limit_price", Float),
    Column("status", word_type(BrokerOrderStatus), nullable=False, index=True),
    Column("reason", String, nullable=False, default=""),
    Column("submitted", String, nullable=False),
    Column("fills", Whole, nullable=False, default=0),
    # How much of one quote the order has used up; a quote counts once for each period of `QUOTE_LIFE`.
    Column("quote_bucket", BigInteger, nullable=False, default=-1),
    Column("hit_units", Whole, nullable=False, default=0),
    sqlite_autoincrement=True,
)

legs = Table(
    "legs",
    _metadata,
    Column("broker_id", ForeignKey("orders.broker_id"), primary_key=True),
    Column("leg", Whole, primary_key=True, autoincrement=False),
    Column("contract", Whole, nullable=False),
    Column("quantity", Whole, nullable=False),
    Column("filled", Whole, nullable=False),
    CheckConstraint("abs(filled) <= abs(quantity) and filled * quantity >= 0", name="filled_within_quantity"),
)

executions = Table(
    "executions",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("exec_id", String, nullable=False),
    Column("broker_id", ForeignKey("orders.broker_id"), nullable=False, index=True),
    Column("contract", Whole, nullable=False),
    Column("quantity", Whole, nullable=False),
    Column("price", Float, nullable=False),
    Column("time", String, nullable=False),
    Column("commission", String, nullable=False),
    Column("currency", String, nullable=False),
    UniqueConstraint("exec_id"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class BookAccount:
    """The account that a book belongs to, and the capital that it began with."""

    account: str
    base_currency: str
    capital: Decimal


def open_book(url: str, account: str, base_currency: str, *, capital: Decimal) -> Engine:
    """The book at `url`, made if there is none. Raises StateError where it belongs to another account or currency."""
    engine = create_sql_engine(url)
    with engine.begin() as connection:
        _metadata.create_all(connection)
        if connection.execute(select(account_table.c.one)).first() is None:
            connection.execute(
                insert(account_table).values(one=1, account=account, base_currency=base_currency, capital=str(capital))
            )
        stored = read_account(connection)
    if (stored.account, stored.base_currency) != (account, base_currency):
        raise StateError(
            f"the book {engine.url.render_as_string()} belongs to the account {stored.account} in {stored.base_currency}, "
            f"not to {account} in {base_currency}; correct the settings or use another home"
        )
    return engine


def read_account(connection: Connection) -> BookAccount:
    """The account of an open book."""
    row = connection.execute(select(account_table)).one()
    return BookAccount(row.account, row.base_currency, Decimal(row.capital))
