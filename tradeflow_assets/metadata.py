"""Metadata of assets: tables, plain numbers (which Dagster plots over time), small pictures."""

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

POINTS = 80
"""Points of a sparkline. Dagster shows markdown inline only below 1000 characters; this keeps a picture below that."""

WIDTH, HEIGHT = 160, 40
MAX_ROWS = 300


def table(frame: pd.DataFrame, columns: Sequence[str] | None = None) -> dg.TableMetadataValue:
    """The frame (at most its first 300 rows) as a table with a schema; gaps are empty, times are text.

    A column `strategy` with the same value in every row is left out, since cells are narrow.
    """
    shown = frame if columns is None else frame[list(columns)]
    if "strategy" in shown and len(shown) > 1 and shown["strategy"].nunique() == 1:
        shown = shown.drop(columns="strategy")
    kinds = {name: _kind(shown[name]) for name in shown.columns}
    records = [
        dg.TableRecord({name: _plain(row[i], kinds[name]) for i, name in enumerate(kinds)})
        for row in shown.head(MAX_ROWS).to_numpy(object)
    ]
    schema = dg.TableSchema(columns=[dg.TableColumn(str(name), kind) for name, kind in kinds.items()])
    return dg.MetadataValue.table(records, schema=schema)


def _kind(column: pd.Series) -> str:
    if pd.api.types.is_integer_dtype(column):
        return "int"
    return "float" if pd.api.types.is_float_dtype(column) else "string"


def _plain(value: Any, kind: str) -> str | int | float | None:
    if value is None or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if kind == "int":
        return int(value)
    if kind == "float":
        return float(f"{value:.6g}") if abs(value) < 1e6 else round(float(value))
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, pd.Timestamp) else str(value)


def rows(count: int) -> dict[str, int]:
    """The row count, under the key that Dagster shows in the header of an asset."""
    return {"dagster/row_count": int(count)}


def sparkline(values: ArrayLike) -> dg.MarkdownMetadataValue:
    """A line through the values (gaps left out) as an inline SVG in markdown of less than 1000 characters."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if len(finite) < 2:
        return dg.MetadataValue.md("too few values for a picture")
    picked = finite[np.linspace(0, len(finite) - 1, min(POINTS, len(finite))).round().astype(int)]
    low, high = float(picked.min()), float(picked.max())
    across = np.linspace(0, WIDTH, len(picked)).round().astype(int)
    down = (HEIGHT - 1 - (picked - low) / ((high - low) or 1.0) * (HEIGHT - 2)).round().astype(int)
    points = " ".join(f"{x},{y}" for x, y in zip(across, down, strict=True))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * 2}" viewBox="0 0 {WIDTH} {HEIGHT}">'
    svg = f'{head}<path d="M{points}" fill="none" stroke="#43d"/></svg>'
    return dg.MetadataValue.md(f"![]({_data_uri(svg)})")


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def bullets(lines: Iterable[str]) -> dg.MarkdownMetadataValue:
    """Lines as a markdown list; says so when there is none."""
    return dg.MetadataValue.md("\n".join(f"- {line}" for line in lines) or "none")
