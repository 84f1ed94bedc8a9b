"""The state of a desk, and whether its invariants hold."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from tradeflow_core import execution, reports
from tradeflow_core.cli.common import console, json_option, open_desk, print_json, print_table
from tradeflow_core.ledger import active_stop, locked_instruments


@click.command()
@click.argument("instrument", required=False)
@json_option
@click.pass_obj
def status(home: Path | None, instrument: str | None, *, as_json: bool) -> None:
    """Show capital, positions against optimal ones, orders, freshness and locks.

    What was wanted today and is not traded, an order that ended unfilled too, says why and what can be done. With INSTRUMENT: the same for that
    one alone.
    """
    desk = open_desk(home, quiet=as_json)
    if instrument:
        desk.instrument(instrument)
    today = desk.business_day()
    with desk.ledger.read() as view:
        stop, locked = active_stop(view), locked_instruments(view)
    positions, orders = reports.position_rows(desk), reports.order_rows(desk, today)
    fresh, capital, damaged = reports.freshness_rows(desk), reports.newest_capital(desk), reports.damaged_files(desk)
    held_back: list[dict[str, object]] = [
        {
            "instrument": blocked.order.instrument,
            "strategy": ", ".join(blocked.order.strategies),
            "left": sum(leg.remaining for leg in blocked.order.legs),
            "why": blocked.why,
        }
        for blocked in execution.blocked_orders(desk)
    ]
    not_traded = reports.not_traded(desk, today)
    if instrument:
        positions, orders, fresh, held_back, not_traded = (
            [row for row in rows if row["instrument"] == instrument] for rows in (positions, orders, fresh, held_back, not_traded)
        )
    if as_json:
        print_json(
            {
                "home": str(desk.home.path),
                "market": desk.settings.market,
                "account": desk.account,
                "time": desk.now(),
                "business_day": today,
                "last_done_day": desk.last_done_day(),
                "trading_stopped": None if stop is None else f"{stop.who}: {stop.why}",
                "capital": capital and {name: value for name, value in capital.items() if name != "time"},
                "positions": positions,
                "orders": orders,
                "orders_held_back": held_back,
                "not_traded": not_traded,
                "prices": fresh,
                "locks": locked,
                "damaged_files": damaged,
            }
        )
        return
    if stop:
        console.print(
            f"[bold red]trading is stopped[/bold red] by {escape(stop.who)}: {escape(stop.why)} (`tradeflow resume` lifts it)"
        )
    if capital:
        console.print(
            f"capital [bold]{capital['capital']:,.0f}[/bold] {desk.settings.base_currency}, account value {capital['broker']:,.0f}, "
            f"profit so far {capital['accumulated']:+,.0f}"
        )
        if capital["waits"]:
            console.print(f"[bold red]capital waits[/bold red]: {escape(capital['waits'])}", soft_wrap=True)
    for problem in damaged:
        console.print(f"[bold red]damaged file[/bold red]: {escape(problem)}", soft_wrap=True)
    print_table("Positions against optimal", positions, "none yet; `tradeflow day` computes them")
    print_table(f"Orders for {today}", orders, "none")
    for line in reports.not_traded_lines(not_traded):
        console.print(f"[yellow]not traded[/yellow] {escape(line)}", soft_wrap=True)
    if held_back:
        print_table("Contract orders that cannot be sent now", held_back)
    stale = [row for row in fresh if row["age"] is None or row["age"] > 1 or row["lock"]]
    print_table("Prices that need a look", stale, f"all {len(fresh)} instruments have fresh prices and no lock")


@click.command()
@json_option
@click.pass_obj
def check(home: Path | None, *, as_json: bool) -> None:
    """Check every invariant of ledger and store; exit code 1 if one is broken."""
    desk = open_desk(home, quiet=as_json)
    problems = reports.check_desk(desk)
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
