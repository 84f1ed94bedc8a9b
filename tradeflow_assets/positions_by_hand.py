"""Positions by hand, as `tradeflow positions` mends them, and their comparison, as `tradeflow reconcile` makes it."""

from dataclasses import asdict

import dagster as dg
import pandas as pd
from pydantic import Field

from tradeflow_assets.by_hand import ByForce, Said, mend
from tradeflow_assets.failures import errors_as_failures
from tradeflow_assets.metadata import bullets, table
from tradeflow_core.desk import Desk
from tradeflow_core.execution import (
    Mended,
    adopt_positions,
    assign_by_hand,
    compare_levels,
    plan_adoption,
    transfer_by_hand,
)


class Transfer(Said):
    """A position that moves from one strategy to another."""

    instrument: str = Field(description="instrument code, such as GOLD_micro")
    quantity: int = Field(description="contracts, negative for those of a short position")
    giver: str = Field(description="who holds it now, also a strategy that is no longer in the settings")
    taker: str = Field(description="the strategy that gets it")
    price: float | None = Field(default=None, description="the price of it; empty: the last of the priced contract")


class Assignment(Said):
    """What was traded elsewhere, and the strategy that gets it."""

    instrument: str = Field(description="instrument code, such as GOLD_micro")
    strategy: str = Field(description="the strategy that gets it")
    quantity: int | None = Field(default=None, description="so many contracts of it, signed; empty: all")
    price: float | None = Field(default=None, description="the price of it; empty: the last of the priced contract")


class Adopting(ByForce):
    """Positions of the broker that the ledger takes over. It looks first: run it, read what would be booked, then run it with dry_run false."""

    instrument: str = Field(default="", description="instrument code; empty: every one in which positions differ")
    strategy: str = Field(default="", description="for whom the differences are booked; empty: _outside, to be assigned later")
    force: bool = Field(default=False, description="although the broker reports executions that are not booked")
    dry_run: bool = Field(default=True, description="only say what would be booked; false: book it")


class Comparing(dg.Config):
    """How positions are compared."""

    dry_run: bool = Field(default=False, description="only compare: book no executions, set and lift no locks")


@dg.op(description="Move a position from one strategy to another; nothing is traded.")
def move_position(context: dg.OpExecutionContext, config: Transfer, desk: dg.ResourceParam[Desk]) -> None:
    def move() -> Mended:
        return transfer_by_hand(
            desk,
            config.instrument,
            config.quantity,
            giver=config.giver,
            taker=config.taker,
            price=config.price,
            by=config.by,
        )

    mend(context, config, move)


@dg.op(description="Give a strategy what was traded elsewhere; lifts the lock when all of it is assigned.")
def assign_outside(context: dg.OpExecutionContext, config: Assignment, desk: dg.ResourceParam[Desk]) -> None:
    def assign() -> Mended:
        return assign_by_hand(
            desk, config.instrument, taker=config.strategy, quantity=config.quantity, price=config.price, by=config.by
        )

    mend(context, config, assign)


@dg.op(description="Take over the broker's positions where they differ from the ledger's.")
def take_over(context: dg.OpExecutionContext, config: Adopting, desk: dg.ResourceParam[Desk]) -> None:
    def adopt() -> Mended:
        plan = plan_adoption(desk, config.instrument or None, owner=config.strategy or None, force=config.force)
        return adopt_positions(desk, plan, config.by)

    mend(context, config, adopt)


@dg.op(description="Compare broker, contracts, owners and optimal positions; a break fails the run.")
def compare_positions(context: dg.OpExecutionContext, config: Comparing, desk: dg.ResourceParam[Desk]) -> None:
    with errors_as_failures():
        found = compare_levels(desk, dry_run=config.dry_run)
    differences = [*found.broker, *found.owners, *found.optimal]
    for each in differences:
        (context.log.error if each.is_break else context.log.info)(
            f"{each.instrument}: {each.what}; {each.command or 'it goes by itself'}"
        )
    columns = ["level", "instrument", "what", "command", "is_break"]
    metadata: dict[str, dg.MetadataValue] = {
        "differences": table(pd.DataFrame([asdict(each) for each in differences], columns=columns).astype({"is_break": str})),
        "breaks": dg.MetadataValue.int(found.breaks),
        "notes": bullets(found.notes),
    }
    if found.breaks:
        broken = "; ".join(f"{each.instrument}: {each.what} ({each.command})" for each in differences if each.is_break)
        raise dg.Failure(broken, metadata=metadata, allow_retries=False)
    context.add_output_metadata(metadata)


@dg.job(name="transfer_position", description="Move a position from one strategy to another by hand; enter who and why.")
def transfer_position_job() -> None:
    move_position()


@dg.job(name="assign_position", description="Give a strategy what was traded elsewhere; enter who and why.")
def assign_position_job() -> None:
    assign_outside()


@dg.job(
    name="adopt_positions",
    description="Take over the broker's positions where they differ: first it shows what would be booked; enter who and why.",
)
def adopt_positions_job() -> None:
    take_over()


@dg.job(
    name="reconcile", description="Compare positions at three levels, with what mends each difference; a break fails the run."
)
def reconcile_job() -> None:
    compare_positions()


def definitions() -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(jobs=[transfer_position_job, assign_position_job, adopt_positions_job, reconcile_job])
