"""Orders: what every strategy would trade now and why, making those orders, looking at them; `order_changes.py` has what changes them."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from tradeflow_core import business_day, execution, nightly, reports
from tradeflow_core.cli import order_changes
from tradeflow_core.cli.common import (
    DAY,
    WHOLE,
    console,
    json_option,
    open_desk,
    print_json,
    print_table,
)
from tradeflow_core.cli.order_story import print_story
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.ledger import SYSTEM
from tradeflow_core.model import SETTLED_STATUSES, BrokerOrder, BrokerOrderStatus, OrderStatus
from tradeflow_core.orders import preview_orders

OPTIMISED = [
    *("instrument", "notional_position", "previous_position", "optimised_position", "position_limit"),
    *("optimal_weight", "optimised_weight", "explanation"),
]
"""Columns of an optimised portfolio that are shown."""


@click.group(invoke_without_command=True)
@click.option("--dry-run", is_flag=True, help="Only show what would be ordered, and why; nothing is written.")
@json_option
@click.pass_context
def orders(context: click.Context, *, dry_run: bool, as_json: bool) -> None:
    """Make the instrument orders of the business day from its optimal positions, as the step of the day does.

    Orders that are on the stack already are taken into account, so running it twice changes nothing. With a command, look at orders and mend
    them:

    \b
    tradeflow orders --dry-run                      what every strategy would trade now, and why
    tradeflow orders list                           the open orders, what is at work for them, what holds them back
    tradeflow orders show 12                        one with its contract orders, broker orders, executions and events
    tradeflow orders cancel 12 --why "news"         end it, here and at the broker
    tradeflow orders manual trend_carry CORN 2 --why "hedge"          an order of your own
    tradeflow orders balance trend_carry CORN 202403 2 412.5 --why "by telephone"   a trade made elsewhere
    """
    if context.invoked_subcommand is not None:
        return
    desk = open_desk(context.obj, quiet=as_json)
    if dry_run:
        plans = {name: preview_orders(desk, name, nightly.traded_rows(desk, name)) for name in desk.settings.strategies}
    else:
        _require_positions_of_today(desk)
        plans = business_day.instrument_orders_step(desk)
    decisions = [asdict(decision) for plan in plans.values() for decision in plan.decisions]
    optimised = {name: plan.optimised for name, plan in plans.items() if plan.optimised is not None}
    if as_json:
        print_json({"decisions": decisions, "optimised": {name: rows.reset_index() for name, rows in optimised.items()}})
        return
    for name, rows in optimised.items():
        print_table(f"Optimised positions of {name}", rows.reset_index()[OPTIMISED], decimals=4, limit=1000)
        console.print(
            f"tracking error {rows['tracking_error_before'].iloc[0]:.2%} -> {rows['tracking_error_after'].iloc[0]:.2%} a year: "
            f"{rows['outcome'].iloc[0]}"
        )
    print_table("Orders that would be made" if dry_run else "Orders", decisions, limit=1000)


for each in order_changes.COMMANDS:
    orders.add_command(each)


@orders.command("list")
@click.option("--day", type=DAY, help="Those that were made for this business day.")
@click.option("--all", "every", is_flag=True, help="Every one that there ever was.")
@json_option
@click.pass_obj
def list_(home: Path | None, day: datetime | None, *, every: bool, as_json: bool) -> None:
    """List the open instrument orders: what is at work for them at the broker, and what holds them back.

    \b
    tradeflow orders list                     those that are open
    tradeflow orders list --day 2024-01-08    those of a day
    """
    if day and every:
        raise ConfigError("give --day or --all, not both")
    desk = open_desk(home, quiet=as_json)
    rows = reports.order_list(desk, day=day and day.date(), every=every)
    if as_json:
        print_json({"orders": rows})
        return
    title = f"Orders of {day:%Y-%m-%d}" if day else "All orders" if every else "Open orders"
    empty = "none" if day or every else "none; `tradeflow orders list --all` has those that are closed"
    print_table(title, [_shown(row) for row in rows], empty, limit=1000)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """The row of an order as people read it: in few columns."""
    waits = f"held back: {row['held_back']}" if row["held_back"] else "waits for the next pass of the stack handler"
    state = row["at_work"] or (waits if row["status"] == OrderStatus.OPEN else row["status"])
    kind = row["type"] if row["limit"] is None else f"{row['type']} {row['limit']:g}"
    by_whom = row["why"] if row["who"] == SYSTEM else f"{row['who']}: {row['why']}"
    names = ("id", "day", "strategy", "instrument", "quantity", "filled")
    return {**{name: row[name] for name in names}, "type": kind, "state": state, "why": by_whom}


@orders.command()
@click.argument("order", type=WHOLE)
@json_option
@click.pass_obj
def show(home: Path | None, order: int, *, as_json: bool) -> None:
    """Show an instrument order with everything below it: contract orders, broker orders, executions, and all that happened.

    \b
    tradeflow orders show 12      ORDER is its id, as `tradeflow orders list` shows it
    """
    desk = open_desk(home, quiet=as_json)
    story = reports.order_story(desk, order)
    if as_json:
        print_json({**story.plain(), "timeline": story.timeline()})
    else:
        print_story(story)


@orders.command()
@click.argument("reference", required=False)
@click.option(
    "--as",
    "status",
    type=click.Choice([status.value for status in SETTLED_STATUSES]),
    help="It is over, or it was never at the broker.",
)
@click.option("--why", help="How you know, kept in the ledger.")
@click.option("--dry-run", is_flag=True, help="Only check whether it could be settled.")
@json_option
@click.pass_obj
def settle(
    home: Path | None, reference: str | None, status: str | None, *, why: str | None, dry_run: bool, as_json: bool
) -> None:
    """Settle an order that the broker's answers do not have, after you have looked at the broker; without REFERENCE, list such orders.

    Its fills, if any, are booked by themselves as soon as the broker reports them, settled or not.
    """
    desk = open_desk(home, quiet=as_json)
    if reference is None:
        rows = [_order_fields(order) for order in execution.unknown_orders(desk)]
        print_json({"unknown": rows}) if as_json else print_table("Orders that the broker's answers do not have", rows)
        return
    if status is None or not why:
        raise ConfigError(
            f"say what became of {reference} and how you know: --as {SETTLED_STATUSES[0]} or --as {SETTLED_STATUSES[1]}, and --why"
        )
    order = execution.settle_order(desk, reference, BrokerOrderStatus(status), who=getpass.getuser(), why=why, dry_run=dry_run)
    if as_json:
        print_json({"settled": not dry_run, "as": status, **_order_fields(order)})
    else:
        console.print(f"{order.instrument}: {reference} {'could be' if dry_run else 'is'} settled as {status}")


def _order_fields(order: BrokerOrder) -> dict[str, object]:
    filled = sum(abs(leg.filled) for leg in order.legs)
    return {
        "reference": order.client_ref,
        "strategy": ", ".join(order.strategies),
        "instrument": order.instrument,
        "legs": reports.legs_words(order.legs),
        "filled": filled,
        "sent_at": order.sent_at,
        "missing_since": order.missing_at,
    }


def _require_positions_of_today(desk: Desk) -> None:
    """Raise StateError if the optimal positions are not of today."""
    today = desk.business_day()
    for name in desk.settings.strategies:
        made_on = next(iter(nightly.optimal_rows(desk, name).values()))["day"].date()
        if made_on != today:
            raise StateError(
                f"the optimal positions of {name} are of {made_on}, and it is {today}; run the day first (`tradeflow day`), "
                "or look at them with --dry-run"
            )
