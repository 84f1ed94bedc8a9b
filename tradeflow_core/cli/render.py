"""How commands speak: rich tables and lines for people, JSON for programs."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console(highlight=False)
if not console.is_terminal:
    console = Console(highlight=False, width=150)
errors = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Write a value as JSON on standard output; frames as lists of records, NaN as null, instants in ISO form."""
    print(json.dumps(plain(value), indent=2))


def plain(value: Any) -> Any:
    """The value made of plain JSON types."""
    if isinstance(value, pd.DataFrame):
        return [{str(key): plain(item) for key, item in row.items()} for row in value.to_dict("records")]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value.item() if hasattr(value, "item") else value


def print_table(
    title: str, frame: pd.DataFrame, empty: str = "none", decimals: int = 2, limit: int = 60, plain_names: bool = False
) -> None:
    """Show a frame as a table: numbers right, at most `limit` rows. `plain_names`: columns are named as they are, underscores too."""
    if frame.empty:
        console.print(f"[bold]{title}[/bold]: {empty}")
        return
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for name in frame.columns:
        heading = escape(str(name)) if plain_names else str(name).replace("_", " ")
        table.add_column(heading, justify="right" if pd.api.types.is_numeric_dtype(frame[name]) else "left")
    for row in frame.head(limit).itertuples(index=False):
        table.add_row(*(escape(_cell(value, decimals)) for value in row))
    console.print(table)
    if len(frame) > limit:
        console.print(f"... and {len(frame) - limit} more")


def _cell(value: Any, decimals: int) -> str:
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:,.{decimals}f}"
    return str(value)
