"""Stopping and resuming trading."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from tradeflow_core import execution
from tradeflow_core.cli.common import console, json_option, open_desk, print_json, why_option
from tradeflow_core.desk import Desk
from tradeflow_core.errors import TradeflowError
from tradeflow_core.home import give_room, keep_room
from tradeflow_core.ledger import lift_stop, stop_trading


@click.command()
@why_option
@json_option
@click.pass_obj
def stop(home: Path | None, why: str, *, as_json: bool) -> None:
    """Stop trading at once: nothing more is sent, orders at work are cancelled. It stays stopped until `tradeflow resume`."""
    desk = open_desk(home, quiet=as_json)
    try:
        _stop(desk, why)
    except (TradeflowError, OSError):  # perhaps the disk is full: one more time with the room that the home has kept for it
        desk.close()
        give_room(desk.home.path)
        desk = open_desk(home, quiet=True)
        _stop(desk, why)
    at_work = execution.StackHandler(desk).cancel_after_stop()
    if as_json:
        print_json({"stopped": True, "why": why, "at_work": at_work})
    elif at_work:
        console.print(
            f"[bold red]trading is stopped[/bold red]; the broker has not confirmed the end of {', '.join(at_work)}: check it there"
        )
    else:
        console.print("[bold red]trading is stopped[/bold red]; no order is at work")


def _stop(desk: Desk, why: str) -> None:
    with desk.ledger.begin() as tx:
        stop_trading(tx, desk.now(), getpass.getuser(), why=why)


@click.command()
@why_option
@json_option
@click.pass_obj
def resume(home: Path | None, why: str, *, as_json: bool) -> None:
    """Allow trading again after `tradeflow stop`."""
    desk = open_desk(home, quiet=as_json)
    keep_room(desk.home.path)
    with desk.ledger.begin() as tx:
        lifted = lift_stop(tx, desk.now(), getpass.getuser(), why=why)
    print_json({"resumed": lifted}) if as_json else console.print(
        "trading is allowed again" if lifted else "trading was not stopped"
    )
