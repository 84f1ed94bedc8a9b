"""leases have generations

Revision ID: 0002
Revises: 0001

"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("leases") as batch_op:
        batch_op.add_column(
            sa.Column("generation", sa.Integer(), server_default="0", nullable=False, comment="higher with every new owner")
        )
        batch_op.add_column(
            sa.Column("about", sa.Text(), server_default="", nullable=False, comment="host, process and home of the owner, for people")
        )


def downgrade() -> None:
    with op.batch_alter_table("leases") as batch_op:
        batch_op.drop_column("about")
        batch_op.drop_column("generation")
