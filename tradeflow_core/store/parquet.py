"""Parquet datasets: the store of record of time series and derived artifacts, one file per (dataset, name).

pandas and NumPy are imported where they are used: a command that only looks at a few rows does without them.

A dataset that grows by a few rows a day has a second, small file per name, in its subfolder `recent`: new rows go there, so that no day writes
the whole past again.
"""

from __future__ import annotations

import io
import json
import math
import os
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
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
"""Datasets that grow by appending, with the columns that they are sorted by, which together name a row."""

DERIVED = {"multiple_prices", "adjusted_prices"}
"""Datasets that every price run makes anew from others: they are not synced to disk."""

RECENT = "recent"
RECENT_ROWS = 4000
"""So many rows may lie in a recent file; with more it is merged into the file of the past."""


class Store:
    """Datasets below one root, a local folder or any fsspec URL.

    A file is replaced as a whole: a local one is written beside, synced to disk and renamed over the old one, an object store
    gets one put. So a reader sees the old artifact or the new one, never a part, whenever the writer dies. A power cut may bring the old
    one back, and may damage one of `DERIVED`, which is then made again.
    """

    def __init__(self, root: str, cache_bytes: int = 128 * 2**20) -> None:
        """`cache_bytes`: how much of what was read or written last is kept in memory (local stores only), known by its file's identity."""
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
        """Names that the dataset holds, sorted; empty where there is no such dataset."""
        folder = self.root / dataset
        return sorted(file.stem for file in folder.glob("*.parquet")) if folder.exists() else []

    def read(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The frame as it was written (`columns` of it, and its index), with what was appended since in its place.

        Raises StateError, naming what makes it, when it is not there.
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
            self._keep(path, identity, frame, table.nbytes)
        return frame.copy(deep=False)

    def tables(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> list[pa.Table]:
        """What was written and, where rows were appended since, those, as they lie in the files: a row may be in both, and counts once."""
        # The recent rows first: should they be merged into the past meanwhile, they are met there once more.
        recent = self._recent(dataset, name, columns) if dataset in APPENDED else None
        past = self._table(dataset, name, columns)
        return [past] if recent is None else [past, recent]

    def rows(self, dataset: str, name: str, newest: int | None = None) -> list[dict[str, Any]]:
        """The rows as plain values by column, the index a column too; missing ones None. Needs no pandas, and suits a few rows: `newest`
        asks for the last so many."""
        table = self._table(dataset, name)
        table = table if newest is None else table.slice(max(len(table) - newest, 0))
        return [dict(zip(table.column_names, row, strict=True)) for row in zip(*map(_values, table.columns), strict=True)]

    def append(self, dataset: str, name: str, rows: pd.DataFrame) -> None:
        """Add rows to a dataset of `APPENDED`, atomically; a row whose key is there already changes nothing.

        They go into the recent file. When that gets too long, or there is no past yet, the past is written with all of them and the recent
        file removed after that: whoever is killed between the two leaves rows in both, which count once.
        """
        keys, folder, new = APPENDED[dataset], f"{dataset}/{RECENT}", _as_table(rows)
        if not self.exists(dataset, name):
            self._write(dataset, name, _merged([new], keys))
            self._remove(folder, name)
            return
        # A recent file is noted by a name of its own, and the past by that of the one that was merged into it last.
        which, before = uuid.uuid4().hex.encode(), self._recent(dataset, name)
        if before is not None and _note(before.schema) == self.note(dataset, name):
            before = None  # left over where a merge was killed
        if before is not None:
            which, new = _note(before.schema) or which, _merged([before, new], keys)
        if len(new) > RECENT_ROWS:
            self._write(dataset, name, _noted(_merged([self._table(dataset, name), new], keys), which))
            self._remove(folder, name)
        else:
            self._write(folder, name, _noted(new, which))

    def note(self, dataset: str, name: str) -> bytes | None:
        """The note that was written with a file; None where there is no readable one."""
        try:
            with self._open(dataset, name) as source:
                return _note(pq.read_schema(source))
        except (FileNotFoundError, pa.ArrowInvalid):
            return None

    def _recent(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The rows appended since the past was written; None where there are none."""
        folder = f"{dataset}/{RECENT}"
        identity = self._identity(folder, name)
        if identity is None or identity != self._last_recent[0]:
            try:
                table = self._table(folder, name) if identity or self.exists(folder, name) else None
            except StateError:
                if self.exists(folder, name):
                    raise
                table = None  # merged into the past this very moment
            self._last_recent = (identity, table)
        table = self._last_recent[1]
        return table if columns is None or table is None else table.select(columns)

    def _open(self, dataset: str, name: str) -> AbstractContextManager[Any]:
        """What Arrow can read of one file."""
        return nullcontext(self._address(dataset, name)) if self._local else self.path(dataset, name).open("rb")

    def _table(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One file."""
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
        """The path of a file as text: by far cheaper to make than a `UPath` where files are local."""
        return os.path.join(self._root, dataset, f"{name}.parquet") if self._local else str(self.path(dataset, name))

    def _keep(self, path: str, identity: object, frame: pd.DataFrame, size: int) -> None:
        """Remember a frame, and forget the ones not used for longest where it gets too much."""
        self._forget(path)
        self._cache[path] = (identity, frame, size)
        self._free -= size
        while self._free < 0 and len(self._cache) > 1:
            self._forget(next(iter(self._cache)))

    def _forget(self, path: str) -> None:
        if path in self._cache:
            self._free += self._cache.pop(path)[2]

    def write(self, dataset: str, name: str, frame: pd.DataFrame | pa.Table, note: bytes | None = None) -> None:
        """Replace what there is of (dataset, name) by `frame`, atomically, with a `note` that `note` reads without the rest."""
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
        _encode(table, temporary)
        if dataset not in DERIVED:
            _sync(temporary)
        os.replace(temporary, path)

    def write_rows(self, dataset: str, name: str, rows: Iterable[Mapping[str, Any]], *, schema: pa.Schema) -> None:
        """Replace what there is of (dataset, name) by plain rows. Needs no pandas, which Arrow loads for every other way to make a table."""
        import pyarrow.json

        lines = "".join(json.dumps({key: _jsonable(value) for key, value in row.items()}) + "\n" for row in rows)
        options = pyarrow.json.ParseOptions(explicit_schema=schema)
        self._write(dataset, name, pyarrow.json.read_json(io.BytesIO(lines.encode()), parse_options=options) if lines else schema.empty_table())

    def delete(self, dataset: str, name: str) -> None:
        """Remove what there is of (dataset, name)."""
        if dataset in APPENDED:
            self._remove(f"{dataset}/{RECENT}", name)
        self._remove(dataset, name)

    def _remove(self, dataset: str, name: str) -> None:
        """Remove one file if it is there."""
        if self.exists(dataset, name):
            self._forget(self._address(dataset, name))
            self.path(dataset, name).unlink(missing_ok=True)

    def _identity(self, dataset: str, name: str) -> tuple[int, int, int] | None:
        """What tells one version of a local file from another: a replaced file has another inode. None where there is no such file."""
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
    """The frame, index included, as a table that becomes the same frame again.

    For the common kinds of frames its description for pandas is kept, which takes longer to make than its arrays: only its length may differ.
    """
    import pandas as pd

    index, dtypes = frame.index, tuple(frame.dtypes)
    numbered = index.equals(pd.RangeIndex(len(index))) and isinstance(index, pd.RangeIndex)
    if not (numbered or isinstance(index, pd.DatetimeIndex)) or object in dtypes:
        return pa.Table.from_pandas(frame, nthreads=1)
    kind = (*frame.columns, frame.columns.name, *dtypes, index.name, "numbered" if numbered else index.dtype)
    if kind not in _SCHEMAS:
        _SCHEMAS[kind] = pa.Table.from_pandas(frame, nthreads=1).schema
    schema, columns = _SCHEMAS[kind], [column.array for _, column in frame.items()]
    if not numbered:
        columns.append(index.array)
    return pa.Table.from_arrays([_as_array(*each) for each in zip(columns, schema.types, strict=True)], schema=schema)


def _as_array(values: Any, kind: pa.DataType) -> pa.Array:
    """`pa.Array.from_pandas` of one column, quicker for numbers and instants."""
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
    """A column as plain values. Stamps are counted out here, since Arrow would load pandas for them."""
    if not pa.types.is_timestamp(column.type):
        values: list[Any] = column.to_pylist()
        return values
    start = datetime(1970, 1, 1, tzinfo=UTC if column.type.tz else None)
    counts = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()).to_pylist()
    return [None if count is None else start + timedelta(microseconds=count) for count in counts]


def _frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(use_threads=False, split_blocks=True)


def _merged(parts: Sequence[pa.Table], keys: Sequence[str]) -> pa.Table:
    """The rows of all parts in order of `keys`; where several have a key, the row of the first."""
    import numpy as np

    alike = [part.cast(parts[-1].schema) if part.schema != parts[-1].schema else part for part in parts]
    both = pa.concat_tables(alike).unify_dictionaries().combine_chunks()
    columns = [_sortable(both[key]) for key in keys]
    order = np.lexsort(columns[::-1])  # stable: of equal keys the first part's row comes first
    again = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in columns:
        again &= column[order[1:]] == column[order[:-1]]
    return both.take(order[np.append(True, ~again)[: len(order)]])


def _sortable(column: pa.ChunkedArray) -> np.ndarray:
    """The values of a column without gaps as what NumPy sorts quickly, in the same order."""
    import numpy as np

    values = column.combine_chunks()
    values = values.chunk(0) if isinstance(values, pa.ChunkedArray) else values
    if not pa.types.is_dictionary(values.type):
        return np.asarray(values)
    return np.argsort(np.argsort(np.asarray(values.dictionary)))[np.asarray(values.indices)]


def _encode(table: pa.Table, sink: object) -> None:
    """Floats and stamps hardly ever repeat, so a dictionary of them only costs time; with bytes split and stamps as steps the rest is quick.

    LZ4 makes files a fifth larger than zstd would, and is a quarter quicker, to write and to read. Statistics would let a query pass over
    parts of a file, which has one part only.
    """
    encodings = {column.name: "BYTE_STREAM_SPLIT" for column in table.schema if pa.types.is_floating(column.type)}
    encodings |= {column.name: "DELTA_BINARY_PACKED" for column in table.schema if pa.types.is_timestamp(column.type)}
    coded = [name for name in table.schema.names if name not in encodings]
    options = {"compression": "lz4", "use_dictionary": coded, "column_encoding": encodings, "write_statistics": False}
    pq.write_table(table, sink, **options)
