"""Stopping and resuming trading; explaining changes of the account value by hand."""

from __future__ import annotations

import getpass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from tradeflow_core import execution
from tradeflow_core.cli.common import console, json_option, open_desk, print_json, why_option
from tradeflow_core.errors import ConfigError
from tradeflow_core.ledger import lift_stop, record_capital_event, stop_trading


@click.command()
@why_option
@json_option
@click.pass_obj
def stop(home: Path | None, why: str, *, as_json: bool) -> None:
    """Stop trading at once: nothing more is sent, orders at work are cancelled. It stays stopped until `tradeflow resume`."""
    desk = open_desk(home, quiet=as_json)
    with desk.ledger.begin() as tx:
        stop_trading(tx, desk.now(), getpass.getuser(), why=why)
    at_work = execution.StackHandler(desk).cancel_after_stop()
    if as_json:
        print_json({"stopped": True, "why": why, "at_work": at_work})
    elif at_work:
        console.print(
            f"[bold red]trading is stopped[/bold red]; the broker has not confirmed the end of {', '.join(at_work)}: check it there"
        )
    else:
        console.print("[bold red]trading is stopped[/bold red]; no order is at work")


@click.command()
@why_option
@json_option
@click.pass_obj
def resume(home: Path | None, why: str, *, as_json: bool) -> None:
    """Allow trading again after `tradeflow stop`."""
    desk = open_desk(home, quiet=as_json)
    with desk.ledger.begin() as tx:
        lifted = lift_stop(tx, desk.now(), getpass.getuser(), why=why)
    print_json({"resumed": lifted}) if as_json else console.print(
        "trading is allowed again" if lifted else "trading was not stopped"
    )


@click.group()
def capital() -> None:
    """Explain a change of the account value: accept a large one, or record a deposit or withdrawal."""


@capital.command()
@click.option("--why", required=True, help="The reason, kept in the ledger.")
@click.pass_obj
def accept(home: Path | None, why: str) -> None:
    """Accept the changes of the account value up to now, however large."""
    _capital_event(home, "accept", Decimal(0), why=why)


@capital.command(context_settings={"ignore_unknown_options": True})
@click.argument("amount")
@click.option("--why", required=True, help="The reason, kept in the ledger.")
@click.pass_obj
def flow(home: Path | None, amount: str, why: str) -> None:
    """Record a deposit (positive) or withdrawal (negative) in base currency: it changes the account, but is no profit."""
    try:
        value = Decimal(amount.replace(",", ""))
    except InvalidOperation as error:
        raise ConfigError(f"AMOUNT {amount!r} is not a number; write for example 25000 or -10000.50") from error
    if not value.is_finite() or value == 0:
        raise ConfigError(f"AMOUNT {amount!r}: give an amount that is not zero")
    _capital_event(home, "flow", value, why=why)


def _capital_event(home: Path | None, kind: str, amount: Decimal, *, why: str) -> None:
    desk = open_desk(home)
    with desk.ledger.begin() as tx:
        record_capital_event(tx, desk.now(), kind, amount=amount, now=desk.now(), who=getpass.getuser(), why=why)
    console.print(f"recorded: {kind} {amount if amount else ''} at {desk.now():%Y-%m-%d %H:%M} UTC")
