"""`tradeflow prices repair`: damaged price files are made again from a backup, from the broker, or from each other."""

from __future__ import annotations

import getpass
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape

from tradeflow_core.backups import extract_data
from tradeflow_core.cli.common import console, dry_run_option, json_option, open_desk, print_json
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.prices import Repair, damaged_prices, repair_prices
from tradeflow_core.store import Store


@click.command()
@click.argument("codes", nargs=-1)
@click.option(
    "--from",
    "backup",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A backup whose bars and rates count before the broker's.",
)
@click.option("--why", default="", help="The reason, kept with the alert about it; needed to change anything.")
@dry_run_option
@json_option
@click.pass_obj
def repair(home: Path | None, codes: tuple[str, ...], backup: Path | None, *, why: str, dry_run: bool, as_json: bool) -> None:
    """Repair damaged price files of CODES: instruments, or rates such as EURUSD (default: all that are damaged).

    Bars and rates are got again from a backup (--from) and from the broker; multiple and adjusted prices are computed again. The damaged
    files are kept beside the new ones. Exit code 1 where something could not be brought back.
    """
    if not why and not dry_run:
        raise ConfigError("a repair needs --why; or look first what it would do with --dry-run")
    desk = open_desk(home, quiet=as_json)
    damaged = damaged_prices(desk, codes)
    with ExitStack() as stack:
        source = None
        if backup is not None and damaged:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tradeflow-repair-"))
            source = Store(str(extract_data(backup, Path(folder), damaged)))
        reason = f"{why}, {getpass.getuser()}"
        repairs = repair_prices(desk, list(damaged), backup=source, why=reason, dry_run=dry_run) if damaged else []
    if as_json:
        print_json({"repaired": [asdict(each) for each in repairs], "done": not dry_run})
    elif not repairs:
        console.print("nothing to repair: no price file is damaged")
    else:
        for each in repairs:
            _show(each, dry_run=dry_run)
    if failed := [each.name for each in repairs if each.not_done]:
        raise StateError(f"not everything could be brought back: {', '.join(failed)}; see the lines about each")


def _show(each: Repair, *, dry_run: bool) -> None:
    console.print(f"[bold]{escape(each.name)}[/bold]")
    for problem in each.problems:
        console.print(f"  damaged: {escape(problem)}", soft_wrap=True)
    got = [
        f"{count:,} rows from {source}"
        for count, source in ((each.from_backup, "the backup"), (each.from_broker, "the broker"))
        if count
    ]
    verb = "would get again" if dry_run else "got again"
    console.print(
        f"  {verb}: {', '.join(got)}" if got else f"  {'would be' if dry_run else 'was'} computed from its bars", soft_wrap=True
    )
    for text in (*each.notes, *(f"the damaged file is kept as {path}" for path in each.aside)):
        console.print(f"  {escape(text)}", soft_wrap=True)
    for text in each.not_done:
        console.print(f"  [red]not done[/red]: {escape(text)}", soft_wrap=True)
