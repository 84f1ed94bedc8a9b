"""orders may be unknown

Revision ID: 0004
Revises: 0003

"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("broker_orders") as batch_op:
        batch_op.add_column(
            sa.Column("missing_at", sa.DateTime(), nullable=True, comment="since when the broker's answers lack it; null: they have it")
        )
    op.execute("update broker_orders set status = 'never_arrived' where status = 'lost'")


def downgrade() -> None:
    op.execute("update broker_orders set status = 'lost' where status = 'never_arrived'")
    with op.batch_alter_table("broker_orders") as batch_op:
        batch_op.drop_column("missing_at")
