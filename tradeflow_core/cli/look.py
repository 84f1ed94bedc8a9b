"""Looking things up: queries over store and ledger, known instruments, alerts."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from tradeflow_core import store
from tradeflow_core.cli.common import console, error_console, json_option, open_desk, print_json, print_table
from tradeflow_core.errors import ConfigError
from tradeflow_core.home import Home
from tradeflow_core.instruments import load_instruments


@click.command()
@click.argument("statement")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV.")
@click.pass_obj
def sql(home: Path | None, statement: str, *, as_json: bool, as_csv: bool) -> None:
    """Query the store and the ledger with one SELECT (DuckDB). Nothing can be changed.

    \b
    tradeflow sql "show tables"
    tradeflow sql "select name, max(time), last(price) from adjusted_prices group by name"
    tradeflow sql "select instrument, sum(change) from fills group by 1"
    """
    desk = open_desk(home, quiet=as_json or as_csv)
    with desk.ledger.read() as view:
        query = store.open_query(desk.store, view, lambda text: error_console.print(f"[yellow]warning:[/yellow] {escape(text)}"))
    result = store.run_query(query, statement)
    if as_json:
        print_json(result)
    elif as_csv:
        print(result.to_csv(index=False), end="")
    else:
        print_table(f"{len(result)} rows", result, "no rows", decimals=4, limit=200)


@click.command()
@json_option
@click.pass_obj
def instruments(home: Path | None, *, as_json: bool) -> None:
    """List the instruments that this home knows."""
    try:
        all_instruments, universe = Home.open(home).instruments, set(Home.open(home).universe)
    except ConfigError:
        all_instruments, universe = load_instruments(), set()
    rows = [
        {
            "code": instrument.code,
            "description": instrument.description,
            "class": instrument.asset_class,
            "region": instrument.region,
            "currency": instrument.currency,
            "point size": instrument.point_size,
            "session": instrument.session or "",
            "traded": instrument.code in universe,
        }
        for instrument in all_instruments.values()
    ]
    print_json(rows) if as_json else print_table("Instruments", rows, limit=1000, decimals=1)


@click.command()
@click.option("--newest", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many alerts.")
@json_option
@click.pass_obj
def alerts(home: Path | None, newest: int, *, as_json: bool) -> None:
    """Show the newest alerts."""
    desk = open_desk(home, quiet=as_json)
    newest_alerts = desk.alerts.read(newest)
    if as_json:
        print_json(newest_alerts)
        return
    table = Table("time (UTC)", "subject", "message")
    for alert in newest_alerts:
        table.add_row(alert["time"][:16], alert["subject"], alert["message"])
    console.print(table if newest_alerts else "no alerts")
