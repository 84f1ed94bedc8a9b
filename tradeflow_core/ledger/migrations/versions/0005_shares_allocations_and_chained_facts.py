"""shares, allocations and chained facts

Revision ID: 0005
Revises: 0004

Contract orders work for shares of instrument orders; fills are allocated to strategies; executions may replace others, and may be of no
order of ours; orders carry their account, who made them and why, and every change of one is an event; facts carry a hash of themselves
and of the row before. The ledger gets an identity.

The account of what is recorded is that of its broker orders and fills; an instrument order without any belongs to the account of the
others, or to none that trades where there are none at all. Events of orders that were made before begin with their status now.
"""

import json
import uuid
from datetime import datetime
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

from tradeflow_core.home import WallClock

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHAINED = (
    *("roll_events", "roll_states", "price_marks", "account_values", "capital_events", "order_events", "fills", "commissions"),
    *("allocations", "trading_stops", "locks", "overrides", "position_limits", "trade_limits"),
)
CONTROLS = ("trading_stops", "locks", "overrides", "position_limits", "trade_limits")
ENDS = ("ended_at", "ended_by", "ended_why")
BEFORE = "before this was recorded"


def upgrade() -> None:
    op.create_table(
        "identity",
        sa.Column("id", sa.String(40), primary_key=True, comment="a random id of this ledger, given when it was made"),
        sa.Column("made_at", sa.DateTime(), nullable=False),
    )
    now = WallClock().now().replace(tzinfo=None)
    op.get_bind().execute(sa.insert(reflected("identity")).values(id=uuid.uuid4().hex, made_at=now))
    with op.batch_alter_table("capital_events") as batch:
        batch.add_column(sa.Column("voids", sa.Integer(), nullable=True, comment="the event that this one takes back"))
        batch.create_foreign_key("fk_capital_events_voids", "capital_events", ["voids"], ["id"])
    orders_and_shares()
    legs()
    order_events()
    fills_and_allocations()
    strategy_positions()
    chain()


def reflected(name: str) -> sa.Table:
    return sa.Table(name, sa.MetaData(), autoload_with=op.get_bind())


def rows_of(query: str) -> list[dict]:
    return [dict(row) for row in op.get_bind().execute(sa.text(query)).mappings()]


def add_rows(name: str, rows: list[dict]) -> None:
    if rows:
        op.get_bind().execute(sa.insert(reflected(name)), rows)


def orders_and_shares() -> None:
    of_instrument_order = (
        "(select min(b.account) from broker_orders b join contract_orders c on c.id = b.contract_order_id "
        "where c.instrument_order_id = instrument_orders.id)"
    )
    any_account = "coalesce((select min(account) from broker_orders), (select min(account) from account_values), '')"
    with op.batch_alter_table("instrument_orders") as batch:
        batch.add_column(sa.Column("account", sa.String(40), nullable=True))
        batch.add_column(sa.Column("limit_price", sa.Float(), nullable=True))
        batch.add_column(sa.Column("who", sa.String(60), nullable=False, server_default="tradeflow"))
        batch.add_column(sa.Column("why", sa.Text(), nullable=False, server_default=""))
    op.execute(f"update instrument_orders set account = coalesce({of_instrument_order}, {any_account})")
    with op.batch_alter_table("instrument_orders") as batch:
        batch.alter_column("account", existing_type=sa.String(40), nullable=False)
        for name, kind in (("who", sa.String(60)), ("why", sa.Text())):
            batch.alter_column(name, existing_type=kind, existing_nullable=False, server_default=None)
        batch.alter_column(
            "reference_price",
            existing_type=sa.Float(),
            existing_nullable=True,
            comment="the mid price that the decision was made on, of the reference contract",
        )
    op.create_table(
        "shares",
        sa.Column("contract_order_id", sa.Integer(), nullable=False),
        sa.Column("instrument_order_id", sa.Integer(), nullable=False),
        sa.Column(
            "quantity",
            sa.Integer(),
            nullable=False,
            comment="contracts for this instrument order; the sum over its legs for a spread",
        ),
        sa.Column("filled", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["contract_order_id"], ["contract_orders.id"], name="fk_shares_contract_order_id"),
        sa.ForeignKeyConstraint(["instrument_order_id"], ["instrument_orders.id"], name="fk_shares_instrument_order_id"),
        sa.PrimaryKeyConstraint("contract_order_id", "instrument_order_id", name="pk_shares"),
    )
    op.create_index("ix_shares_instrument_order_id", "shares", ["instrument_order_id"])
    op.execute(
        "insert into shares (contract_order_id, instrument_order_id, quantity, filled) "
        "select c.id, c.instrument_order_id, sum(l.quantity), sum(l.filled) from contract_orders c "
        "join contract_order_legs l on l.contract_order_id = c.id group by c.id, c.instrument_order_id"
    )
    # Rolls count what is filled of them too now: the sum over both legs.
    op.execute(
        "update instrument_orders set filled = coalesce((select sum(s.filled) from shares s "
        "where s.instrument_order_id = instrument_orders.id), 0)"
    )
    with op.batch_alter_table("contract_orders") as batch:
        batch.add_column(sa.Column("account", sa.String(40), nullable=True))
        batch.add_column(sa.Column("limit_price", sa.Float(), nullable=True))
        batch.add_column(
            sa.Column("follows", sa.Integer(), nullable=True, comment="the order of which it trades no more than is filled")
        )
    op.execute(
        "update contract_orders set account = (select account from instrument_orders i where i.id = contract_orders.instrument_order_id)"
    )
    op.drop_index("ix_contract_orders_instrument_order_id", "contract_orders")
    with op.batch_alter_table("contract_orders") as batch:
        batch.alter_column("account", existing_type=sa.String(40), nullable=False)
        batch.drop_constraint("fk_contract_orders_instrument_order_id", type_="foreignkey")
        batch.drop_column("instrument_order_id")
        batch.create_foreign_key("fk_contract_orders_follows", "contract_orders", ["follows"], ["id"])
    with op.batch_alter_table("broker_orders") as batch:
        batch.add_column(sa.Column("quoted_at", sa.DateTime(), nullable=True))
        batch.alter_column(
            "status",
            existing_type=sa.String(20),
            existing_nullable=False,
            comment="sending, unknown, working, cancelling, filled, cancelled, rejected, expired, never_arrived",
        )


def legs() -> None:
    for level in ("contract", "broker"):
        name = f"{level}_order_legs"
        with op.batch_alter_table(name) as batch:
            batch.add_column(sa.Column("instrument", sa.String(40), nullable=True))
        op.execute(
            f"update {name} set instrument = (select instrument from {level}_orders o where o.id = {name}.{level}_order_id)"
        )
        with op.batch_alter_table(name) as batch:
            batch.alter_column("instrument", existing_type=sa.String(40), nullable=False)


def order_events() -> None:
    op.create_table(
        "order_events",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("level", sa.String(20), nullable=False, comment="instrument, contract, broker"),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("before", sa.String(20), nullable=True, comment="status; null: it was made"),
        sa.Column("after", sa.String(20), nullable=False),
        sa.Column("fixed", sa.String(64), nullable=True, comment="of a new order: hash of what never changes of it"),
        sa.Column("who", sa.String(60), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=True),
    )
    op.create_index("ix_order_events_order", "order_events", ["level", "order_id"])
    for level in ("instrument", "contract", "broker"):
        op.execute(
            "insert into order_events (level, order_id, after, who, why, recorded_at) "
            f"select '{level}', id, status, 'tradeflow', '{BEFORE}', coalesce(closed_at, created_at) from {level}_orders order by id"
        )


def fills_and_allocations() -> None:
    op.create_table(
        "commissions",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("exec_id", sa.String(80), nullable=False, comment="of a fill that was booked without one"),
        sa.Column("commission", sa.String(40), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("recorded_at", sa.DateTime(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=True),
        sa.UniqueConstraint("exec_id", name="uq_commissions_exec_id"),
    )
    op.create_table(
        "allocations",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("account", sa.String(40), nullable=False),
        sa.Column("strategy", sa.String(60), nullable=False),
        sa.Column("instrument", sa.String(40), nullable=False),
        sa.Column("contract", sa.Integer(), nullable=True, comment="null: a transfer between strategies"),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price", sa.Float(), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("fill_id", sa.Integer(), nullable=True, comment="null: a transfer"),
        sa.Column("instrument_order_id", sa.Integer(), nullable=True, comment="of which it is a fill"),
        sa.Column("contract_order_id", sa.Integer(), nullable=True),
        sa.Column("who", sa.String(60), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=True),
        sa.ForeignKeyConstraint(["fill_id"], ["fills.id"], name="fk_allocations_fill_id"),
        sa.ForeignKeyConstraint(["instrument_order_id"], ["instrument_orders.id"], name="fk_allocations_instrument_order_id"),
        sa.ForeignKeyConstraint(["contract_order_id"], ["contract_orders.id"], name="fk_allocations_contract_order_id"),
    )
    for column in ("fill_id", "instrument_order_id", "contract_order_id", "time"):
        op.create_index(f"ix_allocations_{column}", "allocations", [column])
    op.create_index("ix_allocations_holder", "allocations", ["account", "instrument", "strategy"])
    add_rows(
        "allocations",
        [
            {**row, "who": "broker", "why": ""}
            for row in typed_rows_of(
                sa.text(
                    "select f.account, f.strategy, f.instrument, f.contract, f.quantity, f.price, f.time, f.id as fill_id, "
                    "s.instrument_order_id, s.contract_order_id, f.recorded_at from fills f "
                    "join broker_orders b on b.id = f.broker_order_id join shares s on s.contract_order_id = b.contract_order_id "
                    "order by f.id"
                ).columns(time=sa.DateTime(), recorded_at=sa.DateTime(), price=sa.Float())
            )
        ],
    )
    with op.batch_alter_table("fills") as batch:
        batch.add_column(
            sa.Column(
                "replaces",
                sa.String(80),
                nullable=True,
                comment="the execution whose place it takes: a correction, or with quantity 0 a bust",
            )
        )
        batch.add_column(
            sa.Column(
                "change",
                sa.Integer(),
                nullable=True,
                comment="of the position: quantity, less that of the execution which it replaces",
            )
        )
        batch.add_column(sa.Column("broker_id", sa.String(60), nullable=False, server_default=""))
        batch.add_column(sa.Column("bid", sa.Float(), nullable=True, comment="quote of the contract when the fill was booked"))
        batch.add_column(sa.Column("ask", sa.Float(), nullable=True))
        batch.add_column(sa.Column("quoted_at", sa.DateTime(), nullable=True))
        batch.add_column(sa.Column("who", sa.String(60), nullable=False, server_default="broker"))
        batch.add_column(sa.Column("why", sa.Text(), nullable=False, server_default=""))
        batch.add_column(sa.Column("hash", sa.String(64), nullable=True))
    op.execute("update fills set change = quantity")
    with op.batch_alter_table("fills") as batch:
        batch.drop_column("strategy")
        batch.alter_column("change", existing_type=sa.Integer(), nullable=False)
        batch.alter_column(
            "broker_order_id", existing_type=sa.Integer(), nullable=True, comment="null: not of an order of ours"
        )
        batch.alter_column("leg", existing_type=sa.Integer(), nullable=True)
        batch.alter_column(
            "commission",
            existing_type=sa.String(40),
            existing_nullable=True,
            comment="as told with the execution; told later: commissions",
        )
        for name, kind in (("broker_id", sa.String(60)), ("who", sa.String(60)), ("why", sa.Text())):
            batch.alter_column(name, existing_type=kind, existing_nullable=False, server_default=None)
        batch.create_unique_constraint("uq_fills_replaces", ["replaces"])


def typed_rows_of(query: sa.sql.selectable.TextualSelect) -> list[dict]:
    return [dict(row) for row in op.get_bind().execute(query).mappings()]


def strategy_positions() -> None:
    op.drop_table("strategy_positions")
    op.create_table(
        "strategy_positions",
        sa.Column("account", sa.String(40), nullable=False),
        sa.Column("strategy", sa.String(60), nullable=False),
        sa.Column("instrument", sa.String(40), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", "strategy", "instrument", name="pk_strategy_positions"),
    )
    op.execute(
        "insert into strategy_positions (account, strategy, instrument, quantity) "
        "select account, strategy, instrument, sum(quantity) from allocations group by account, strategy, instrument"
    )


# --- hashes --------------------------------------------------------------------------------------------------------------


def chain() -> None:
    fixed_parts_of_orders()
    for name in CHAINED:
        columns = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(name)}
        with op.batch_alter_table(name) as batch:
            if "hash" not in columns:
                batch.add_column(sa.Column("hash", sa.String(64), nullable=True))
            if name in CONTROLS:
                batch.add_column(sa.Column("end_hash", sa.String(64), nullable=True))
        table = reflected(name)
        before, hashes = "", []
        for row in op.get_bind().execute(sa.select(table).order_by(table.c.id)).mappings():
            values = {key: value for key, value in row.items() if key not in ("hash", "end_hash", *ENDS)}
            before = digest(before, values)
            ends = {key: row[key] for key in ENDS if key in row}
            end = digest(before, ends) if any(value is not None for value in ends.values()) else None
            hashes.append({"row": row["id"], "hash": before, **({"end_hash": end} if name in CONTROLS else {})})
        if hashes:
            of_row = sa.update(table).where(table.c.id == sa.bindparam("row"))
            values = {key: sa.bindparam(key) for key in hashes[0] if key != "row"}
            op.get_bind().execute(of_row.values(**values), hashes)
        with op.batch_alter_table(name) as batch:
            batch.alter_column("hash", existing_type=sa.String(64), nullable=False)


def fixed_parts_of_orders() -> None:
    """Record with the first event of each order the hash of what never changes of it."""
    changing = {"id", "filled", "status", "closed_at", "broker_id", "reason", "missing_at"}
    events, bind = reflected("order_events"), op.get_bind()
    parts: dict[int, list[str]] = {}
    for row in rows_of("select * from shares order by contract_order_id, instrument_order_id"):
        parts.setdefault(row["contract_order_id"], []).append(f"{row['instrument_order_id']}:{row['quantity']}")
    for level in ("instrument", "contract", "broker"):
        of_legs: dict[int, list[str]] = {}
        if level != "instrument":
            for row in rows_of(f"select * from {level}_order_legs order by {level}_order_id, leg"):
                of_legs.setdefault(row[f"{level}_order_id"], []).append(f"{row['contract']}:{row['quantity']}")
        table = reflected(f"{level}_orders")
        fixed = []
        for row in bind.execute(sa.select(table).order_by(table.c.id)).mappings():
            values = {key: value for key, value in row.items() if key not in changing}
            shares = " ".join(parts.get(row["id"], [])) if level == "contract" else ""
            words = {**values, "legs": " ".join(of_legs.get(row["id"], [])), "shares": shares}
            fixed.append({"order": row["id"], "hash_of_order": digest("", words)})
        if fixed:
            of_order = sa.update(events).where(events.c.level == level, events.c.order_id == sa.bindparam("order"))
            bind.execute(of_order.values(fixed=sa.bindparam("hash_of_order")), fixed)


def digest(previous: str, values: dict) -> str:
    """As `facts.digest` was when this was written."""
    words = [[name, word(values[name])] for name in sorted(values) if name not in ("id", "hash") and values[name] is not None]
    return sha256(json.dumps([previous, *words]).encode()).hexdigest()


def word(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%f")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value)


def downgrade() -> None:
    raise RuntimeError("facts of this version have no place in an older ledger; restore the copy that was made before the upgrade")
