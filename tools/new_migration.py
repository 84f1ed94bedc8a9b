"""Write the migration from the newest one to the tables in `ledger/schema.py` (`make migration NAME="venue of a fill"`)."""

from __future__ import annotations

import sys
import tempfile

from alembic import command
from alembic.config import Config

from tradeflow_core.ledger.ledger import HEAD
from tradeflow_core.ledger.migrate import MIGRATIONS
from tradeflow_core.store import create_sql_engine


def main(name: str) -> None:
    """Make an empty ledger, bring it to the newest migration, and write down what the schema has beyond it."""
    if not name.strip():
        raise SystemExit('say what it does: make migration NAME="venue of a fill"')
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    number = f"{int(HEAD) + 1:04d}"
    with tempfile.TemporaryDirectory() as folder, create_sql_engine(f"sqlite:///{folder}/ledger.sqlite").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        command.revision(config, message=name, rev_id=number, autogenerate=True)
    print(f'read it, then set HEAD = "{number}" in tradeflow_core/ledger/ledger.py')


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
