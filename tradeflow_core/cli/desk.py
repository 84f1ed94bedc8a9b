"""Looking at a desk and controlling it."""

from __future__ import annotations

import getpass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click
import pandas as pd
from rich.markup import escape
from rich.table import Table

from tradeflow_core.cli.days import open_desk
from tradeflow_core.cli.render import console, print_json, print_table
from tradeflow_core.errors import ConfigError
from tradeflow_core.execution import StackHandler, blocked_orders, poll_orders
from tradeflow_core.home import Home
from tradeflow_core.instruments import load_instruments
from tradeflow_core.ledger import active_stop, lift_stop, locked_instruments, record_capital_event, stop_trading
from tradeflow_core.reports import capital_history, check_desk, freshness, orders_of_day, positions_against_optimal
from tradeflow_core.store import open_query, run_query


@click.command()
@click.argument("instrument", required=False)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def status(home: Path | None, instrument: str | None, as_json: bool) -> None:
    """Show capital, positions against optimal ones, orders, freshness and locks.

    With INSTRUMENT: everything about that one, and why it has no order today.
    """
    desk = open_desk(home, quiet=as_json)
    if instrument:
        desk.instrument(instrument)
    today = desk.business_day()
    with desk.ledger.read() as view:
        stop, locked = active_stop(view), locked_instruments(view)
    positions, orders, fresh, capital = (
        positions_against_optimal(desk),
        orders_of_day(desk, today),
        freshness(desk),
        capital_history(desk),
    )
    waiting = pd.DataFrame(
        [
            (each.order.instrument, each.order.strategy, sum(leg.remaining for leg in each.order.legs), each.why)
            for each in blocked_orders(desk)
        ],
        columns=["instrument", "strategy", "left", "why"],
    )
    if instrument:
        waiting = waiting[waiting["instrument"] == instrument]
        positions, orders, fresh = (frame[frame["instrument"] == instrument] for frame in (positions, orders, fresh))
    report = {
        "home": str(desk.home.path),
        "market": desk.settings.market,
        "account": desk.account,
        "time": desk.now(),
        "business_day": today,
        "last_done_day": desk.last_done_day(),
        "trading_stopped": None if stop is None else f"{stop.who}: {stop.why}",
        "capital": capital.iloc[-1].to_dict() if len(capital) else None,
        "positions": positions,
        "orders": orders,
        "orders_held_back": waiting,
        "prices": fresh,
        "locks": locked,
    }
    if as_json:
        print_json(report)
        return
    if stop:
        console.print(
            f"[bold red]trading is stopped[/bold red] by {escape(stop.who)}: {escape(stop.why)} (`tradeflow resume` lifts it)"
        )
    if len(capital):
        last = capital.iloc[-1]
        console.print(
            f"capital [bold]{last['capital']:,.0f}[/bold] {desk.settings.base_currency}, account value {last['broker']:,.0f}, "
            f"profit so far {last['accumulated']:+,.0f}"
        )
    print_table("Positions against optimal", positions, "none yet; `tradeflow day` computes them")
    print_table(f"Orders for {today}", orders, "none")
    if len(waiting):
        print_table("Contract orders that cannot be sent now", waiting)
    stale = fresh[(fresh["age"].isna()) | (fresh["age"] > 1) | (fresh["lock"] != "")]
    fine = f"all {len(fresh)} instruments have fresh prices and no lock" if len(stale) == 0 else ""
    print_table("Prices that need a look", stale, fine)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def check(home: Path | None, as_json: bool) -> None:
    """Check every invariant of ledger and store; exit code 1 if one is broken."""
    desk = open_desk(home, quiet=as_json)
    problems = check_desk(desk)
    if as_json:
        print_json({"problems": problems})
    else:
        for problem in problems:
            console.print(f"[red]broken[/red] {escape(problem)}", soft_wrap=True)
        if not problems:
            console.print(
                "[green]everything holds[/green]: positions are the sums of their fills, orders of their children, series are sorted and unique"
            )
    if problems:
        raise click.exceptions.Exit(1)


@click.command()
@click.option("--why", default="said on the command line", show_default=True, help="The reason, kept in the ledger.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def stop(home: Path | None, why: str, as_json: bool) -> None:
    """Stop trading at once: nothing more is sent, orders at work are cancelled. It stays so until `tradeflow resume`."""
    desk = open_desk(home, quiet=as_json)
    with desk.ledger.begin() as tx:
        stop_trading(tx, desk.now(), getpass.getuser(), why)
    handler = StackHandler(desk)
    handler.cancel_at_work()
    poll_orders(desk)
    print_json({"stopped": True, "why": why}) if as_json else console.print(
        "[bold red]trading is stopped[/bold red]; orders at work were cancelled"
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def resume(home: Path | None, as_json: bool) -> None:
    """Allow trading again after `tradeflow stop`."""
    desk = open_desk(home, quiet=as_json)
    with desk.ledger.begin() as tx:
        lifted = lift_stop(tx, desk.now(), getpass.getuser())
    print_json({"resumed": lifted}) if as_json else console.print(
        "trading is allowed again" if lifted else "trading was not stopped"
    )


@click.command()
@click.argument("statement")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV.")
@click.pass_obj
def sql(home: Path | None, statement: str, as_json: bool, as_csv: bool) -> None:
    """Query the store and the ledger with one SELECT (DuckDB). Nothing can be changed.

    \b
    tradeflow sql "show tables"
    tradeflow sql "select name, max(time), last(price) from adjusted_prices group by name"
    tradeflow sql "select instrument, sum(quantity) from fills group by 1"
    """
    desk = open_desk(home, quiet=as_json or as_csv)
    result = run_query(open_query(desk.store, desk.ledger.engine), statement)
    if as_json:
        print_json(result)
    elif as_csv:
        print(result.to_csv(index=False), end="")
    else:
        print_table(f"{len(result)} rows", result, "no rows", decimals=4, limit=200)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def instruments(home: Path | None, as_json: bool) -> None:
    """List the instruments that this home knows."""
    try:
        known, universe = Home.open(home).instruments, set(Home.open(home).universe)
    except ConfigError:
        known, universe = load_instruments(), set()
    rows = [
        (i.code, i.description, i.asset_class, i.region, i.currency, i.point_size, i.session or "", i.code in universe)
        for i in known.values()
    ]
    frame = pd.DataFrame(rows, columns=["code", "description", "class", "region", "currency", "point size", "session", "traded"])
    print_json(frame) if as_json else print_table("Instruments", frame, limit=1000, decimals=1)


@click.command()
@click.option("--newest", default=20, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def alerts(home: Path | None, newest: int, as_json: bool) -> None:
    """Show what a person should have heard of."""
    desk = open_desk(home, quiet=as_json)
    found = desk.alerts.read(newest)
    if as_json:
        print_json(found)
        return
    table = Table("time (UTC)", "subject", "message")
    for alert in found:
        table.add_row(alert["time"][:16], alert["subject"], alert["message"])
    console.print(table if found else "no alerts")


@click.group()
def capital() -> None:
    """Say what is right about the account's value: accept a large change, or record a deposit or withdrawal."""


@capital.command()
@click.option("--why", required=True, help="The reason, kept in the ledger.")
@click.pass_obj
def accept(home: Path | None, why: str) -> None:
    """Accept the changes of the account value up to now, however large."""
    _capital_event(home, "accept", Decimal(0), why)


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
    _capital_event(home, "flow", value, why)


def _capital_event(home: Path | None, kind: str, amount: Decimal, why: str) -> None:
    desk = open_desk(home)
    with desk.ledger.begin() as tx:
        record_capital_event(tx, desk.now(), kind, amount, desk.now(), getpass.getuser(), why)
    console.print(f"recorded: {kind} {amount if amount else ''} at {desk.now():%Y-%m-%d %H:%M} UTC")


COMMANDS = [status, check, stop, resume, sql, instruments, alerts, capital]
