"""Rolls: futures expire, so a position is moved from the priced contract to the forward one, and the price series with it.

Roll decisions read the prices of the day before and the positions; as arrows they would close a circle, so they are an op job that appends
to the ledger, and `roll_status` only shows what it decided.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg
import pandas as pd

from tradeflow_assets.decisions import observe, told_time, why_not_start_day
from tradeflow_assets.metadata import rows, table
from tradeflow_core.day import roll_step
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.instruments import display
from tradeflow_core.prices import RollStatus

roll_status = dg.AssetSpec(
    "roll_status",
    group_name="rolls",
    kinds={"sql"},
    description=(
        "**Where every instrument stands in its roll**: state, decision of the day, contracts, days left and volumes.\n\n"
        "Written by the job `rolls`, which decides by rules, by a tape (in a replay) or leaves it to a person (`tradeflow roll`). A roll is one "
        "appended event in the ledger; the prices downstream are rebuilt from it, history is never rewritten."
    ),
)


@dg.op(description="Decide the roll of every instrument and record what changes in the ledger.")
def decide_rolls(context: dg.OpExecutionContext, desk: dg.ResourceParam[Desk]) -> None:
    statuses = roll_step(desk)
    context.log_event(dg.AssetMaterialization("roll_status", metadata=roll_metadata(statuses)))


def roll_metadata(statuses: list[RollStatus]) -> Mapping[str, Any]:
    """The table of roll states, the most urgent first, and how many were decided."""
    frame = pd.DataFrame([asdict(status) for status in statuses], columns=list(RollStatus.__slots__))
    for role in ("priced", "forward"):
        frame[role] = [display(int(contract)) for contract in frame[role]]
    decided = frame[frame["decision"] != ""]
    return {
        "n_decisions": len(decided),
        "n_rolled": int(decided["decision"].str.startswith("rolled").sum()) if len(decided) else 0,
        "rolls": table(
            frame, ["instrument", "state", "decision", "priced", "forward", "position", "days_to_roll", "relative_volume", "note"]
        ),
        **rows(len(frame)),
    }


@dg.job(name="rolls", description="First job of the day: decide the rolls.")
def rolls_job() -> None:
    decide_rolls()


def day_schedule(home: Home) -> dg.ScheduleDefinition:
    """The start of the business day, in the desk's time zone."""
    start = home.settings.day.start

    @dg.schedule(
        name="start_of_day",
        job=rolls_job,
        cron_schedule=f"{start.minute} {start.hour} * * 1-5",
        execution_timezone=home.settings.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Starts the business day with the rolls; the sensors start the other jobs one after the other.",
    )
    def start_of_day(context: dg.ScheduleEvaluationContext, desk: dg.ResourceParam[Desk]) -> dg.RunRequest | dg.SkipReason:
        # The question about simulated time comes first, so that a tick there needs no ledger.
        reason = told_time(desk.settings.market) or why_not_start_day(observe(desk))
        return dg.SkipReason(reason) if reason else dg.RunRequest(run_key=f"rolls-{context.scheduled_execution_time.date()}")

    return start_of_day


def definitions(home: Home) -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(assets=[roll_status], jobs=[rolls_job], schedules=[day_schedule(home)])
