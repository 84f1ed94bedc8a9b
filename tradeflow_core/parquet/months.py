"""Rows of a growing dataset in files of whole months, so that adding a day costs the same whatever lies in the past.

The oldest rows are in the main file of a name; a later file begins with a month, after which its folder is named (`2024-01`), and reaches up to
the next one. A file has at most `FILE_ROWS` rows unless they are all of one month: minute bars get a file a month, hourly ones a file in two
years. A row counts in the file to which its time belongs and nowhere else: what a killed split has left in the file before is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import numpy as np

FILE_ROWS = 50_000
"""Rows above which a file is split at months. 50,000 bars take 2 ms to read and 5 ms to write."""

MAIN = ""
"""Stands for the main file among the months."""

_MONTH = re.compile(r"\d{4}-\d{2}")


def is_month(folder: str) -> bool:
    """Whether a folder of a dataset is that of a month."""
    return _MONTH.fullmatch(folder) is not None


def split_at_months(table: pa.Table, time: str) -> list[tuple[str, pa.Table]]:
    """The rows in pieces of whole months, the oldest first, each with its first month; their order in a piece stays.

    Consecutive months are together as long as they have at most `FILE_ROWS` rows.
    """
    import numpy as np

    if not len(table):
        return [(MAIN, table)]
    months, place, counts = np.unique(_months(table, time), return_inverse=True, return_counts=True)
    starts, rows = [0], 0
    for number, count in enumerate(counts.tolist()):
        if rows and rows + count > FILE_ROWS:
            starts.append(number)
            rows = 0
        rows += count
    if len(starts) == 1:
        return [(str(months[0]), table)]
    piece = np.searchsorted(starts, place, side="right") - 1
    ordered = table.take(np.argsort(piece, kind="stable"))
    bounds = np.searchsorted(np.sort(piece), np.arange(len(starts) + 1)).tolist()
    return [
        (str(months[start]), ordered.slice(low, high - low))
        for start, low, high in zip(starts, bounds[:-1], bounds[1:], strict=True)
    ]


def rows_between(table: pa.Table, time: str, first: str, *, end: str | None) -> pa.Table:
    """The rows from the month `first` (MAIN: from the beginning) up to the month `end` (None: to the end)."""
    import numpy as np

    stamps = _stamps(table, time)
    belongs = np.ones(len(stamps), dtype=bool)
    # Nearly always all rows belong there, which is quick to see.
    if len(stamps) and first != MAIN and stamps.min() < (begin := np.datetime64(first, "us")):
        belongs &= stamps >= begin
    if len(stamps) and end is not None and stamps.max() >= (beyond := np.datetime64(end, "us")):
        belongs &= stamps < beyond
    return table if belongs.all() else table.filter(pa.array(belongs))


def month_file_of(table: pa.Table, time: str, files: Sequence[str]) -> str:
    """To which of these files (their first months, MAIN first) the earliest row belongs."""
    earliest = str(_stamps(table, time).min().astype("M8[M]"))
    return max((month for month in files if month <= earliest), default=MAIN)


def in_key_order(parts: Sequence[pa.Table], keys: Sequence[str]) -> pa.Table:
    """The rows of parts that follow each other in the last key, a time, and are sorted by the keys: all of them sorted by the keys, in chunks.

    Nothing is compared or copied: for each value of the other keys the rows of one part come after those of the part before.
    """
    import numpy as np

    if len(parts) == 1:
        return parts[0]
    slices = []
    for number, part in enumerate(parts):
        changes = np.zeros(max(len(part) - 1, 0), dtype=bool)
        for column in (_codes(part[key]) for key in keys[:-1]):
            changes |= column[1:] != column[:-1]
        bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(part)] if len(part) else [0]
        labels = [part[key].take(bounds[:-1]).to_pylist() for key in keys[:-1]]
        rows = pairwise(bounds)
        slices += [
            ((*label, number), part.slice(low, high - low))
            for label, (low, high) in zip(zip(*labels, strict=True), rows, strict=True)
        ]
    ordered = [rows for _, rows in sorted(slices, key=lambda each: each[0])] or [parts[-1]]
    return pa.concat_tables(_alike(ordered, parts[-1].schema)).unify_dictionaries()


def merged(parts: Sequence[pa.Table], keys: Sequence[str]) -> pa.Table:
    """The rows of all parts, sorted by `keys`; of rows with the same key the one of the first part."""
    import numpy as np

    sorted_parts = [part for part in parts if len(part)] or [parts[-1]]
    both = together([in_key_order(sorted_parts, keys)], parts[-1].schema)
    columns = [sortable(both[key]) for key in keys]
    later, same = np.zeros(max(len(both) - 1, 0), dtype=bool), np.ones(max(len(both) - 1, 0), dtype=bool)
    for column in columns:
        later |= same & (column[1:] > column[:-1])
        same &= column[1:] == column[:-1]
    if later.all():
        return both
    both = together(sorted_parts, parts[-1].schema)
    columns = [sortable(both[key]) for key in keys]
    order = np.lexsort(columns[::-1])  # stable: of rows with the same key the first part's comes first
    repeated = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in columns:
        repeated &= column[order[1:]] == column[order[:-1]]
    return both.take(order[np.append(True, ~repeated)[: len(order)]])


def together(parts: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """The parts one after the other, as one table without chunks in this schema."""
    return pa.concat_tables(_alike(parts, schema)).unify_dictionaries().combine_chunks()


def _alike(parts: Sequence[pa.Table], schema: pa.Schema) -> list[pa.Table]:
    return [part if part.schema.equals(schema, check_metadata=True) else part.cast(schema) for part in parts]


def sortable(column: pa.ChunkedArray) -> np.ndarray:
    """A column without missing values as an array that NumPy sorts fast into the same order: text becomes the rank of its dictionary entry."""
    import numpy as np

    values = _whole(column)
    if not pa.types.is_dictionary(values.type):
        return np.asarray(values)
    return np.argsort(np.argsort(np.asarray(values.dictionary)))[np.asarray(values.indices)]


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """A column as an array in which equal values are equal."""
    import numpy as np

    values = _whole(column)
    return np.asarray(values.indices if pa.types.is_dictionary(values.type) else values)


def _whole(column: pa.ChunkedArray) -> Any:
    """A column as one array."""
    if column.num_chunks == 1:
        return column.chunk(0)
    values = column.combine_chunks()
    return values.chunk(0) if isinstance(values, pa.ChunkedArray) else values


def _stamps(table: pa.Table, time: str) -> np.ndarray:
    return sortable(table[time])


def _months(table: pa.Table, time: str) -> np.ndarray:
    return _stamps(table, time).astype("M8[M]")
