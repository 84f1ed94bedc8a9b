"""Instrument orders by hand: what every strategy would trade now and why, and making those orders."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from pathlib import Path

import click

from tradeflow_core import business_day, execution, nightly
from tradeflow_core.cli.common import console, json_option, open_desk, print_json, print_table
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.model import SETTLED_STATUSES, BrokerOrder, BrokerOrderStatus, contract_label
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

    Orders that are on the stack already are taken into account, so running it twice changes nothing.
    """
    if context.invoked_subcommand is not None:
        return
    desk = open_desk(context.obj, quiet=as_json)
    if dry_run:
        plans = {name: preview_orders(desk, name, nightly.optimal_rows(desk, name)) for name in desk.settings.strategies}
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
    legs = ", ".join(f"{leg.quantity} of {contract_label(leg.contract)}" for leg in order.legs)
    filled = sum(abs(leg.filled) for leg in order.legs)
    return {
        "reference": order.client_ref,
        "strategy": ", ".join(order.strategies),
        "instrument": order.instrument,
        "legs": legs,
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
