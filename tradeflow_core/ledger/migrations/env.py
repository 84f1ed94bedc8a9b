"""How Alembic reaches the ledger: always through a connection that the caller opened."""

from alembic import context

from tradeflow_core.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
