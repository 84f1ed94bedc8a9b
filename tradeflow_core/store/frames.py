"""Frames of pandas, rows of plain values, and Arrow tables: turned into each other.

pandas and NumPy are imported where they are used: a command that only reads a few rows does not need them.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd


def as_table(frame: pd.DataFrame) -> pa.Table:
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


def plain_values(column: pa.ChunkedArray) -> list[Any]:
    """A column as plain values. Times are computed here from their microseconds, since Arrow would load pandas for them."""
    if not pa.types.is_timestamp(column.type):
        values: list[Any] = column.to_pylist()
        return values
    start = datetime(1970, 1, 1, tzinfo=UTC if column.type.tz else None)
    counts = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()).to_pylist()
    return [None if count is None else start + timedelta(microseconds=count) for count in counts]


def as_frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(use_threads=False, split_blocks=True)


def rows_table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table of rows of plain values. Needs no pandas, which Arrow loads for every other way to make a table."""
    import pyarrow.json

    lines = "".join(json.dumps({key: _jsonable(value) for key, value in row.items()}) + "\n" for row in rows)
    options = pyarrow.json.ParseOptions(explicit_schema=schema)
    return pyarrow.json.read_json(io.BytesIO(lines.encode()), parse_options=options) if lines else schema.empty_table()


def _jsonable(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, (date, datetime)) else value
