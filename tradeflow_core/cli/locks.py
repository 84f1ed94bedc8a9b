"""Locks by hand: an instrument that is locked is not traded until whoever locked it, or a person, lifts that."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from tradeflow_core import orders, reports
from tradeflow_core.cli.changes import history_option, of_instrument_option, print_change, print_controls, reason_option
from tradeflow_core.cli.common import dry_run_option, json_option, open_desk, print_json
from tradeflow_core.errors import ConfigError
from tradeflow_core.model import LockOwner


@click.group(invoke_without_command=True)
@history_option
@of_instrument_option
@json_option
@click.pass_context
def locks(ctx: click.Context, instrument: str | None, *, history: bool, as_json: bool) -> None:
    """Show which instruments are locked, by whom and why; with a command, lock or unlock one.

    \b
    tradeflow locks lock CORN --why "expiry of the options"    a lock of your own
    tradeflow locks unlock CORN --why "over"                   lift it
    tradeflow locks --history --instrument CORN                who locked it, and who lifted that
    """
    if ctx.invoked_subcommand is not None:
        return
    desk = open_desk(ctx.obj, quiet=as_json)
    rows = reports.lock_rows(desk, instrument and desk.instrument(instrument).code, history=history)
    print_json(rows) if as_json else print_controls("Locks", rows, history=history)


@locks.command()
@click.argument("instrument")
@reason_option
@dry_run_option
@json_option
@click.pass_obj
def lock(home: Path | None, instrument: str, *, why: str, dry_run: bool, as_json: bool) -> None:
    """Lock INSTRUMENT: no order of it is made or sent until the lock is lifted."""
    desk = open_desk(home, quiet=as_json)
    change = orders.lock_by_hand(desk, instrument, who=getpass.getuser(), why=why, dry_run=dry_run)
    print_change(change, dry_run=dry_run, as_json=as_json)


@locks.command()
@click.argument("instrument")
@click.option(
    "--owner",
    help=f"Whose lock to lift: {', '.join(LockOwner)}. A check locks again while its cause lasts.  [default: {LockOwner.PERSON}]",
)
@click.option("--all", "every", is_flag=True, help="Lift the locks of every owner.")
@reason_option
@dry_run_option
@json_option
@click.pass_obj
def unlock(home: Path | None, instrument: str, owner: str | None, *, every: bool, why: str, dry_run: bool, as_json: bool) -> None:
    """Lift a lock of INSTRUMENT: that of a person, or the one of the named owner."""
    if every and owner:
        raise ConfigError("give --owner or --all, not both")
    desk = open_desk(home, quiet=as_json)
    whose = None if every else owner or LockOwner.PERSON
    change = orders.unlock_by_hand(desk, instrument, whose, who=getpass.getuser(), why=why, dry_run=dry_run)
    print_change(change, dry_run=dry_run, as_json=as_json)
