"""What commands share: output (rich tables and lines for people, JSON for programs), common options, the desk they work on.

Nothing heavy is imported here: every command loads this, and `tradeflow stop` must start at once.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from tradeflow_core import desk, home
from tradeflow_core.errors import StateError

if TYPE_CHECKING:
    import pandas as pd
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from tradeflow_core.desk import Desk

console = Console(highlight=False)
if not console.is_terminal:
    console = Console(highlight=False, width=150)
error_console = Console(stderr=True, highlight=False)

DEFAULT_WHY = "said on the command line"
json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
why_option = click.option("--why", default=DEFAULT_WHY, show_default=True, help="The reason, kept in the ledger.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


class Number(click.ParamType):
    """A number of an option: finite, from `least` to `most`."""

    name = "number"

    def __init__(self, least: float = -1e12, most: float = 1e12) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is no number; write it with digits and a point, such as 1000.5", param, ctx)
        if not self.least <= number <= self.most:
            self.fail(f"{value} is not a number from {self.least:,g} to {self.most:,g}", param, ctx)
        return number


PRICE = Number()
CAPITAL = Number(1)
OFFSET = click.IntRange(-3650, 3650)
"""Days before or after: at most ten years."""
WHOLE = click.IntRange(-(10**9), 10**9)
"""A whole number: of contracts, or of a row in the ledger."""
DAYS = click.IntRange(0, 36_500)
"""A number of days in an option: at most a hundred years."""


class Day(click.DateTime):
    """A day, YYYY-MM-DD, between 1900 and 2200: days far from that are slips, and overflow as instants."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        day = super().convert(value, param, ctx)
        if not 1900 <= day.year < 2200:
            self.fail(f"{value} is not a day between 1900 and 2200", param, ctx)
        return day


DAY = Day()

Rows = Sequence[Mapping[str, Any]]
"""A table as plain values: one mapping a row, all with the same columns."""


def open_desk(path: Path | None, *, quiet: bool = False) -> Desk:
    """The desk of the home, closed when the command ends; prints a first line that says which one it is, unless `quiet`."""
    opened = desk.Desk(home.Home.open(path))
    if context := click.get_current_context(silent=True):
        context.call_on_close(opened.close)
    if not quiet:
        console.print(f"[dim]{opened.home.describe()}[/dim]", soft_wrap=True)
    return opened


def ask(question: str, *, yes: bool, as_json: bool) -> bool:
    """Ask the user to confirm. With `as_json` a program has called, which cannot be asked: raises StateError."""
    if yes:
        return True
    if as_json:
        raise StateError(f"{question} Nothing was changed: with --json add --yes, or --dry-run")
    return click.confirm(question)


def progress(title: str, total: int, *, quiet: bool) -> tuple[Progress, TaskID]:
    """A progress bar on standard error; hidden where that is no terminal, or if `quiet`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=error_console, transient=True, disable=quiet or not error_console.is_terminal)
    return bar, bar.add_task(title, total=total)


def print_json(value: Any) -> None:
    """Write a value as JSON on standard output; frames as lists of records, NaN as null, instants in ISO form, anything unknown as text."""
    print(json.dumps(plain(value), indent=2, default=str))


def plain(value: Any) -> Any:
    """The value made of plain JSON types."""
    if _is_frame(value):
        return [{str(key): plain(item) for key, item in row.items()} for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if _is_missing(value) or (isinstance(value, float) and math.isinf(value)):
        return None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value.item() if hasattr(value, "item") else value


def print_table(
    title: str, table: pd.DataFrame | Rows, empty: str = "none", *, decimals: int = 2, limit: int = 60, plain_names: bool = False
) -> None:
    """Show a table: numbers right, at most `limit` rows. `plain_names`: columns are named as they are, underscores too."""
    rows: list[Any] = table.to_dict("records") if _is_frame(table) else list(table)  # type: ignore[union-attr]
    if not rows:
        console.print(f"[bold]{title}[/bold]: {empty}")
        return
    numeric = {name for name in rows[0] if _is_numeric(table, name, rows)}
    console.print(_drawn(title, rows[:limit], numeric, decimals=decimals, plain_names=plain_names))
    if len(rows) > limit:
        console.print(f"... and {len(rows) - limit} more")


def print_beside(tables: Mapping[str, Rows], empty: str = "none") -> None:
    """Show tables of plain rows by title: beside each other as far as the width allows, else below each other."""
    from rich.columns import Columns

    drawn = [
        _drawn(title, rows, {name for name in rows[0] if _is_numeric(rows, name, rows)})
        if rows
        else f"[bold]{title}[/bold]: {empty}"
        for title, rows in tables.items()
    ]
    console.print(Columns(drawn, padding=(0, 3)))


def _drawn(title: str, rows: Rows, numeric: set[Any], *, decimals: int = 2, plain_names: bool = False) -> Table:
    from rich.table import Table

    shown = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for name in rows[0]:
        heading = escape(str(name)) if plain_names else str(name).replace("_", " ")
        shown.add_column(heading, justify="right" if name in numeric else "left")
    for row in rows:
        shown.add_row(*(escape(_cell(value, decimals)) for value in row.values()))
    return shown


def _is_frame(value: object) -> bool:
    """Whether the value is a data frame; if pandas is not loaded, it cannot be one."""
    return "pandas" in sys.modules and isinstance(value, sys.modules["pandas"].DataFrame)


def _is_numeric(table: pd.DataFrame | Rows, name: Any, rows: Rows) -> bool:
    if _is_frame(table):
        numeric: bool = sys.modules["pandas"].api.types.is_numeric_dtype(table[name])  # type: ignore[call-overload]
        return numeric
    values = [row[name] for row in rows if not _is_missing(row[name])]
    return bool(values) and all(isinstance(value, (int, float, Decimal)) for value in values)


def _is_missing(value: object) -> bool:
    """Whether the value is None, NaN, or missing to pandas."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NaT or value is pandas.NA)


def _cell(value: Any, decimals: int) -> str:
    if _is_missing(value):
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:,.{decimals}f}"
    return str(value)
