"""The bytes of a Parquet file of ours: fast encodings, a checksum of each page, and one of the whole file.

The checksums of pages are verified whenever a file is read: damaged figures are never handed on. They do not cover the footer, so small
files, and in `tradeflow check` all, are compared with the checksum of the whole file, which finds any single damaged byte (CRC-32). It stands
in the footer, where other programs ignore it, and is computed as if it were `00000000`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tradeflow_core.errors import StateError, TradeflowError

CHECKSUM = b"tradeflow-crc32"
"""The name of the checksum in the footer."""
BLANK = b"0" * 8
"""What stands in place of the checksum while it is computed."""
_HEADER = 2
"""Bytes between name and checksum in the footer: Thrift writes the kind of the field, and the length of the text."""


class DamagedFile(StateError):
    """A stored file that is there and cannot be used. `dataset` and `name` say which; the message has path, problem and remedy."""

    def __init__(self, dataset: str, name: str, problem: str, *, path: str, remedy: str) -> None:
        super().__init__(f"{path} {problem}; {remedy}")
        self.dataset, self.name = dataset, name


@contextmanager
def naming_damage(dataset: str, name: str, *, path: str, remedy: str) -> Iterator[None]:
    """Turn whatever goes wrong in the block, which reads a file, into DamagedFile. A missing file stays FileNotFoundError.

    Damaged bytes make Arrow and pandas raise nearly any error, so all are meant here.
    """
    try:
        yield
    except (FileNotFoundError, TradeflowError):
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0].partition(". ")[0].rstrip(".") or type(error).__name__
        problem = f"is not a readable Parquet file ({reason[:160]})"
        raise DamagedFile(dataset, name, problem, path=path, remedy=remedy) from error


def encode(table: pa.Table) -> tuple[Any, bytes, Any]:
    """A table as Parquet, in three pieces of bytes to be written one after the other; the second is the checksum.

    Floats and times hardly ever repeat, so a dictionary of them only costs time: floats are split by bytes, times stored as differences.
    LZ4 makes files a fifth larger than zstd, and is a quarter faster, in writing and reading. No statistics: they let a query skip row
    groups of a file, and our files have one.
    """
    encodings = {column.name: "BYTE_STREAM_SPLIT" for column in table.schema if pa.types.is_floating(column.type)}
    encodings |= {column.name: "DELTA_BINARY_PACKED" for column in table.schema if pa.types.is_timestamp(column.type)}
    with_dictionary = [name for name in table.schema.names if name not in encodings]
    options: dict[str, Any] = {"compression": "lz4", "use_dictionary": with_dictionary, "column_encoding": encodings}
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, write_statistics=False, write_page_checksum=True, **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({CHECKSUM: BLANK})
    content = sink.getvalue()
    place = _place_of_checksum(memoryview(content))
    assert place is not None
    checksum = b"%08x" % zlib.crc32(content)
    return content[:place], checksum, content[place + len(checksum) :]


def decode(source: Any, columns: Sequence[str] | None = None) -> pa.Table:
    """The table in a file (a path, or an open file), only `columns` and the index where they are given. Raises whatever Arrow raises."""
    with pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True) as file:
        wanted = None if columns is None else list(columns)
        table = file.read(columns=wanted, use_threads=False, use_pandas_metadata=True)
    metadata = dict(table.schema.metadata or {})
    if metadata.pop(CHECKSUM, None) is not None:
        table = table.replace_schema_metadata(metadata or None)
    if missing := [name for name in wanted or () if name not in table.column_names]:
        raise KeyError(f"it has no column {', '.join(missing)}")
    return table


def checksum_problem(content: bytes, *, needed: bool) -> str | None:
    """What the checksum of a whole file says about its bytes: None where they are as they were written. `needed`: it has to have one."""
    view = memoryview(content)
    place = _place_of_checksum(view)
    if place is None:
        return "it has no checksum, so it is damaged or was not written by tradeflow" if needed else None
    end = place + len(BLANK)
    computed = zlib.crc32(view[end:], zlib.crc32(BLANK, zlib.crc32(view[:place])))
    return None if bytes(view[place:end]) == b"%08x" % computed else "its checksum does not fit its bytes"


def _place_of_checksum(content: memoryview) -> int | None:
    """Where the checksum stands; None where there is none."""
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    if start < 0:
        return None
    place = bytes(content[start:-8]).rfind(CHECKSUM)
    end = start + place + len(CHECKSUM) + _HEADER + len(BLANK)
    return None if place < 0 or end > len(content) - 8 else end - len(BLANK)
