"""Parquet datasets: the store of record of time series and derived artifacts, one file per (dataset, name).

pandas and NumPy are imported where they are used: a command that only reads a few rows does not need them.

A dataset that grows by a few rows a day has a second, small file per name, in its subfolder `recent`. New rows go there, so that the
large main file is not rewritten every day.
"""

from __future__ import annotations

import io
import json
import math
import os
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from tradeflow_core.errors import StateError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

APPENDED = {"contract_prices": ["contract", "frequency", "start"]}
"""Datasets that grow by appending, with their key: the columns by which the rows are sorted and which identify a row."""

DERIVED = {"multiple_prices", "adjusted_prices"}
"""Datasets that every price update computes again from others: they are not synced to disk."""

RECENT = "recent"
RECENT_ROWS = 4000
"""Rows of a recent file above which it is merged into the main file.

An instrument has about 100 new hourly and daily bars a day, so a merge is due every two months. 4,000 rows take 3 ms to write; the main
file of three years takes 7 ms, and more every year."""


class Store:
    """Datasets below one root, a local folder or any fsspec URL.

    A file is replaced as a whole: a local file is written under a temporary name, synced to disk and renamed; an object store
    gets one put. So a reader finds the old file or the new one, never a part, even if the writer is killed. After a power cut the old
    file may be back, and a file of `DERIVED` may be damaged; it is then computed again.
    """

    def __init__(self, root: str, cache_bytes: int = 128 * 2**20) -> None:
        """`cache_bytes`: size of the cache of frames that were read last. Local stores only: a cached frame is used while its file is the same."""
        self.root = UPath(root)
        self._root = self.root.path
        self._local = self.root.protocol in ("", "file", "local")
        self._cache: OrderedDict[str, tuple[object, pd.DataFrame, int]] = OrderedDict()
        self._free = cache_bytes
        self._last_recent: tuple[object, pa.Table | None] = (None, None)

    def path(self, dataset: str, name: str) -> UPath:
        return self.root / dataset / f"{name}.parquet"

    def exists(self, dataset: str, name: str) -> bool:
        return os.path.exists(self._address(dataset, name)) if self._local else self.path(dataset, name).exists()

    def names(self, dataset: str) -> list[str]:
        """The names of the files of a dataset, sorted; empty where there is no such dataset."""
        folder = self.root / dataset
        return sorted(file.stem for file in folder.glob("*.parquet")) if folder.exists() else []

    def read(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The frame as it was written (only `columns` of it, with its index), appended rows included, in order.

        Raises StateError, naming what makes the file, where it is missing.
        """
        if dataset in APPENDED:
            keys = APPENDED[dataset]
            wanted = None if columns is None else [*columns, *(key for key in keys if key not in columns)]
            parts = self.tables(dataset, name, wanted)
            table = parts[0] if len(parts) == 1 else _merged(parts, keys)
            return _frame(table if columns is None else table.select(columns)).copy()
        path, identity = self._address(dataset, name), self._identity(dataset, name)
        if identity is not None and path in self._cache and identity == self._cache[path][0]:
            self._cache.move_to_end(path)
            frame = self._cache[path][1]
            return frame.copy(deep=False) if columns is None else frame[list(columns)]
        table = self._table(dataset, name, columns)
        frame = _frame(table)
        if identity is not None and columns is None:
            self._keep(path, identity, frame, size=table.nbytes)
        return frame.copy(deep=False)

    def tables(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> list[pa.Table]:
        """The main file and, if there is one, the recent file, as Arrow tables. A row that is in both counts once."""
        # The recent file first: if it is merged into the main file meanwhile, its rows are read twice, not missed.
        recent = self._recent(dataset, name, columns) if dataset in APPENDED else None
        past = self._table(dataset, name, columns)
        return [past] if recent is None else [past, recent]

    def rows(self, dataset: str, name: str, newest: int | None = None) -> list[dict[str, Any]]:
        """The rows as dictionaries by column, the index included; missing values are None. `newest`: only that many rows, from the end.

        It needs no pandas and is meant for few rows.
        """
        table = self._table(dataset, name)
        table = table if newest is None else table.slice(max(len(table) - newest, 0))
        return [dict(zip(table.column_names, row, strict=True)) for row in zip(*map(_values, table.columns), strict=True)]

    def append(self, dataset: str, name: str, rows: pd.DataFrame) -> None:
        """Add rows to a dataset of `APPENDED`, atomically; a row whose key exists already changes nothing.

        They go into the recent file. When that gets too long, or there is no main file yet, all rows are written to the main file, and
        then the recent file is removed. A kill between the two leaves rows in both files, which count once.
        """
        keys, folder, new = APPENDED[dataset], f"{dataset}/{RECENT}", _as_table(rows)
        if not self.exists(dataset, name):
            self._write(dataset, name, _merged([new], keys))
            self._remove(folder, name)
            return
        # A recent file has a random id as its note; the main file has the id of the recent file that was merged into it last.
        recent_id, before = uuid.uuid4().hex.encode(), self._recent(dataset, name)
        if before is not None and _note(before.schema) == self.note(dataset, name):
            before = None  # it is merged already: a kill kept it from being removed
        if before is not None:
            recent_id, new = _note(before.schema) or recent_id, _merged([before, new], keys)
        if len(new) > RECENT_ROWS:
            self._write(dataset, name, _noted(_merged([self._table(dataset, name), new], keys), recent_id))
            self._remove(folder, name)
        else:
            self._write(folder, name, _noted(new, recent_id))

    def note(self, dataset: str, name: str) -> bytes | None:
        """The note that was written with a file; None where there is none, or the file is missing or damaged."""
        try:
            with self._open(dataset, name) as source:
                return _note(pq.read_schema(source))
        except (FileNotFoundError, pa.ArrowInvalid):
            return None

    def _recent(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The recent file; None where there is none."""
        folder = f"{dataset}/{RECENT}"
        identity = self._identity(folder, name)
        if identity is None or identity != self._last_recent[0]:
            try:
                table = self._table(folder, name) if identity or self.exists(folder, name) else None
            except StateError:
                if self.exists(folder, name):
                    raise
                table = None  # merged into the main file since the check
            self._last_recent = (identity, table)
        table = self._last_recent[1]
        return table if columns is None or table is None else table.select(columns)

    def _open(self, dataset: str, name: str) -> AbstractContextManager[Any]:
        """A file as something that Arrow reads: its path, or an open file of an object store."""
        return nullcontext(self._address(dataset, name)) if self._local else self.path(dataset, name).open("rb")

    def _table(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One file as an Arrow table. Raises StateError where it is missing or damaged."""
        path = self._address(dataset, name)
        try:
            with self._open(dataset, name) as source, pq.ParquetFile(source, pre_buffer=False) as file:
                return file.read(columns=None if columns is None else list(columns), use_threads=False, use_pandas_metadata=True)
        except FileNotFoundError as error:
            raise StateError(
                f"{dataset} of {name} has not been made yet; materialize the asset {dataset}, or run `tradeflow day`"
            ) from error
        except pa.ArrowInvalid as error:
            raise StateError(
                f"{path} is not a readable Parquet file ({error}); restore it or materialize {dataset} again"
            ) from error

    def _address(self, dataset: str, name: str) -> str:
        """The path of a file as text. Where files are local it is made without `UPath`, which takes 13 times as long."""
        return os.path.join(self._root, dataset, f"{name}.parquet") if self._local else str(self.path(dataset, name))

    def _keep(self, path: str, identity: object, frame: pd.DataFrame, *, size: int) -> None:
        """Cache a frame, and drop the least recently used ones where the cache gets too large."""
        self._forget(path)
        self._cache[path] = (identity, frame, size)
        self._free -= size
        while self._free < 0 and len(self._cache) > 1:
            self._forget(next(iter(self._cache)))

    def _forget(self, path: str) -> None:
        if path in self._cache:
            self._free += self._cache.pop(path)[2]

    def write(self, dataset: str, name: str, frame: pd.DataFrame | pa.Table, *, note: bytes | None = None) -> None:
        """Replace (dataset, name) by `frame`, atomically. `note`: bytes kept in the file, which the method `note` reads without the data."""
        self._write(dataset, name, _noted(frame if isinstance(frame, pa.Table) else _as_table(frame), note))
        if dataset in APPENDED:
            self._remove(f"{dataset}/{RECENT}", name)

    def _write(self, dataset: str, name: str, table: pa.Table) -> None:
        """Replace one file."""
        path = self._address(dataset, name)
        self._forget(path)
        if not self._local:
            sink = pa.BufferOutputStream()
            _encode(table, sink)
            self.path(dataset, name).parent.mkdir(parents=True, exist_ok=True)
            self.path(dataset, name).write_bytes(sink.getvalue().to_pybytes())
            return
        folder, file_name = os.path.split(path)
        os.makedirs(folder, exist_ok=True)
        temporary = os.path.join(folder, f".{file_name}.{os.getpid()}")
        try:
            _encode(table, temporary)
            if dataset not in DERIVED:
                _sync(temporary)
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def write_rows(self, dataset: str, name: str, rows: Iterable[Mapping[str, Any]], *, schema: pa.Schema) -> None:
        """Replace (dataset, name) by rows of plain values. Needs no pandas, which Arrow loads for every other way to make a table."""
        import pyarrow.json

        lines = "".join(json.dumps({key: _jsonable(value) for key, value in row.items()}) + "\n" for row in rows)
        options = pyarrow.json.ParseOptions(explicit_schema=schema)
        self._write(
            dataset,
            name,
            pyarrow.json.read_json(io.BytesIO(lines.encode()), parse_options=options) if lines else schema.empty_table(),
        )

    def delete(self, dataset: str, name: str) -> None:
        """Remove (dataset, name), if it exists."""
        if dataset in APPENDED:
            self._remove(f"{dataset}/{RECENT}", name)
        self._remove(dataset, name)

    def _remove(self, dataset: str, name: str) -> None:
        """Remove one file, if it exists."""
        if self.exists(dataset, name):
            self._forget(self._address(dataset, name))
            self.path(dataset, name).unlink(missing_ok=True)

    def _identity(self, dataset: str, name: str) -> tuple[int, int, int] | None:
        """Changes whenever a local file is replaced (it then has another inode). None where there is no such file."""
        if not self._local or not self.exists(dataset, name):
            return None
        status = os.stat(self._address(dataset, name))
        return status.st_ino, status.st_mtime_ns, status.st_size


def _jsonable(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, (date, datetime)) else value


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _note(schema: pa.Schema) -> bytes | None:
    return (schema.metadata or {}).get(b"note")


def _noted(table: pa.Table, note: bytes | None) -> pa.Table:
    return table if note is None else table.replace_schema_metadata({**(table.schema.metadata or {}), b"note": note})


def _as_table(frame: pd.DataFrame) -> pa.Table:
    """The frame, index included, as a table from which pandas makes the same frame.

    The schema of a frame takes longer to make than its arrays. For frames with plain columns it is kept by their column names and types.
    """
    import pandas as pd

    index, dtypes = frame.index, tuple(frame.dtypes)
    has_row_numbers = index.equals(pd.RangeIndex(len(index))) and isinstance(index, pd.RangeIndex)
    if not (has_row_numbers or isinstance(index, pd.DatetimeIndex)) or object in dtypes:
        return pa.Table.from_pandas(frame, nthreads=1)
    kind = (*frame.columns, frame.columns.name, *dtypes, index.name, "row numbers" if has_row_numbers else index.dtype)
    if kind not in _SCHEMAS:
        _SCHEMAS[kind] = pa.Table.from_pandas(frame, nthreads=1).schema
    schema, columns = _SCHEMAS[kind], [column.array for _, column in frame.items()]
    if not has_row_numbers:
        columns.append(index.array)
    return pa.Table.from_arrays(
        [_as_array(values, kind) for values, kind in zip(columns, schema.types, strict=True)], schema=schema
    )


def _as_array(values: Any, kind: pa.DataType) -> pa.Array:
    """The same as `pa.Array.from_pandas` of one column, but faster for numbers and times."""
    import numpy as np
    import pandas as pd

    if isinstance(values, pd.arrays.NumpyExtensionArray) and (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        plain = values.to_numpy()
        return pa.array(plain, mask=np.isnan(plain) if pa.types.is_floating(kind) else None)
    if pa.types.is_timestamp(kind) and not values.isna().any():
        return pa.array(values.asi8).view(kind)
    return pa.Array.from_pandas(values, type=kind)


_SCHEMAS: dict[object, pa.Schema] = {}


def _values(column: pa.ChunkedArray) -> list[Any]:
    """A column as plain values. Times are computed here from their microseconds, since Arrow would load pandas for them."""
    if not pa.types.is_timestamp(column.type):
        values: list[Any] = column.to_pylist()
        return values
    start = datetime(1970, 1, 1, tzinfo=UTC if column.type.tz else None)
    counts = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()).to_pylist()
    return [None if count is None else start + timedelta(microseconds=count) for count in counts]


def _frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(use_threads=False, split_blocks=True)


def _merged(parts: Sequence[pa.Table], keys: Sequence[str]) -> pa.Table:
    """The rows of all parts, sorted by `keys`; of rows with the same key the one of the first part."""
    import numpy as np

    alike = [part.cast(parts[-1].schema) if part.schema != parts[-1].schema else part for part in parts]
    both = pa.concat_tables(alike).unify_dictionaries().combine_chunks()
    columns = [_sortable(both[key]) for key in keys]
    order = np.lexsort(columns[::-1])  # stable: of rows with the same key the first part's comes first
    repeated = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in columns:
        repeated &= column[order[1:]] == column[order[:-1]]
    return both.take(order[np.append(True, ~repeated)[: len(order)]])


def _sortable(column: pa.ChunkedArray) -> np.ndarray:
    """A column without missing values as an array that NumPy sorts fast into the same order: text becomes the rank of its dictionary entry."""
    import numpy as np

    values = column.combine_chunks()
    values = values.chunk(0) if isinstance(values, pa.ChunkedArray) else values
    if not pa.types.is_dictionary(values.type):
        return np.asarray(values)
    return np.argsort(np.argsort(np.asarray(values.dictionary)))[np.asarray(values.indices)]


def _encode(table: pa.Table, sink: object) -> None:
    """Write a table as Parquet, encoded for fast reading and writing.

    Floats and times hardly ever repeat, so a dictionary of them only costs time: floats are split by bytes, times stored as differences.
    LZ4 makes files a fifth larger than zstd, and is a quarter faster, in writing and reading. No statistics: they let a query skip row
    groups of a file, and our files have one.
    """
    encodings = {column.name: "BYTE_STREAM_SPLIT" for column in table.schema if pa.types.is_floating(column.type)}
    encodings |= {column.name: "DELTA_BINARY_PACKED" for column in table.schema if pa.types.is_timestamp(column.type)}
    with_dictionary = [name for name in table.schema.names if name not in encodings]
    options = {"compression": "lz4", "use_dictionary": with_dictionary, "column_encoding": encodings, "write_statistics": False}
    pq.write_table(table, sink, **options)
