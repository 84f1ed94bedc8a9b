"""Positions: who holds what; they are moved between strategies, assigned, and taken over from the broker."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tradeflow_core import execution, reports
from tradeflow_core.cli.changes import of_instrument_option
from tradeflow_core.cli.common import (
    PRICE,
    WHOLE,
    ask,
    console,
    json_option,
    open_desk,
    print_beside,
    print_json,
    print_table,
    yes_option,
)
from tradeflow_core.cli.mending import NEGATIVE, by_hand, force_option, mending, print_mended
from tradeflow_core.model import contract_label

if TYPE_CHECKING:
    from tradeflow_core.desk import Desk
    from tradeflow_core.execution import ByHand, Mended

price_option = click.option("--price", type=PRICE, help="The price of it.  [default: the last of the priced contract]")


@click.group(invoke_without_command=True)
@of_instrument_option
@json_option
@click.pass_context
def positions(ctx: click.Context, instrument: str | None, *, as_json: bool) -> None:
    """Show who holds what, by strategy, by contract and by account; with a command, mend positions.

    \b
    tradeflow positions transfer CORN 3 --from old --to trend_carry --why "old is gone"
    tradeflow positions assign CORN --to trend_carry --why "my trade at the terminal"
    tradeflow positions adopt --dry-run --why "to look"    what the broker holds otherwise
    tradeflow reconcile                                    what does not agree, and what mends it
    """
    if ctx.invoked_subcommand is not None:
        return
    desk = open_desk(ctx.obj, quiet=as_json)
    if instrument is not None:
        desk.instrument(instrument)
    owners, contracts = reports.owner_rows(desk, instrument), reports.contract_rows(desk, instrument)
    accounts = reports.account_rows(desk, instrument)
    if as_json:
        print_json({"owners": owners, "contracts": contracts, "accounts": accounts})
        return
    print_beside(
        {
            "By strategy": owners,
            "By contract": [{**row, "contract": contract_label(row["contract"])} for row in contracts],
            "By account": accounts,
        }
    )


@positions.command(context_settings=NEGATIVE)
@click.argument("instrument")
@click.argument("quantity", type=WHOLE)
@click.option("--from", "giver", required=True, help="Who holds it now, also a strategy that is no longer in the settings.")
@click.option("--to", "taker", required=True, help="The strategy that gets it.")
@price_option
@mending
def transfer(
    desk: Desk,
    instrument: str,
    quantity: int,
    *,
    giver: str,
    taker: str,
    price: float | None,
    by: ByHand,
) -> Mended:
    """Move QUANTITY contracts of INSTRUMENT (negative: of a short position) from one strategy to another. Nothing is traded.

    \b
    tradeflow positions transfer CORN 3 --from old --to trend_carry --why "old is gone"
    tradeflow positions transfer US10 -2 --from _outside --to trend_carry --price 110.5 --why "mine"
    """
    return execution.transfer_by_hand(
        desk,
        instrument,
        quantity,
        giver=giver,
        taker=taker,
        price=price,
        by=by,
    )


@positions.command()
@click.argument("instrument")
@click.option("--to", "taker", required=True, help="The strategy that gets it.")
@click.option("--quantity", type=WHOLE, help="So many contracts of it, signed.  [default: all]")
@price_option
@mending
def assign(
    desk: Desk,
    instrument: str,
    *,
    taker: str,
    quantity: int | None,
    price: float | None,
    by: ByHand,
) -> Mended:
    """Give a strategy what was traded elsewhere in INSTRUMENT: at the broker's terminal, or by the broker.

    Once all of it is assigned, the lock of such trades is lifted. A strategy that does not want the position trades it away with its next orders.

    \b
    tradeflow positions assign CORN --to trend_carry --why "I bought it at the terminal"
    """
    return execution.assign_by_hand(desk, instrument, taker=taker, quantity=quantity, price=price, by=by)


@positions.command()
@click.argument("instrument", required=False)
@click.option("--to", "owner", help="The strategy that gets the differences.  [default: _outside, to be assigned later]")
@yes_option
@force_option
@by_hand
def adopt(
    home: Path | None,
    instrument: str | None,
    *,
    owner: str | None,
    yes: bool,
    by: ByHand,
    as_json: bool,
) -> None:
    """Take over the broker's positions where they differ from the ledger's, of INSTRUMENT or of all.

    Each difference is booked at the last price of its contract; nothing is traded. What would be booked is shown first. The broker has to give
    the same answer twice, half a minute apart where time is real, and no order of the instrument may be at work.

    \b
    tradeflow positions adopt --dry-run --why "to look"
    tradeflow positions adopt CORN --to trend_carry --why "fills of Friday that were never reported"
    """
    desk = open_desk(home, quiet=as_json)
    plan = execution.plan_adoption(desk, instrument, owner=owner, force=by.force)
    rows: list[dict[str, Any]] = [{**asdict(row), "booked": row.quantity} for row in plan.rows]
    if not as_json:
        shown = [{**row, "contract": contract_label(row["contract"])} for row in rows]
        print_table(f"What would be booked for {plan.owner}", shown, "nothing: positions agree with the broker's", limit=1000)
    if not by.dry_run and rows and not ask("Book it?", yes=yes, as_json=as_json):
        console.print("nothing was changed")
        return
    mended = execution.adopt_positions(desk, plan, by)
    if as_json:
        print_json({**asdict(mended), "rows": rows, "owner": plan.owner})
    else:
        print_mended(mended, as_json=False)
