"""Parquet files below a root by dataset and name: read, replaced as a whole, put aside."""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.parquet.codec import DamagedFile, checksum_problem, decode, encode, naming_damage

_REPAIR = 'repair it with `tradeflow prices repair {name} --why "..."`'
_NEXT_DAY = "the next business day (`tradeflow day --days 1`) makes it anew"
_IMPORT = "make the tape anew with `tradeflow import pysystemtrade`"
REMEDIES = {
    **dict.fromkeys(("contract_prices", "multiple_prices", "adjusted_prices", "spot_fx"), _REPAIR),
    **dict.fromkeys(("total_capital", "strategy_capital", "optimal_positions", "order_decisions"), _NEXT_DAY),
    **dict.fromkeys(("history_changes", "spreads"), "the next row of it puts the file aside and begins another"),
    **dict.fromkeys(("bars", "fx", "roll_events"), _IMPORT),
}
"""What to do about a damaged file, by dataset."""

COLUMNS: dict[str, Collection[str]] = {
    "contract_prices": ("contract", "frequency", "start", "FINAL"),
    "multiple_prices": ("PRICE",),
    "adjusted_prices": ("price",),
    "spot_fx": ("rate",),
    "total_capital": ("capital", "accumulated", "broker"),
    "strategy_capital": ("capital",),
    "optimal_positions": ("instrument", "day", "lower", "upper"),
    "order_decisions": ("instrument", "reason", "day"),
    "history_changes": ("recorded_at",),
    "spreads": ("spread",),
    "bars": ("contract", "frequency", "start", "end", "FINAL"),
    "fx": ("rate",),
    "roll_events": ("after", "price_contract"),
}
"""By dataset: columns without which a file is not one of it. Each of these has times, too."""


VERIFIED_BYTES = 2**20
"""Files up to this size are compared with the checksum of the whole file whenever they are read: that takes a third of a millisecond."""


class ParquetFiles:
    """The files below one root, a local folder or any fsspec URL: `DATASET/NAME.parquet`. A dataset may lie in a folder of another one.

    A file is replaced as a whole: a local file is written under a temporary name and renamed; an object store gets one put. So a reader
    finds the old file or the new one, never a part, even if the writer is killed.
    """

    def __init__(self, root: str) -> None:
        try:
            self.root = UPath(root)
            self.root.fs  # noqa: B018 - the package of the protocol is imported only here
        except ImportError as error:
            extra = "tradeflow with its extra `s3`" if root.startswith("s3") else "it"
            raise ConfigError(f"data: {root} needs a package that is not installed ({error}); install {extra}") from error
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(
                f"data: {root} cannot be used ({error}); give a folder, or a URL such as s3://BUCKET/FOLDER"
            ) from error
        self.is_local = self.root.protocol in ("", "file", "local")
        self._root = self.root.path

    def path(self, dataset: str, name: str) -> UPath:
        return self.root / dataset / f"{name}.parquet"

    def address(self, dataset: str, name: str) -> str:
        """The path of a file as text. Where files are local it is made without `UPath`, which takes 13 times as long."""
        return os.path.join(self._root, dataset, f"{name}.parquet") if self.is_local else str(self.path(dataset, name))

    def exists(self, dataset: str, name: str) -> bool:
        return os.path.exists(self.address(dataset, name)) if self.is_local else self.path(dataset, name).exists()

    def names(self, dataset: str) -> list[str]:
        """The names of the files of a dataset, sorted; empty where there is no such dataset."""
        folder = self.root / dataset
        return sorted(file.stem for file in folder.glob("*.parquet")) if folder.exists() else []

    def folders(self, dataset: str) -> list[str]:
        """The folders in that of a dataset, sorted; empty where there is no such dataset."""
        try:
            if self.is_local:
                return sorted(entry.name for entry in os.scandir(os.path.join(self._root, dataset)) if entry.is_dir())
            return sorted(child.name for child in (self.root / dataset).iterdir() if child.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, dataset: str, name: str, columns: Sequence[str] | None = None, *, salvage: bool = False) -> pa.Table:
        """One file as an Arrow table. Raises DamagedFile where it cannot be used, StateError, naming what makes it, where it is missing.

        `salvage`: only the pages of these columns have to be sound.
        """
        whole = dataset.partition("/")[0]
        try:
            with naming_damage(whole, name, **self.words(dataset, name)), self._open(dataset, name, as_it_is=salvage) as source:
                table = decode(source, columns)
                needed = COLUMNS.get(whole, ()) if columns is None else ()
                if missing := [column for column in needed if column not in table.column_names]:
                    raise KeyError(f"it has no column {', '.join(missing)}")
                if needed and not any(pa.types.is_timestamp(kind) for kind in table.schema.types):
                    raise KeyError("it has no times")
                return table
        except FileNotFoundError as error:
            raise StateError(
                f"{dataset} of {name} has not been made yet; materialize the asset {whole}, or run `tradeflow day`"
            ) from error

    def schema(self, dataset: str, name: str) -> pa.Schema | None:
        """The schema of a file; None where it is missing or damaged."""
        try:
            with naming_damage(dataset, name, **self.words(dataset, name)), self._open(dataset, name) as source:
                return pq.read_schema(source)
        except (FileNotFoundError, DamagedFile):
            return None

    def problem(self, dataset: str, name: str, *, has_checksum: bool) -> str | None:
        """What is wrong with a file, as a sentence with its remedy; None where nothing is, or there is no such file. It is read as a whole.

        `has_checksum`: it is damaged if it has no checksum; else that is only looked at where there is one, which older files lack.
        """
        try:
            self.read(dataset, name)
            problem = checksum_problem(self.path(dataset, name).read_bytes(), needed=has_checksum)
        except FileNotFoundError:
            return None
        except StateError as error:
            return str(error) if isinstance(error, DamagedFile) else None
        words = self.words(dataset, name)
        return None if problem is None else f"{words['path']} is damaged: {problem}; {words['remedy']}"

    def words(self, dataset: str, name: str) -> dict[str, str]:
        """How an error about a file names it, and what to do about it."""
        remedy = REMEDIES.get(dataset.partition("/")[0], "remove it, or take it from a backup")
        return {"path": self.address(dataset, name), "remedy": remedy.format(name=name)}

    def write(self, dataset: str, name: str, table: pa.Table, *, sync: bool) -> None:
        """Replace one file. `sync`: also survive a power cut; only a local file can lack that."""
        pieces = encode(table)
        if not self.is_local:
            self.path(dataset, name).parent.mkdir(parents=True, exist_ok=True)
            self.path(dataset, name).write_bytes(b"".join(pieces))
            return
        path = self.address(dataset, name)
        folder, file_name = os.path.split(path)
        os.makedirs(folder, exist_ok=True)
        temporary = os.path.join(folder, f".{file_name}.{os.getpid()}")
        try:
            with open(temporary, "wb") as file:
                for piece in pieces:
                    file.write(piece)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            if os.path.isdir(path):
                self.put_aside(dataset, name)
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def remove(self, dataset: str, name: str) -> None:
        """Remove one file, if it exists."""
        if self.exists(dataset, name):
            self.path(dataset, name).unlink(missing_ok=True)

    def put_aside(self, dataset: str, name: str) -> str:
        """Rename a damaged file, so that nothing reads it and a person can look at it; returns its new path."""
        target = self._aside(dataset, name)
        self.root.fs.mv(self.path(dataset, name).path, UPath(target).path, recursive=True)
        return target

    def keep_aside(self, dataset: str, name: str) -> str:
        """The same, but the file itself stays until it is replaced; a folder in its place does not."""
        target = self._aside(dataset, name)
        try:
            if self.is_local:
                os.link(self.address(dataset, name), target)
            else:
                self.root.fs.copy(self.path(dataset, name).path, UPath(target).path)
        except OSError:  # a folder, or a disk without links
            return self.put_aside(dataset, name)
        return target

    def _aside(self, dataset: str, name: str) -> str:
        return f"{self.address(dataset, name)}.damaged-{uuid.uuid4().hex[:8]}"

    def _open(self, dataset: str, name: str, *, as_it_is: bool = False) -> AbstractContextManager[Any]:
        """A file as something that Arrow reads: its path, or an open file of an object store. Raises ValueError for a small local file that
        does not fit its checksum, unless `as_it_is`."""
        if not self.is_local:
            return self.path(dataset, name).open("rb")
        path = self.address(dataset, name)
        if as_it_is or os.stat(path).st_size > VERIFIED_BYTES:
            return nullcontext(path)
        with open(path, "rb") as file:
            content = file.read()
        if problem := checksum_problem(content, needed=False):
            raise ValueError(problem)
        return pa.BufferReader(content)
