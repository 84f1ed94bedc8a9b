"""Capital by hand: what the account did is confirmed or refused, deposits and withdrawals are recorded, mistakes taken back."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from tradeflow_core import capital as books, reports
from tradeflow_core.cli.changes import reason_option
from tradeflow_core.cli.common import (
    WHOLE,
    ask,
    console,
    dry_run_option,
    json_option,
    open_desk,
    print_json,
    print_table,
    yes_option,
)

if TYPE_CHECKING:
    from tradeflow_core.capital import CapitalChange
    from tradeflow_core.desk import Desk

force_option = click.option("--force", is_flag=True, help="Although the account value speaks against it.")
value_option = click.option("--value", help="The account value that is meant; another one is refused.")
total_option = click.option("--total", help="The total capital from now on.")
amounts = {"ignore_unknown_options": True}
"""A negative amount is no option."""


def _said(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that says something."""
    for option in (json_option, yes_option, dry_run_option, reason_option):
        command = option(command)
    return click.pass_obj(command)


@click.group(invoke_without_command=True)
@click.option(
    "--rows", "newest", type=click.IntRange(1, 100_000), default=10, show_default=True, help="So many of the newest rows."
)
@json_option
@click.pass_context
def capital(ctx: click.Context, newest: int, *, as_json: bool) -> None:
    """Show the capital, what it was made of, and what waits for a person; with a command, say what the account did.

    \b
    tradeflow capital accept --why "a good day"              the change is a profit or loss
    tradeflow capital refuse --why "the broker was wrong"    the account value never counts
    tradeflow capital flow -25000 --why "taxes"              money was paid in (+) or out (-): no profit
    tradeflow capital void 12 --why "a slip"                 take event 12 back
    """
    if ctx.invoked_subcommand is not None:
        return
    desk = open_desk(ctx.obj, quiet=as_json)
    view = reports.capital_view(desk, newest)
    if as_json:
        print_json(view)
        return
    print_table(f"Total capital, {desk.settings.base_currency} (times are UTC)", view["rows"], "no account value yet")
    print_table("What was said about the account (times are UTC)", view["events"])
    print_table("Capital of the strategies", view["strategies"], "none yet")
    for line in view["waits"]:
        console.print(f"[bold red]waits[/bold red] {escape(line)}", soft_wrap=True)


@capital.command()
@value_option
@_said
def accept(home: Path | None, value: str | None, **how: Any) -> None:
    """Accept the newest account value, which jumped: the change counts as profit or loss."""
    _say(home, lambda desk: books.accept_value(desk, value=_number(value)), **how)


@capital.command()
@value_option
@_said
def refuse(home: Path | None, value: str | None, **how: Any) -> None:
    """Refuse the newest account value, which jumped: it never counts.

    The next value is compared with the last that counted. If it is near that one, it counts as always; if it is as far away as the refused one,
    it waits for a person again.
    """
    _say(home, lambda desk: books.refuse_value(desk, value=_number(value)), **how)


@capital.command(context_settings=amounts)
@click.argument("amount")
@click.option(
    "--at",
    help="When the money came or went: 2024-01-31, or 2024-01-31T14:30, in the zone of the desk.  [default: with the newest account value]",
)
@total_option
@force_option
@_said
def flow(home: Path | None, amount: str, *, at: str | None, total: str | None, force: bool, **how: Any) -> None:
    """Record a deposit (positive) or withdrawal (negative) in base currency: it changes the account, but is no profit.

    The account value has to show it. Capital stays as it is, unless --total says what it is from now on.
    """
    paid, wanted = books.parse_amount(amount), None if total is None else books.parse_amount(total, "--total")
    _say(
        home,
        lambda desk: books.record_flow(
            desk, paid, at=None if at is None else books.parse_when(desk, at), total=wanted, force=force
        ),
        **how,
    )


@capital.command()
@click.argument("event", type=WHOLE)
@force_option
@_said
def void(home: Path | None, event: int, *, force: bool, **how: Any) -> None:
    """Take EVENT back: capital becomes what it would be if that had never been said."""
    _say(home, lambda desk: books.void_event(desk, event, force=force), **how)


@capital.command(context_settings=amounts)
@click.argument("event", type=WHOLE)
@click.argument("amount")
@force_option
@_said
def correct(home: Path | None, event: int, amount: str, *, force: bool, **how: Any) -> None:
    """Take EVENT back and record it anew with another AMOUNT."""
    right = books.parse_amount(amount)
    _say(home, lambda desk: books.correct_event(desk, event, right, force=force), **how)


@capital.command(context_settings=amounts)
@click.option("--total", help="The total capital.  [default: the account value]")
@click.option("--maximum", help="The high-water mark.  [default: the total capital]")
@click.option("--accumulated", help="The profit so far.  [default: as it is; 0 in the beginning]")
@force_option
@_said
def initial(
    home: Path | None, *, total: str | None, maximum: str | None, accumulated: str | None, force: bool, **how: Any
) -> None:
    """Say what the capital is from the newest account value on, whatever came before."""
    given = {"total": total, "maximum": maximum, "accumulated": accumulated}
    figures = {name: None if word is None else books.parse_amount(word, f"--{name}") for name, word in given.items()}
    _say(home, lambda desk: books.set_capital(desk, **figures, force=force), **how)


def _say(home: Path | None, plan: Callable[[Desk], CapitalChange], *, why: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Show what a change would do, ask, and record it."""
    desk = open_desk(home, quiet=as_json)
    change = plan(desk)
    if not as_json:
        _show(change, desk.settings.base_currency)
    done: list[int] = []
    if not dry_run and ask("Record it?", yes=yes, as_json=as_json):
        done = books.record_change(desk, change, who=getpass.getuser(), why=why)
    if as_json:
        print_json(change.row | {"events": done, "done": bool(done)})
    else:
        console.print(f"recorded as event {', '.join(map(str, done))}" if done else "nothing was changed")


def _show(change: CapitalChange, currency: str) -> None:
    for warning in change.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    console.print(f"[bold]{escape(change.about)}[/bold], {currency}", soft_wrap=True)
    for line in change.lines:
        console.print(line)


def _number(word: str | None) -> float | None:
    return None if word is None else float(books.parse_amount(word, "--value"))
