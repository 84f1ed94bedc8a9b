"""Parquet datasets: the store of record of time series and derived artifacts, one file per (dataset, name)."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from tradeflow_core.errors import StateError


class Store:
    """Datasets below one root, a local folder or any fsspec URL.

    A file is replaced as a whole: a local one is written beside, synced to disk and renamed over the old one, an object store
    gets one put. So a reader sees the old artifact or the new one, never a part, whenever the writer dies.
    """

    def __init__(self, root: str, cache_bytes: int = 128 * 2**20) -> None:
        """`cache_bytes`: how much of what was read or written last is kept in memory (local stores only), known by its file's identity."""
        self.root = UPath(root)
        self._root = self.root.path
        self._local = self.root.protocol in ("", "file", "local")
        self._cache: OrderedDict[str, tuple[object, pd.DataFrame, int]] = OrderedDict()
        self._free = cache_bytes

    def path(self, dataset: str, name: str) -> UPath:
        return self.root / dataset / f"{name}.parquet"

    def exists(self, dataset: str, name: str) -> bool:
        return os.path.exists(self._address(dataset, name)) if self._local else self.path(dataset, name).exists()

    def names(self, dataset: str) -> list[str]:
        """Names that the dataset holds, sorted; empty where there is no such dataset."""
        folder = self.root / dataset
        return sorted(file.stem for file in folder.glob("*.parquet")) if folder.exists() else []

    def read(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The frame as it was written (index included). Raises StateError, naming what makes it, when it is not there."""
        path = self._address(dataset, name)
        try:
            identity = _identity(path) if self._local else None
            if identity is not None and path in self._cache and identity == self._cache[path][0]:
                self._cache.move_to_end(path)
                frame = self._cache[path][1]
                return frame[list(columns)] if columns else frame.copy(deep=False)
            with open(path, "rb") if self._local else self.path(dataset, name).open("rb") as file:
                table = pq.ParquetFile(file).read(columns=list(columns) if columns else None, use_threads=False)
            frame = table.to_pandas(use_threads=False, split_blocks=True)
        except FileNotFoundError as error:
            raise StateError(
                f"{dataset} of {name} has not been made yet; materialize the asset {dataset}, or run `tradeflow day`"
            ) from error
        except pa.ArrowInvalid as error:
            raise StateError(
                f"{path} is not a readable Parquet file ({error}); restore it or materialize {dataset} again"
            ) from error
        if identity is not None and not columns:
            self._keep(path, identity, frame, table.nbytes)
        return frame.copy(deep=False)

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

    def write(self, dataset: str, name: str, frame: pd.DataFrame) -> None:
        """Replace the file of (dataset, name) with `frame`, atomically."""
        path = self._address(dataset, name)
        self._forget(path)
        table = pa.Table.from_pandas(frame, nthreads=1)
        if not self._local:
            sink = pa.BufferOutputStream()
            _encode(table, sink)
            self.path(dataset, name).parent.mkdir(parents=True, exist_ok=True)
            self.path(dataset, name).write_bytes(sink.getvalue().to_pybytes())
            return
        folder, file_name = os.path.split(path)
        os.makedirs(folder, exist_ok=True)
        temporary = os.path.join(folder, f".{file_name}.{os.getpid()}")
        with open(temporary, "wb") as file:
            _encode(table, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(folder)

    def delete(self, dataset: str, name: str) -> None:
        """Remove the file if it is there."""
        self.path(dataset, name).unlink(missing_ok=True)


def _identity(path: str) -> tuple[int, int, int]:
    """What tells one version of a file from another: a replaced file has another inode."""
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns, status.st_size


def _encode(table: pa.Table, sink: object) -> None:
    """Floats and stamps hardly ever repeat, so a dictionary of them only costs time; with bytes split and stamps as steps the rest is quick."""
    encodings = {column.name: "BYTE_STREAM_SPLIT" for column in table.schema if pa.types.is_floating(column.type)}
    encodings |= {column.name: "DELTA_BINARY_PACKED" for column in table.schema if pa.types.is_timestamp(column.type)}
    coded = [name for name in table.schema.names if name not in encodings]
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=coded, column_encoding=encodings)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
