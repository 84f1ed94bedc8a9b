"""What the commands of locks, overrides and limits share: their options, their tables, and how a change is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from tradeflow_core.cli.common import console, print_json, print_table

if TYPE_CHECKING:
    from tradeflow_core.orders import ControlChange

reason_option = click.option("--why", required=True, help="The reason, kept in the ledger.")
history_option = click.option("--history", is_flag=True, help="All that there ever were, with who lifted them and why.")
of_instrument_option = click.option("--instrument", help="Only those that hold for this instrument.")
strategy_option = click.option("--strategy", default="", help="The strategy; default: all of them together.")

MANY = 1000
"""Rows of a table that are shown."""


def print_controls(title: str, rows: Sequence[dict[str, Any]], *, history: bool, everything: str = "every") -> None:
    """Controls as a table; `everything` stands for an empty strategy or instrument."""
    named = ("strategy", "instrument")
    shown = [{name: everything if value == "" and name in named else value for name, value in row.items()} for row in rows]
    print_table(f"{title}{', all there ever were' if history else ''} (times are UTC)", shown, limit=MANY)


def print_change(change: ControlChange, *, dry_run: bool, as_json: bool) -> None:
    """What a change did, or would do."""
    if as_json:
        done = change.changes and not dry_run
        print_json(
            {"about": change.about, "before": change.before, "after": change.after, "warnings": change.warnings, "done": done}
        )
        return
    for warning in change.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    about = f"[bold]{escape(change.about)}[/bold]"
    if not change.changes:
        console.print(f"nothing to change: {about}: {escape(change.before) or 'none'}", soft_wrap=True)
        return
    before, after = (escape(words) or "none" for words in (change.before, change.after))
    console.print(f"{'would change ' if dry_run else ''}{about}: {before} -> {after}", soft_wrap=True)
