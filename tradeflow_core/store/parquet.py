"""Parquet datasets: the store of record of time series and derived artifacts, one file per (dataset, name).

A dataset that grows by a few rows a day has a second, small file per name, in its subfolder `recent`. New rows go there, so that the
large main file is not rewritten every day.
"""

from __future__ import annotations

import os
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from upath import UPath

from tradeflow_core.errors import StateError
from tradeflow_core.parquet import ParquetFiles, naming_damage
from tradeflow_core.store.frames import as_frame, as_table, plain_values, rows_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

APPENDED = {"contract_prices": ["contract", "frequency", "start"]}
"""Datasets that grow by appending, with their key: the columns by which the rows are sorted and which identify a row."""

DERIVED = {"multiple_prices", "adjusted_prices"}
"""Datasets that every price update computes again from others: they are not synced to disk."""

KEPT = {"contract_prices", "spot_fx"}
"""Datasets that cannot be made again from others: each file must have its checksum."""

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
        self.files = ParquetFiles(root)
        self._cache: OrderedDict[str, tuple[object, pd.DataFrame, int]] = OrderedDict()
        self._free = cache_bytes
        self._last_recent: tuple[object, pa.Table | None] = (None, None)

    @property
    def root(self) -> UPath:
        return self.files.root

    def path(self, dataset: str, name: str) -> UPath:
        return self.files.path(dataset, name)

    def exists(self, dataset: str, name: str) -> bool:
        return self.files.exists(dataset, name)

    def names(self, dataset: str) -> list[str]:
        """The names of the files of a dataset, sorted; empty where there is no such dataset."""
        folder = self.root / dataset
        return sorted(file.stem for file in folder.glob("*.parquet")) if folder.exists() else []

    def read(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The frame as it was written (only `columns` of it, with its index), appended rows included, in order.

        Raises DamagedFile where a file cannot be used, StateError, naming what makes it, where it is missing.
        """
        with naming_damage(dataset, name, **self.files.words(dataset, name)):
            if dataset in APPENDED:
                keys = APPENDED[dataset]
                wanted = None if columns is None else [*columns, *(key for key in keys if key not in columns)]
                parts = self.tables(dataset, name, wanted)
                table = parts[0] if len(parts) == 1 else _merged(parts, keys)
                return as_frame(table if columns is None else table.select(columns)).copy()
            path, identity = self.files.address(dataset, name), self._identity(dataset, name)
            if identity is not None and path in self._cache and identity == self._cache[path][0]:
                self._cache.move_to_end(path)
                frame = self._cache[path][1]
                return frame.copy(deep=False) if columns is None else frame[list(columns)]
            table = self.files.read(dataset, name, columns)
            frame = as_frame(table)
            if identity is not None and columns is None:
                self._keep(path, identity, frame, size=table.nbytes)
            return frame.copy(deep=False)

    def tables(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> list[pa.Table]:
        """The main file and, if there is one, the recent file, as Arrow tables. A row that is in both counts once."""
        # The recent file first: if it is merged into the main file meanwhile, its rows are read twice, not missed.
        recent = self._recent(dataset, name, columns) if dataset in APPENDED else None
        past = self.files.read(dataset, name, columns)
        return [past] if recent is None else [past, recent]

    def rows(self, dataset: str, name: str, newest: int | None = None) -> list[dict[str, Any]]:
        """The rows as dictionaries by column, the index included; missing values are None. `newest`: only that many rows, from the end.

        It needs no pandas and is meant for few rows.
        """
        table = self.files.read(dataset, name)
        table = table if newest is None else table.slice(max(len(table) - newest, 0))
        return [dict(zip(table.column_names, row, strict=True)) for row in zip(*map(plain_values, table.columns), strict=True)]

    def append(self, dataset: str, name: str, rows: pd.DataFrame) -> None:
        """Add rows to a dataset of `APPENDED`, atomically; a row whose key exists already changes nothing.

        They go into the recent file. When that gets too long, or there is no main file yet, all rows are written to the main file, and
        then the recent file is removed. A kill between the two leaves rows in both files, which count once.
        """
        keys, folder, new = APPENDED[dataset], f"{dataset}/{RECENT}", as_table(rows)
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
            self._write(dataset, name, _noted(_merged([self.files.read(dataset, name), new], keys), recent_id))
            self._remove(folder, name)
        else:
            self._write(folder, name, _noted(new, recent_id))

    def note(self, dataset: str, name: str) -> bytes | None:
        """The note that was written with a file; None where there is none, or the file is missing or damaged."""
        schema = self.files.schema(dataset, name)
        return None if schema is None else _note(schema)

    def _recent(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The recent file; None where there is none."""
        folder = f"{dataset}/{RECENT}"
        identity = self._identity(folder, name)
        if identity is None or identity != self._last_recent[0]:
            try:
                table = self.files.read(folder, name) if identity or self.exists(folder, name) else None
            except StateError:
                if self.exists(folder, name):
                    raise
                table = None  # it was merged into the main file since the check
            self._last_recent = (identity, table)
        table = self._last_recent[1]
        return table if columns is None or table is None else table.select(columns)

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
        self._write(dataset, name, _noted(frame if isinstance(frame, pa.Table) else as_table(frame), note))
        if dataset in APPENDED:
            self._remove(f"{dataset}/{RECENT}", name)

    def _write(self, dataset: str, name: str, table: pa.Table) -> None:
        """Replace one file."""
        self._forget(self.files.address(dataset, name))
        self.files.write(dataset, name, table, sync=dataset not in DERIVED)

    def write_rows(self, dataset: str, name: str, rows: Iterable[Mapping[str, Any]], *, schema: pa.Schema) -> None:
        """Replace (dataset, name) by rows of plain values. Needs no pandas."""
        self._write(dataset, name, rows_table(rows, schema))

    def delete(self, dataset: str, name: str) -> None:
        """Remove (dataset, name), if it exists."""
        if dataset in APPENDED:
            self._remove(f"{dataset}/{RECENT}", name)
        self._remove(dataset, name)

    def _remove(self, dataset: str, name: str) -> None:
        """Remove one file, if it exists."""
        self._forget(self.files.address(dataset, name))
        self.files.remove(dataset, name)

    def places(self, dataset: str, name: str | None = None) -> list[tuple[str, str]]:
        """Where the files of a dataset (only of `name`) lie: folder below the root, and name."""
        folders = [dataset, *(f"{dataset}/{part}" for part in (self.files.folders(dataset) if dataset in APPENDED else ()))]
        return [(folder, each) for folder in folders for each in self.names(folder) if name in (None, each)]

    def damage(self, dataset: str, name: str | None = None) -> dict[tuple[str, str], str]:
        """What is wrong with the files of a dataset (only of `name`), by place, as sentences with the remedy. Each file is read as a whole and
        compared with its checksum."""
        problems = {place: self.files.problem(*place, has_checksum=dataset in KEPT) for place in self.places(dataset, name)}
        return {place: problem for place, problem in problems.items() if problem is not None}

    def replace_damaged(self, dataset: str, name: str, rows: pd.DataFrame) -> list[str]:
        """Put `rows`, got again from elsewhere, in place of the damaged files; returns where the former ones are kept.

        In a dataset of `APPENDED`, rows that are in sound files stay as they are.
        """
        aside = []
        for folder, _ in self.damage(dataset, name):
            aside.append(self.files.keep_aside(folder, name))
            if folder == dataset:
                self._write(folder, name, as_table(rows))
            else:
                self._remove(folder, name)
        if dataset in APPENDED:
            self.append(dataset, name, rows)
        return aside

    def put_aside(self, dataset: str, name: str) -> str:
        """Rename a damaged file, so that nothing reads it and a person can look at it; returns its new path."""
        self._forget(self.files.address(dataset, name))
        return self.files.put_aside(dataset, name)

    def _identity(self, dataset: str, name: str) -> tuple[int, int, int] | None:
        """Changes whenever a local file is replaced (it then has another inode). None where there is no such file."""
        if not self.files.is_local or not self.exists(dataset, name):
            return None
        status = os.stat(self.files.address(dataset, name))
        return status.st_ino, status.st_mtime_ns, status.st_size


def _note(schema: pa.Schema) -> bytes | None:
    return (schema.metadata or {}).get(b"note")


def _noted(table: pa.Table, note: bytes | None) -> pa.Table:
    return table if note is None else table.replace_schema_metadata({**(table.schema.metadata or {}), b"note": note})


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
