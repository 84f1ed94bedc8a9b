"""What the commands that mend positions and orders share: their options, and how a change is shown."""

from __future__ import annotations

import functools
import getpass
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from tradeflow_core import execution
from tradeflow_core.cli.changes import reason_option
from tradeflow_core.cli.common import console, dry_run_option, json_option, open_desk, print_json, print_table

if TYPE_CHECKING:
    from tradeflow_core.execution import Mended

NEGATIVE = {"ignore_unknown_options": True}
"""A negative number is no option."""
force_option = click.option("--force", is_flag=True, help="Although something speaks against it.")


def by_hand(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options of all that mend something: it gets who does it and why, `by`, and `as_json`."""

    @functools.wraps(command)
    def run(home: Path | None, *, why: str, dry_run: bool, force: bool = False, **given: Any) -> None:
        command(home, by=execution.ByHand(getpass.getuser(), why, dry_run=dry_run, force=force), **given)

    for option in (json_option, dry_run_option, reason_option):
        run = option(run)
    return click.pass_obj(run)


def mending(command: Callable[..., Mended]) -> Callable[..., None]:
    """A command that mends something at once: it gets the desk and `by`, and what it did is shown."""

    @by_hand
    @functools.wraps(command)
    def run(home: Path | None, *, as_json: bool, **given: Any) -> None:
        print_mended(command(open_desk(home, quiet=as_json), **given), as_json=as_json)

    return run


def print_mended(mended: Mended, *, as_json: bool) -> None:
    """What a change did, or would do."""
    if as_json:
        print_json(asdict(mended))
        return
    for warning in mended.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    console.print(f"{'' if mended.done else 'would do: '}[bold]{escape(mended.about)}[/bold]", soft_wrap=True)
    rows: list[dict[str, Any]] = [
        {
            "instrument": each.instrument,
            "of": each.whose,
            "before": each.before,
            "after": each.after,
            "at_the_broker": each.broker,
        }
        for each in mended.positions
    ]
    if rows:
        print_table("Positions", rows, limit=1000)
    for note in mended.notes:
        console.print(escape(note), soft_wrap=True)
