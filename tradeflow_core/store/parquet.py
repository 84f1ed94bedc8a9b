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

    def __init__(self, root: str, cache_bytes: int = 256 * 2**20) -> None:
        """`cache_bytes`: how much of what was read or written last is kept in memory (local stores only), known by its file's identity."""
        self.root = UPath(root)
        self._local = self.root.protocol in ("", "file", "local")
        self._cache: OrderedDict[str, tuple[object, pd.DataFrame]] = OrderedDict()
        self._free = cache_bytes

    def path(self, dataset: str, name: str) -> UPath:
        return self.root / dataset / f"{name}.parquet"

    def exists(self, dataset: str, name: str) -> bool:
        return self.path(dataset, name).exists()

    def names(self, dataset: str) -> list[str]:
        """Names that the dataset holds, sorted; empty where there is no such dataset."""
        folder = self.root / dataset
        return sorted(file.stem for file in folder.glob("*.parquet")) if folder.exists() else []

    def read(self, dataset: str, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The frame as it was written (index included). Raises StateError, naming what makes it, when it is not there."""
        path = self.path(dataset, name)
        try:
            identity = _identity(str(path)) if self._local else None
            if identity is not None and identity == self._cache.get(str(path), (None, None))[0]:
                self._cache.move_to_end(str(path))
                frame = self._cache[str(path)][1]
                return frame[list(columns)] if columns else frame.copy(deep=False)
            with path.open("rb") as file:
                frame = pq.read_table(file, columns=list(columns) if columns else None).to_pandas()
        except FileNotFoundError as error:
            raise StateError(
                f"{dataset} of {name} has not been made yet; materialize the asset {dataset}, or run `tradeflow day`"
            ) from error
        except pa.ArrowInvalid as error:
            raise StateError(
                f"{path} is not a readable Parquet file ({error}); restore it or materialize {dataset} again"
            ) from error
        if identity is not None and not columns:
            self._keep(str(path), identity, frame)
        return frame.copy(deep=False)

    def _keep(self, path: str, identity: object, frame: pd.DataFrame) -> None:
        """Remember a frame, and forget the ones not used for longest where it gets too much."""
        self._forget(path)
        self._cache[path] = (identity, frame)
        self._free -= _size(frame)
        while self._free < 0 and len(self._cache) > 1:
            self._forget(next(iter(self._cache)))

    def _forget(self, path: str) -> None:
        if path in self._cache:
            self._free += _size(self._cache.pop(path)[1])

    def write(self, dataset: str, name: str, frame: pd.DataFrame) -> None:
        """Replace the file of (dataset, name) with `frame`, atomically."""
        self._forget(str(self.path(dataset, name)))
        table = pa.Table.from_pandas(frame, nthreads=1)
        # Floats and stamps hardly ever repeat: a dictionary of them only costs time.
        coded = [
            column.name
            for column in table.schema
            if not (pa.types.is_floating(column.type) or pa.types.is_timestamp(column.type))
        ]
        path = self.path(dataset, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self._local:
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=coded)
            path.write_bytes(sink.getvalue().to_pybytes())
            return
        temporary = os.path.join(str(path.parent), f".{path.name}.{os.getpid()}")
        with open(temporary, "wb") as file:
            pq.write_table(table, file, compression="zstd", compression_level=1, use_dictionary=coded)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, str(path))
        _sync_folder(str(path.parent))

    def delete(self, dataset: str, name: str) -> None:
        """Remove the file if it is there."""
        self.path(dataset, name).unlink(missing_ok=True)


def _identity(path: str) -> tuple[int, int, int]:
    """What tells one version of a file from another: a replaced file has another inode."""
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns, status.st_size


def _size(frame: pd.DataFrame) -> int:
    return int(frame.memory_usage(deep=False).sum())


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
