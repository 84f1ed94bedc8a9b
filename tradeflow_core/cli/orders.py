"""Instrument orders by hand: what every strategy would trade now and why, and making those orders."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from tradeflow_core import business_day, nightly
from tradeflow_core.cli.common import console, json_option, open_desk, print_json, print_table
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.orders import preview_orders

OPTIMISED = [
    *("instrument", "notional_position", "previous_position", "optimised_position", "position_limit"),
    *("optimal_weight", "optimised_weight", "explanation"),
]
"""Columns of an optimised portfolio that are shown."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be ordered, and why; nothing is written.")
@json_option
@click.pass_obj
def orders(home: Path | None, *, dry_run: bool, as_json: bool) -> None:
    """Make the instrument orders of the business day from its optimal positions, as the step of the day does.

    Orders that are on the stack already are taken into account, so running it twice changes nothing.
    """
    desk = open_desk(home, quiet=as_json)
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
