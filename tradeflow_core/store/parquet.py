"""Parquet datasets: the store of record of time series and derived artifacts, one file per (dataset, name).

A dataset that grows every day has a small file per name in its subfolder `recent`, into which new rows go, and files of whole months, of which
only the newest grows (`parquet/months.py`): what a day adds costs the same whatever lies in the past.
"""

from __future__ import annotations

import os
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from upath import UPath

from tradeflow_core.errors import StateError
from tradeflow_core.parquet import ParquetFiles, naming_damage
from tradeflow_core.parquet.months import MAIN, in_key_order, is_month, merged, month_file_of, rows_between, split_at_months
from tradeflow_core.store.frames import as_frame, as_table, plain_values, rows_table

if TYPE_CHECKING:
    import pandas as pd

APPENDED = {"contract_prices": ["contract", "frequency", "start"]}
"""Datasets that grow by appending, with their key: the columns by which the rows are sorted and which identify a row."""

DERIVED = {"multiple_prices", "adjusted_prices"}
"""Datasets that every price update computes again from others: they are not synced to disk."""

KEPT = {"contract_prices", "spot_fx"}
"""Datasets that cannot be made again from others: each file must have its checksum."""

RECENT = "recent"
RECENT_ROWS = 4000
"""Rows of a recent file above which it is merged into the files of months.

An instrument has about 100 new hourly and daily bars a day, so a merge is due every two months. 4,000 rows take 1 ms to write."""


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
        return self.files.names(dataset)

    def read(
        self, dataset: str, name: str, columns: Sequence[str] | None = None, *, since: datetime | None = None
    ) -> pd.DataFrame:
        """The frame as it was written (only `columns` of it, with its index), appended rows included, in order.

        `since`: of a dataset of `APPENDED`, files in which all rows are older are left out; some older rows may be there.
        Raises DamagedFile where a file cannot be used, StateError, naming what makes it, where it is missing.
        """
        with naming_damage(dataset, name, **self.files.words(dataset, name)):
            if dataset in APPENDED:
                keys = APPENDED[dataset]
                wanted = None if columns is None else [*columns, *(key for key in keys if key not in columns)]
                past, recent = self._parts(dataset, name, wanted, since=since)
                table = in_key_order(past, keys) if recent is None else merged([*past, recent], keys)
                frame = as_frame(table if columns is None else table.select(columns))
                # A frame of one chunk lies in memory of Arrow, which cannot be written to.
                return frame if table.num_columns and table.column(0).num_chunks > 1 else frame.copy()
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

    def tables(
        self, dataset: str, name: str, columns: Sequence[str] | None = None, *, since: datetime | None = None
    ) -> list[pa.Table]:
        """The files of a dataset of `APPENDED` as Arrow tables, each sorted by the key: those of months, the oldest first, and the recent one. A row
        that is in two of them counts once. `columns` have to include the key. `since`: as of `read`.
        """
        past, recent = self._parts(dataset, name, columns, since=since)
        return past if recent is None else [*past, recent]

    def _parts(
        self, dataset: str, name: str, columns: Sequence[str] | None, *, since: datetime | None = None
    ) -> tuple[list[pa.Table], pa.Table | None]:
        """The files of months, and the recent one."""
        # The recent file first: if it is merged into the files of months meanwhile, its rows are read twice, not missed.
        keys, recent, months = APPENDED[dataset], self._recent(dataset, name, columns), self._months(dataset, name)
        while True:
            ends = [*months[1:], None]
            parts = [
                rows_between(self.files.read(_folder(dataset, month), name, columns), keys[-1], MAIN, end=end)
                if end is not None
                else self.files.read(_folder(dataset, month), name, columns)
                for month, end in zip(months, ends, strict=True)
                if since is None or end is None or end > f"{since:%Y-%m}"
            ]
            before, months = months, self._months(dataset, name)
            if months == before:  # else a file was split while they were read, and rows of the new one may be missing
                return parts, recent

    def _months(self, dataset: str, name: str) -> list[str]:
        """The first months of the files of a name, MAIN first."""
        return [
            MAIN,
            *(
                folder
                for folder in self.files.folders(dataset)
                if is_month(folder) and self.exists(_folder(dataset, folder), name)
            ),
        ]

    def rows(self, dataset: str, name: str, newest: int | None = None) -> list[dict[str, Any]]:
        """The rows as dictionaries by column, the index included; missing values are None. `newest`: only that many rows, from the end.

        It needs no pandas and is meant for few rows.
        """
        table = self.files.read(dataset, name)
        table = table if newest is None else table.slice(max(len(table) - newest, 0))
        return [dict(zip(table.column_names, row, strict=True)) for row in zip(*map(plain_values, table.columns), strict=True)]

    def append(self, dataset: str, name: str, rows: pd.DataFrame) -> None:
        """Add rows to a dataset of `APPENDED`, atomically; a row whose key exists already changes nothing.

        They go into the recent file. When that gets too long, or there is no main file yet, all rows are written to the files of their months,
        and then the recent file is removed. A kill between the two leaves rows in both files, which count once.
        """
        keys, folder, new = APPENDED[dataset], f"{dataset}/{RECENT}", as_table(rows)
        if not self.exists(dataset, name):
            self._write_months(dataset, name, MAIN, table=merged([new], keys), note=None)
            self._remove(folder, name)
            return
        # A recent file has a random id as its note; each file that it is merged into has that id from then on. The file of its earliest row is
        # the last one that gets it.
        recent_id, before = uuid.uuid4().hex.encode(), self._recent(dataset, name)
        if before is not None and len(before):
            earliest = month_file_of(before, keys[-1], self._months(dataset, name))
            if _note(before.schema) == self.note(_folder(dataset, earliest), name):
                before = None  # it is merged already: a kill kept it from being removed
        if before is not None:
            recent_id, new = _note(before.schema) or recent_id, merged([before, new], keys)
        if len(new) > RECENT_ROWS:
            self._merge(dataset, name, new, note=recent_id)
            self._remove(folder, name)
        else:
            self._write(folder, name, _noted(new, recent_id))

    def _merge(self, dataset: str, name: str, rows: pa.Table, *, note: bytes) -> None:
        """Write rows to the files of their months, the newest first."""
        keys, months = APPENDED[dataset], self._months(dataset, name)
        for month, end in reversed([*zip(months, [*months[1:], None], strict=True)]):
            new = rows_between(rows, keys[-1], month, end=end)
            if len(new):
                stored = rows_between(self.files.read(_folder(dataset, month), name), keys[-1], MAIN, end=end)
                self._write_months(dataset, name, month, table=merged([stored, new], keys), note=note)

    def _write_months(self, dataset: str, name: str, month: str, *, table: pa.Table, note: bytes | None) -> None:
        """Write the file that begins with `month`, and others where it is too long, the newest first: a kill leaves rows in two files, not in
        none."""
        pieces = split_at_months(table, APPENDED[dataset][-1])
        for number, (first, piece) in reversed([*enumerate(pieces)]):
            self._write(_folder(dataset, first if number else month), name, _noted(piece, note))

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
        """Replace (dataset, name) by `frame`, atomically. `note`: bytes kept in the file, which the method `note` reads without the data.

        In a dataset of `APPENDED` several files are replaced one after the other: after a kill it has to be done again.
        """
        table = frame if isinstance(frame, pa.Table) else as_table(frame)
        if dataset not in APPENDED:
            self._write(dataset, name, _noted(table, note))
            return
        for folder in (RECENT, *reversed(self._months(dataset, name)[1:])):
            self._remove(_folder(dataset, folder), name)
        self._write_months(dataset, name, MAIN, table=table, note=note)

    def _write(self, dataset: str, name: str, table: pa.Table) -> None:
        """Replace one file."""
        self._forget(self.files.address(dataset, name))
        self.files.write(dataset, name, table, sync=dataset not in DERIVED)

    def write_rows(self, dataset: str, name: str, rows: Iterable[Mapping[str, Any]], *, schema: pa.Schema) -> None:
        """Replace (dataset, name) by rows of plain values. Needs no pandas."""
        self._write(dataset, name, rows_table(rows, schema))

    def delete(self, dataset: str, name: str) -> None:
        """Remove (dataset, name), if it exists."""
        for folder in (RECENT, *reversed(self._months(dataset, name)[1:])) if dataset in APPENDED else ():
            self._remove(_folder(dataset, folder), name)
        self._remove(dataset, name)

    def _remove(self, dataset: str, name: str) -> None:
        """Remove one file, if it exists."""
        self._forget(self.files.address(dataset, name))
        self.files.remove(dataset, name)

    def places(self, dataset: str, name: str | None = None) -> list[tuple[str, str]]:
        """Where the files of a dataset (only of `name`) lie: folder below the root, and name."""
        folders = [dataset, *(_folder(dataset, part) for part in (self.files.folders(dataset) if dataset in APPENDED else ()))]
        if name is not None:
            return [(folder, name) for folder in folders if self.exists(folder, name)]
        return [(folder, each) for folder in folders for each in self.names(folder)]

    def damage(self, dataset: str, name: str | None = None) -> dict[tuple[str, str], str]:
        """What is wrong with the files of a dataset (only of `name`), by place, as sentences with the remedy. Each file is read as a whole and
        compared with its checksum."""
        problems = {place: self.files.problem(*place, has_checksum=dataset in KEPT) for place in self.places(dataset, name)}
        return {place: problem for place, problem in problems.items() if problem is not None}

    def replace_damaged(self, dataset: str, name: str, rows: pd.DataFrame) -> list[str]:
        """Put `rows`, got again from elsewhere, in place of the damaged files; returns where the former ones are kept.

        In a dataset of `APPENDED`, rows that are in sound files stay as they are.
        """
        aside, table = [], as_table(rows)
        months = self._months(dataset, name) if dataset in APPENDED else [MAIN]
        ranges = {_folder(dataset, month): (month, end) for month, end in zip(months, [*months[1:], None], strict=True)}
        for folder, _ in self.damage(dataset, name):
            aside.append(self.files.keep_aside(folder, name))
            if folder not in ranges:  # the recent file: its rows are appended below
                self._remove(folder, name)
            elif ranges[folder] == (MAIN, None):
                self._write(folder, name, table)
            else:
                first, end = ranges[folder]
                self._write(folder, name, rows_between(table, APPENDED[dataset][-1], first, end=end))
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


def _folder(dataset: str, part: str) -> str:
    """The folder of the recent file or of a month; that of the dataset for MAIN."""
    return f"{dataset}/{part}" if part else dataset


def _note(schema: pa.Schema) -> bytes | None:
    return (schema.metadata or {}).get(b"note")


def _noted(table: pa.Table, note: bytes | None) -> pa.Table:
    return table if note is None else table.replace_schema_metadata({**(table.schema.metadata or {}), b"note": note})
