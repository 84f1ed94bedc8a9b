"""Where data lies: Parquet datasets, DuckDB views over them, the SQL engine factory."""

from tradeflow_core.store.parquet import APPENDED, Store
from tradeflow_core.store.query import open_query, run_query
from tradeflow_core.store.sql import create_sql_engine

__all__ = ["APPENDED", "Store", "create_sql_engine", "open_query", "run_query"]
