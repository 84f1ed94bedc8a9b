"""controls are appended and end

Revision ID: 0003
Revises: 0002

Locks, overrides and limits were deleted when they ended and had their natural keys as primary keys; now each is a row with an id that
gets an end. What is in force stays in force. Of former ones there is nothing left to convert, but for stops, whose ends were kept.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEYS = {
    "locks": ("instrument", "owner"),
    "overrides": ("strategy", "instrument"),
    "position_limits": ("strategy", "instrument"),
    "trade_limits": ("strategy", "instrument", "days"),
}
OWNERS = "who may lift it: prices, stale, execution, reconciliation, person"
IN_FORCE = sa.text("ended_at IS NULL")


def columns(table: str) -> list[sa.Column]:
    """What a table said before and says now, besides id and end; made anew for each table that is made."""
    everywhere = {"overrides": "every strategy", "position_limits": "sum over strategies", "trade_limits": "every strategy"}
    strategy = sa.Column("strategy", sa.String(60), nullable=False, comment=f"empty: {everywhere.get(table)}")
    instrument = sa.Column("instrument", sa.String(40), nullable=False)
    contracts = sa.Column("contracts", sa.Integer(), nullable=False)
    said = {
        "locks": [instrument, sa.Column("owner", sa.String(40), nullable=False, comment=OWNERS)],
        "overrides": [
            strategy,
            sa.Column("instrument", sa.String(40), nullable=False, comment="empty: every instrument"),
            sa.Column("kind", sa.String(20), nullable=False, comment="fraction, reduce_only, no_trading"),
            sa.Column("fraction", sa.Float(), nullable=False),
        ],
        "position_limits": [strategy, instrument, contracts],
        "trade_limits": [strategy, instrument, sa.Column("days", sa.Integer(), nullable=False), contracts],
    }[table]
    return [
        *said,
        sa.Column("who", sa.String(60), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(), nullable=False),
    ]


def ends() -> list[sa.Column]:
    return [sa.Column("ended_at", sa.DateTime()), sa.Column("ended_by", sa.String(60)), sa.Column("ended_why", sa.Text())]


def rows_of(table: str, *, only: sa.TextClause | None = None) -> list[dict]:
    """Rows of a table with their values and without ids, in the order of their recording."""
    source = sa.table(table, *(sa.column(column.name, column.type) for column in columns(table)))
    query = sa.select(source).order_by(source.c.recorded_at, *(source.c[name] for name in KEYS[table]))
    return [dict(row) for row in op.get_bind().execute(query if only is None else query.where(only)).mappings()]


def replace(table: str, *parts: sa.schema.SchemaItem, rows: list[dict]) -> None:
    """Drop a table and make it anew with these parts and rows: a few, and SQLite cannot change a primary key."""
    op.drop_table(table)
    made = op.create_table(table, *parts)
    if rows:
        op.bulk_insert(made, rows)


def one_in_force(table: str, *key: str) -> None:
    op.create_index(f"uq_{table}_in_force", table, list(key), unique=True, sqlite_where=IN_FORCE, postgresql_where=IN_FORCE)


def upgrade() -> None:
    for table, key in KEYS.items():
        number = sa.Column("id", sa.Integer(), autoincrement=True, nullable=False)
        primary = sa.PrimaryKeyConstraint("id", name=f"pk_{table}")
        replace(table, number, *columns(table), *ends(), primary, rows=rows_of(table))
        one_in_force(table, *key)
    with op.batch_alter_table("trading_stops") as batch_op:
        batch_op.alter_column("lifted_at", new_column_name="ended_at", existing_type=sa.DateTime())
        batch_op.alter_column("lifted_by", new_column_name="ended_by", existing_type=sa.String(60))
        batch_op.add_column(sa.Column("ended_why", sa.Text()))
        batch_op.add_column(
            sa.Column("scope", sa.String(40), server_default="", nullable=False, comment="what is stopped; empty: all trading")
        )
    one_in_force("trading_stops", "scope")


def downgrade() -> None:
    """Only what is in force is left."""
    for table, key in KEYS.items():
        op.drop_index(f"uq_{table}_in_force", table)
        replace(table, *columns(table), sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"), rows=rows_of(table, only=IN_FORCE))
    op.drop_index("uq_trading_stops_in_force", "trading_stops")
    with op.batch_alter_table("trading_stops") as batch_op:
        batch_op.drop_column("scope")
        batch_op.drop_column("ended_why")
        batch_op.alter_column("ended_by", new_column_name="lifted_by", existing_type=sa.String(60))
        batch_op.alter_column("ended_at", new_column_name="lifted_at", existing_type=sa.DateTime())
