"""SQL over a home with DuckDB: every dataset of the store is a table, and so is every table of the ledger.

DuckDB itself opens no file: Arrow reads them and hands the rows on. Its parser is no wall on its own, since a SELECT may hold a COPY
(`with x as (copy ... to 'file') select ...`), and a folder that DuckDB is allowed to read it may also write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
from sqlalchemy import Connection, inspect, text
from upath import UPath

from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.store.parquet import Store

if TYPE_CHECKING:
    import pandas as pd

_SHUT: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,  # no file, no network, no attached database, no extension
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # `select * from x` never means a variable x of this program
    "temp_directory": "",
    "threads": 1,  # rows stay in the order of their file, so that `last(price)` is the newest
    "lock_configuration": True,  # the last one: nothing of this can be set again
}


def open_query(
    store: Store, ledger: Connection | None = None, tell: Callable[[str], None] | None = None
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB database over the files of the store and a snapshot of the ledger, read from a view of it.

    No statement in it can read or write a file. Each dataset is a table with the rows of all its files and a column `name` (the name of
    the file: an instrument, a rate, a strategy); each ledger table is a table with the same name, prefixed `ledger_` where a dataset has
    that name. `tell`: is told of a damaged file, which is left out; without it, StateError is raised for one.
    """
    connection = duckdb.connect(config=_SHUT)
    datasets = sorted(folder.name for folder in store.root.iterdir() if folder.is_dir()) if store.root.exists() else []
    for dataset in datasets:
        if files := sorted((store.root / dataset).glob("**/*.parquet")):
            connection.register(dataset, _rows_of(dataset, files, tell))
    if ledger is not None:
        for table in inspect(ledger).get_table_names():
            rows = ledger.execute(text(f'select * from "{table}"')).mappings()
            names, values = list(rows.keys()), [tuple(row.values()) for row in rows]
            columns = {name: _column([row[number] for row in values]) for number, name in enumerate(names)}
            connection.register(f"ledger_{table}" if table in datasets else table, pa.table(columns))
    return connection


def run_query(connection: duckdb.DuckDBPyConnection, statement: str) -> pd.DataFrame:
    """The result of one SELECT. Raises ConfigError, with DuckDB's message, for a wrong statement or one of another kind."""
    try:
        statement.encode()  # a word of the command line that is no text is told as such
        statements = connection.extract_statements(statement)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            kinds = ", ".join(each.type.name for each in statements) or "nothing"
            raise ConfigError(
                f"sql: exactly one SELECT is run here, and this is {kinds}; the store and the ledger can only be read "
                "(`show tables`, `describe TABLE` and `summarize TABLE` are a SELECT too)"
            )
        return connection.execute(statements[0]).df()
    except duckdb.PermissionException as error:
        raise ConfigError("sql: a query reads the tables of this home and opens no file; see `show tables`") from error
    except (duckdb.Error, pa.ArrowException, OSError, OverflowError, UnicodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f'sql: {reason}; list what there is with "show tables"') from error


def _rows_of(dataset: str, files: Sequence[UPath], tell: Callable[[str], None] | None) -> pyarrow.dataset.Dataset:
    """All files of a dataset as one, with their names as a column; a file that was removed since it was listed is left out."""
    first, parquet = files[0], pyarrow.dataset.ParquetFileFormat()
    is_local = first.protocol in ("", "file", "local")
    filesystem = pyarrow.fs.LocalFileSystem() if is_local else pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(first.fs))
    parts, schemas = [], []
    for file in files:
        is_this_file = pyarrow.dataset.field("name") == file.stem
        part = parquet.make_fragment(file.path, filesystem=filesystem, partition_expression=is_this_file)
        try:
            schemas.append(_plain(part.physical_schema))
        except FileNotFoundError:
            continue
        except (pa.ArrowException, OSError) as error:
            problem = f"{file} is not a readable Parquet file ({error}); `tradeflow check` says what is damaged and what mends it"
            if tell is None:
                raise StateError(problem) from error
            tell(f"{problem}; it is left out")
            continue
        parts.append(part)
    try:
        columns = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise StateError(f"the files of {dataset} do not have the same columns ({error}); materialize {dataset} again") from error
    schema = pa.schema([pa.field("name", pa.string()), *columns])
    return pyarrow.dataset.FileSystemDataset(parts, schema, parquet, filesystem)


def _plain(schema: pa.Schema) -> pa.Schema:
    """The columns of a file, those with a dictionary as what is in it: each file has another."""
    return pa.schema(
        [field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema]
    )


def _column(values: list[Any]) -> pa.Array:
    """Values as they come from the ledger's database; as text where they are of several kinds."""
    try:
        return pa.array(values)
    except pa.ArrowException:
        return pa.array([None if value is None else str(value) for value in values])
