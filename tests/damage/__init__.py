"""Ways in which a stored file can be damaged."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def _garbled_in_the_middle(file: Path) -> None:
    content = bytearray(file.read_bytes())
    for place in range(len(content) // 10, len(content) * 9 // 10, 7):
        content[place] ^= 0x5A
    file.write_bytes(content)


def _a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


WAYS: dict[str, Callable[[Path], object]] = {
    "truncated": lambda file: os.truncate(file, file.stat().st_size // 2),
    "empty": lambda file: os.truncate(file, 0),
    "noise": lambda file: file.write_bytes(random.Random(1).randbytes(file.stat().st_size)),
    "garbled in the middle": _garbled_in_the_middle,
    "a folder": _a_folder,
    "another table": lambda file: pq.write_table(pa.table({"x": [1, 2, 3]}), file),
}
"""By name: what happens to a file."""
