"""Positions compared at three levels, each difference with the command that mends it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape

from tradeflow_core import execution
from tradeflow_core.cli.common import console, dry_run_option, json_option, open_desk, print_json

TITLES = {
    "broker": "The broker's positions against contracts",
    "owners": "Contracts against who holds them",
    "optimal": "What is held against what is optimal",
}


@click.command()
@dry_run_option
@json_option
@click.pass_obj
def reconcile(home: Path | None, *, dry_run: bool, as_json: bool) -> None:
    """Compare positions at three levels, and name the command that mends each difference; exit code 1 for a break.

    Before that it books what the broker has executed meanwhile, and it locks instruments that differ and unlocks those that agree, as the stack
    handler does; while one is at work, this is left to it. With --dry-run nothing is written.

    \b
    tradeflow reconcile             what differs, and what mends it
    tradeflow reconcile --json      the same for a program; `breaks` counts those of the first two levels
    """
    desk = open_desk(home, quiet=as_json)
    found = execution.compare_levels(desk, dry_run=dry_run)
    if as_json:
        print_json({**asdict(found), "breaks": found.breaks})
    else:
        _show(found)
    if found.breaks:
        raise click.exceptions.Exit(1)


def _show(found: execution.Comparison) -> None:
    for note in found.notes:
        console.print(f"[dim]{escape(note)}[/dim]", soft_wrap=True)
    for level, title in TITLES.items():
        differences: tuple[execution.Difference, ...] = getattr(found, level)
        console.print(f"[bold]{title}[/bold]: {len(differences) or 'no'} difference{'' if len(differences) == 1 else 's'}")
        for each in differences:
            mark = "[red]break[/red] " if each.is_break else ""
            console.print(f"  {mark}{each.instrument}: {escape(each.what)}", soft_wrap=True)
            if each.command:
                console.print(f"    [cyan]{escape(each.command)}[/cyan]", soft_wrap=True)
