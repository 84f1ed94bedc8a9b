"""The tables of the paper exchange's own database, and how it is opened."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
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
    event,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError

from tradeflow_core.brokers.base import BrokerUnavailable
from tradeflow_core.errors import StateError
from tradeflow_core.model import BrokerOrderStatus, OrderType
from tradeflow_core.store import BUSY_SECONDS, Whole, create_sql_engine, word_type

FOREIGN = "foreign/"
LIQUIDATION = "liquidation/"
"""References of orders that are not the client's begin with this in the book; a client sees "" in their place."""

POINT_SIZE = "point size of "
"""How the condition of an instrument's point size is named."""

_metadata = MetaData()

account_table = Table(
    "account",
    _metadata,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("account", String, nullable=False),
    Column("base_currency", String, nullable=False),
    Column("capital", String, nullable=False),
)

session_table = Table(
    "session",
    _metadata,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    # The highest generation that has claimed the session, and how often a client has connected.
    Column("generation", BigInteger, nullable=False),
    Column("connections", BigInteger, nullable=False),
    # The instant for which the working orders were matched last.
    Column("matched_at", String),
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
    # The limit after a change of the order; the first one stays, so that the same order sent twice is still recognised.
    Column("changed_limit", Float),
    Column("status", word_type(BrokerOrderStatus), nullable=False, index=True),
    Column("reason", String, nullable=False, default=""),
    Column("submitted", String, nullable=False),
    Column("ended", String, index=True),
    Column("fills", Whole, nullable=False, default=0),
    sqlite_autoincrement=True,
)

legs = Table(
    "legs",
    _metadata,
    Column("broker_id", ForeignKey("orders.broker_id"), primary_key=True),
    Column("leg", Whole, primary_key=True, autoincrement=False),
    Column("contract", Whole, nullable=False),
    Column("quantity", Whole, nullable=False),
    # What the executions that still stand add up to, and what was ever matched: a trade that is voided later is not made again.
    Column("filled", Whole, nullable=False),
    Column("matched", Whole, nullable=False, server_default="0"),
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
    Column("time", String, nullable=False, index=True),
    Column("commission", String, nullable=False),
    Column("currency", String, nullable=False),
    # The execution whose place this one takes: a correction, or with quantity 0 a bust.
    Column("replaces", String, unique=True, index=True),
    UniqueConstraint("exec_id"),
    sqlite_autoincrement=True,
)

holdings = Table(
    "holdings",
    _metadata,
    Column("instrument", String, primary_key=True),
    Column("contract", Whole, primary_key=True, autoincrement=False),
    Column("quantity", Whole, nullable=False),
    # Exact decimals. Cash is what sales brought less what purchases cost, in price times contracts.
    Column("cash", String, nullable=False),
    Column("commission", String, nullable=False),
)

liquidity = Table(
    "liquidity",
    _metadata,
    Column("instrument", String, primary_key=True),
    Column("contract", Whole, primary_key=True, autoincrement=False),
    # 1: the ask, which buyers take; -1: the bid.
    Column("side", Whole, primary_key=True, autoincrement=False),
    Column("period", BigInteger, nullable=False),
    Column("taken", Whole, nullable=False),
)

# What faults on request have done already, so that a client that is started again does not meet them again.
marks = Table("marks", _metadata, Column("mark", String, primary_key=True))

# What the market was made with, by the name of the setting: none of it may change under a book.
conditions = Table("conditions", _metadata, Column("name", String, primary_key=True), Column("value", String, nullable=False))


@dataclass(frozen=True, slots=True)
class BookAccount:
    """The account that a book belongs to, and the capital that it began with."""

    account: str
    base_currency: str
    capital: Decimal


@dataclass(frozen=True, slots=True)
class Holding:
    """What all executions of one contract add up to: contracts, cash in price times contracts, commission in the instrument's currency."""

    instrument: str
    contract: int
    quantity: int
    cash: Decimal
    commission: Decimal


def open_book(url: str, account: str, base_currency: str, *, capital: Decimal, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """The book at `url`, made if there is none, and upgraded if an older version made it.

    A book that is held by another process for longer than `busy_seconds`, or that cannot be written, is a broker that does not answer:
    every use of it then raises BrokerUnavailable. Raises StateError where it belongs to another account or currency.
    """
    engine = create_sql_engine(url, busy_seconds=busy_seconds)
    event.listen(engine, "handle_error", _no_answer)
    with engine.begin() as connection:
        _upgrade(connection)
        if connection.execute(select(account_table.c.one)).first() is None:
            connection.execute(
                insert(account_table).values(one=1, account=account, base_currency=base_currency, capital=str(capital))
            )
        if connection.execute(select(session_table.c.one)).first() is None:
            connection.execute(insert(session_table).values(one=1, generation=0, connections=0))
        stored = read_account(connection)
    if (stored.account, stored.base_currency) != (account, base_currency):
        raise StateError(
            f"the book {engine.url.render_as_string()} belongs to the account {stored.account} in {stored.base_currency}, "
            f"not to {account} in {base_currency}; correct the settings or use another home"
        )
    return engine


def require_conditions(
    engine: Engine, made_with: Mapping[str, str], point_sizes: Mapping[str, float], *, capital: Decimal
) -> None:
    """Note what a market was made with, by setting, and point sizes by instrument; what was noted before has to be the same, and so has the
    capital with which the account began.

    Only the point size of an instrument that was never traded may change. Raises StateError naming what has changed, and how it was.
    """
    given = dict(made_with) | {f"{POINT_SIZE}{instrument}": str(size) for instrument, size in point_sizes.items()}
    with engine.begin() as connection:
        stored = read_account(connection)
        if stored.capital != capital:
            raise StateError(
                f"capital is {capital}, and the account of this home began with {stored.capital}, which cannot be changed later; set it back "
                "(`tradeflow capital flow` adds or takes money, `tradeflow capital initial` sets what is traded with), or make another home"
            )
        known = {row.name: row.value for row in connection.execute(select(conditions))}
        traded = {f"{POINT_SIZE}{holding.instrument}" for holding in read_holdings(connection)}
        changed = [name for name, value in given.items() if known.get(name, value) != value]
        if fixed := [name for name in changed if name in traded or not name.startswith(POINT_SIZE)]:
            words = "; ".join(f"{name} is {given[name]} and was {known[name]}" for name in fixed)
            raise StateError(
                f"{words}: the market and the positions of this home were made with that, so it cannot be changed; set it back, or make "
                "another home with `tradeflow init`"
            )
        for name in changed:
            connection.execute(update(conditions).where(conditions.c.name == name).values(value=given[name]))
        if new := [{"name": name, "value": value} for name, value in given.items() if name not in known]:
            connection.execute(insert(conditions), new)


def _no_answer(context: ExceptionContext) -> None:
    if isinstance(context.sqlalchemy_exception, OperationalError):
        raise BrokerUnavailable(f"the book of the paper exchange does not answer ({context.original_exception})")


def read_account(connection: Connection) -> BookAccount:
    """The account of an open book."""
    row = connection.execute(select(account_table)).one()
    return BookAccount(row.account, row.base_currency, Decimal(row.capital))


def read_holdings(connection: Connection, instruments: Collection[str] | None = None) -> list[Holding]:
    """What the executions of every contract add up to, or of those of some `instruments`; sorted, with contracts that are flat again."""
    query = select(holdings).order_by(holdings.c.instrument, holdings.c.contract)
    if instruments is not None:
        query = query.where(holdings.c.instrument.in_(instruments))
    rows = connection.execute(query).all()
    return [Holding(row.instrument, row.contract, row.quantity, Decimal(row.cash), Decimal(row.commission)) for row in rows]


def fold_executions(connection: Connection) -> list[Holding]:
    """The same, added up from the executions that stand: those that no other one replaces."""
    later = executions.alias()
    replaced = select(later.c.number).where(later.c.replaces == executions.c.exec_id).exists()
    query = select(executions, orders.c.instrument).join(orders).where(~replaced).order_by(executions.c.number)
    totals: dict[tuple[str, int], Holding] = {}
    for row in connection.execute(query):
        commission = Decimal(row.commission)
        add_trade(totals, (row.instrument, row.contract), quantity=row.quantity, price=row.price, commission=commission)
    return [totals[key] for key in sorted(totals)]


def add_trade(
    totals: dict[tuple[str, int], Holding], key: tuple[str, int], *, quantity: int, price: float, commission: Decimal
) -> None:
    """Add a trade in `key`, (instrument, contract), to the `totals` of contracts."""
    before = totals.get(key) or Holding(*key, 0, Decimal(0), Decimal(0))
    cash = before.cash - quantity * Decimal(repr(float(price)))
    totals[key] = Holding(*key, before.quantity + quantity, cash, before.commission + commission)


def add_to_holdings(connection: Connection, changes: dict[tuple[str, int], Holding]) -> None:
    """Add `changes`, totals by (instrument, contract), to the holdings of the book."""
    known = read_holdings(connection, {instrument for instrument, _ in changes})
    before = {(holding.instrument, holding.contract): holding for holding in known}
    for key, change in changes.items():
        if key in before:
            held = before[key]
            quantity, cash = held.quantity + change.quantity, held.cash + change.cash
            changes[key] = Holding(*key, quantity, cash, held.commission + change.commission)
    write_holdings(connection, list(changes.values()))


def write_holdings(connection: Connection, changed: list[Holding]) -> None:
    """Replace the rows of these contracts."""
    for holding in changed:
        place = (holdings.c.instrument == holding.instrument, holdings.c.contract == holding.contract)
        connection.execute(holdings.delete().where(*place))
    if changed:
        connection.execute(
            insert(holdings),
            [
                {
                    "instrument": holding.instrument,
                    "contract": holding.contract,
                    "quantity": holding.quantity,
                    "cash": str(holding.cash),
                    "commission": str(holding.commission),
                }
                for holding in changed
            ],
        )


def _upgrade(connection: Connection) -> None:
    """Make the tables that are missing, and give those of an older version the columns of this one."""
    tables = set(inspect(connection).get_table_names())
    _metadata.create_all(connection)
    if "orders" not in tables or "holdings" in tables:
        return
    columns = {column["name"] for column in inspect(connection).get_columns("orders")}
    for name, kind in (("changed_limit", "FLOAT"), ("ended", "VARCHAR")):
        if name not in columns:
            connection.exec_driver_sql(f"ALTER TABLE orders ADD COLUMN {name} {kind}")
    if "quote_bucket" in columns:
        _take_over_liquidity(connection)
    for name in columns & {"quote_bucket", "hit_units"}:
        connection.exec_driver_sql(f"ALTER TABLE orders DROP COLUMN {name}")
    connection.exec_driver_sql("ALTER TABLE executions ADD COLUMN replaces VARCHAR")
    connection.exec_driver_sql("ALTER TABLE legs ADD COLUMN matched INTEGER NOT NULL DEFAULT 0")
    for table in (orders, executions):
        for index in table.indexes:
            index.create(connection, checkfirst=True)
    connection.execute(update(legs).values(matched=legs.c.filled))
    last_fill = select(func.max(executions.c.time)).where(executions.c.broker_id == orders.c.broker_id).scalar_subquery()
    connection.execute(
        update(orders)
        .where(orders.c.status != BrokerOrderStatus.WORKING)
        .values(ended=func.coalesce(last_fill, orders.c.submitted))
    )
    write_holdings(connection, fold_executions(connection))


def _take_over_liquidity(connection: Connection) -> None:
    """What the orders have taken of the newest quotes, which each of them remembered by itself, as that of all orders together."""
    rows = connection.exec_driver_sql(
        "SELECT o.broker_id, o.instrument, o.hit_units, o.quote_bucket, l.contract, l.quantity FROM orders o "
        "JOIN legs l ON l.broker_id = o.broker_id "
        "WHERE o.order_type <> 'last' AND o.hit_units > 0 AND o.quote_bucket = (SELECT max(quote_bucket) FROM orders)"
    ).all()
    units: dict[int, int] = defaultdict(int)
    for row in rows:
        units[row.broker_id] = math.gcd(units[row.broker_id], row.quantity)
    taken: dict[tuple[str, int, int, int], int] = defaultdict(int)
    for row in rows:
        side = 1 if row.quantity > 0 else -1
        contracts = abs(row.quantity) // units[row.broker_id] * row.hit_units
        taken[row.instrument, row.contract, side, row.quote_bucket] += contracts
    if taken:
        names = ("instrument", "contract", "side", "period", "taken")
        connection.execute(insert(liquidity), [dict(zip(names, (*key, size), strict=True)) for key, size in taken.items()])
