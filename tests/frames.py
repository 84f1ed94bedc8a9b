"""What a desk holds as data frames, for tests that compare it."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Connection, Table, select

from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import contract_facts, marks_of
from tradeflow_core.prices import stored_bars
from tradeflow_core.series import apply_marks


def contracts_of(view: Connection, instrument: str) -> pd.DataFrame:
    """The contracts of an instrument: index contract, columns expiry (date) and sampling (bool)."""
    rows = [(contract, *facts) for contract, facts in contract_facts(view, instrument).items()]
    return pd.DataFrame(rows, columns=["contract", "expiry", "sampling"]).set_index("contract")


def table_of(view: Connection, table: Table, *where: object) -> pd.DataFrame:
    """Rows of a ledger table, in order of its key."""
    rows = view.execute(select(table).where(*where).order_by(*table.primary_key.columns)).mappings().all()  # type: ignore[arg-type]
    return pd.DataFrame(rows, columns=[column.name for column in table.columns])


def marked_bars(desk: Desk, instrument: str) -> pd.DataFrame:
    """The stored bars with a person's corrections applied."""
    with desk.ledger.read() as view:
        marks = marks_of(view, instrument)
    return apply_marks(stored_bars(desk, instrument), marks)[BAR_COLUMNS].reset_index(drop=True)
