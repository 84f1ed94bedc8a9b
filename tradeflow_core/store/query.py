"""SQL over a home with DuckDB: every dataset of the store is a view, every table of the ledger a table."""

from __future__ import annotations

import duckdb
import pandas as pd
from sqlalchemy import Connection, inspect, text

from tradeflow_core.errors import ConfigError
from tradeflow_core.store.parquet import Store


def open_query(store: Store, ledger: Connection | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB database over the files of the store and a snapshot of the ledger, read from a view of it. Writing to it changes neither.

    Each dataset is a view of all its files with a column `name` (the name of the file: an instrument, a rate, a strategy);
    each ledger table is a table with the same name, prefixed `ledger_` where a dataset has that name.
    """
    connection = duckdb.connect()
    connection.register_filesystem(store.root.fs)
    datasets = (
        sorted(folder.name for folder in store.root.iterdir() if folder.is_dir() and any(folder.glob("*.parquet")))
        if store.root.exists()
        else []
    )
    for dataset in datasets:
        pattern = f"{_url(store)}/{dataset}/**/*.parquet".replace("'", "''")
        connection.execute(
            f'create view "{dataset}" as select parse_filename(filename, true) as name, * exclude (filename) '
            f"from read_parquet('{pattern}', filename=true, union_by_name=true)"
        )
    if ledger is not None:
        for table in inspect(ledger).get_table_names():
            frame = pd.DataFrame(ledger.execute(text(f'select * from "{table}"')).mappings().all())
            if not frame.empty:
                connection.register(f"ledger_{table}" if table in datasets else table, frame)
    return connection


def run_query(connection: duckdb.DuckDBPyConnection, statement: str) -> pd.DataFrame:
    """The result of one SELECT. Raises ConfigError, with DuckDB's message, for a wrong statement or one that writes."""
    try:
        statements = connection.extract_statements(statement)
        if len(statements) != 1 or statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            raise ConfigError("sql: one SELECT statement is needed; the store and the ledger are read-only here")
        return connection.execute(statements[0]).df()
    except duckdb.Error as error:
        raise ConfigError(f'sql: {str(error).splitlines()[0]}; list what there is with "show tables"') from error


def _url(store: Store) -> str:
    return store.root.path if store.root.protocol in ("", "file", "local") else str(store.root)
