"""Overrides by hand: a fraction of the wanted position, reductions only, or no trading."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from tradeflow_core import orders, reports
from tradeflow_core.cli.changes import history_option, of_instrument_option, print_change, print_controls, reason_option
from tradeflow_core.cli.common import dry_run_option, json_option, open_desk, print_json

strategy_option = click.option("--strategy", default="", help="The strategy; default: every strategy.")
instrument_option = click.option("--instrument", default="", help="The instrument; default: every instrument.")


@click.group(invoke_without_command=True)
@history_option
@of_instrument_option
@json_option
@click.pass_context
def overrides(ctx: click.Context, instrument: str | None, *, history: bool, as_json: bool) -> None:
    """Show what holds positions back; with a command, set or clear an override.

    Overrides of the strategy, of the instrument and of both hold together: fractions are multiplied, and the strictest kind counts.

    \b
    tradeflow overrides set --instrument CORN 0.5 --why "half of it"
    tradeflow overrides set --instrument CORN reduce_only --why "get out slowly"
    tradeflow overrides clear --instrument CORN --why "over"
    """
    if ctx.invoked_subcommand is not None:
        return
    desk = open_desk(ctx.obj, quiet=as_json)
    rows = reports.override_rows(desk, instrument and desk.instrument(instrument).code, history=history)
    print_json(rows) if as_json else print_controls("Overrides", rows, history=history)


@overrides.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("override", metavar="FRACTION|reduce_only|no_trading")
@strategy_option
@instrument_option
@reason_option
@dry_run_option
@json_option
@click.pass_obj
def set_(home: Path | None, override: str, strategy: str, *, instrument: str, why: str, dry_run: bool, as_json: bool) -> None:
    """Put an override in force, in place of the former one of the same strategy and instrument.

    FRACTION, 0 to 1: hold only that part of what is wanted, 0 closes the position. reduce_only: trade towards zero only. no_trading: keep the
    position as it is.
    """
    desk = open_desk(home, quiet=as_json)
    wanted, who = orders.parse_override(override), getpass.getuser()
    change = orders.override_by_hand(desk, strategy, instrument, override=wanted, who=who, why=why, dry_run=dry_run)
    print_change(change, dry_run=dry_run, as_json=as_json)


@overrides.command()
@strategy_option
@instrument_option
@reason_option
@dry_run_option
@json_option
@click.pass_obj
def clear(home: Path | None, strategy: str, instrument: str, *, why: str, dry_run: bool, as_json: bool) -> None:
    """End the override of exactly this strategy and instrument."""
    desk = open_desk(home, quiet=as_json)
    who = getpass.getuser()
    change = orders.override_by_hand(desk, strategy, instrument, override=None, who=who, why=why, dry_run=dry_run)
    print_change(change, dry_run=dry_run, as_json=as_json)
