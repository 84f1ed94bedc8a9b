"""Rolls: futures expire, so a position is moved from the priced contract to the forward one, and the price series with it.

Roll decisions depend on positions and on yesterday's prices, which depend on rolls. Assets may not form a circle, so an op job decides and
appends to the ledger, and the asset `roll_status` only shows the result.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from tradeflow_assets import price_checks
from tradeflow_assets.decisions import observe, why_not_automatic, why_not_start_day
from tradeflow_assets.failures import errors_as_failures
from tradeflow_assets.metadata import bullets, rows, sparkline, table
from tradeflow_core.business_day import roll_step
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.model import RollState, contract_label
from tradeflow_core.rolls import (
    RollStatus,
    parse_state,
    preview_roll,
    preview_tables,
    roll_by_rules,
    roll_prices,
    roll_statuses,
    set_state,
)
from tradeflow_core.series import RollPlan

roll_status = dg.AssetSpec(
    "roll_status",
    group_name="rolls",
    kinds={"sql"},
    description=(
        "**The roll state of every instrument**: state, decision of the day, contracts, days left and volumes.\n\n"
        "Written by the job `rolls`, which decides by rules or by a tape (in a replay), or leaves the decision to a person (the jobs "
        "`set_roll_state` and `roll_by_rules`, or `tradeflow roll`); `preview_roll` shows a roll beforehand. A roll is one "
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
        frame[role] = [contract_label(int(contract)) for contract in frame[role]]
    decided = frame[frame["decision"] != ""]
    return {
        "n_decisions": len(decided),
        "n_rolled": int(decided["decision"].str.startswith("rolled").sum()) if len(decided) else 0,
        "rolls": table(
            frame, ["instrument", "state", "decision", "priced", "forward", "position", "days_to_roll", "relative_volume", "note"]
        ),
        **rows(len(frame)),
    }


class RollChange(dg.Config):
    """A roll decision made by hand."""

    instrument: str = Field(description="instrument code, such as GOLD_micro")
    state: str = Field(
        description="No_Roll, Passive, Force, Force_Outright, Close, No_Open, or Roll_Adjusted to roll the prices now"
    )
    why: str = Field(description="the reason, for the record")
    who: str = Field(default="dagster", description="your name, for the record")
    dry_run: bool = Field(default=False, description="only say what would be done")


class RollRules(dg.Config):
    """To which instruments the automatic rules are applied."""

    instruments: list[str] = Field(default=[], description="instrument codes; empty: all instruments")
    who: str = Field(default="dagster", description="your name, for the record")
    dry_run: bool = Field(default=False, description="only say what would be done")


class RollPreview(dg.Config):
    """The instrument whose roll is shown."""

    instrument: str = Field(description="instrument code, such as GOLD_micro")


@dg.op(
    pool="prices",
    description="Put an instrument into a roll state; Roll_Adjusted rolls its prices into the forward contract and rebuilds them.",
)
def enter_roll_state(context: dg.OpExecutionContext, config: RollChange, desk: dg.ResourceParam[Desk]) -> None:
    with errors_as_failures():
        instrument, new_state = desk.instrument(config.instrument).code, parse_state(config.state)
        change = set_state(desk, instrument, new_state, who=config.who, why=config.why, dry_run=config.dry_run)
        plan = preview_roll(desk, instrument) if new_state == RollState.ROLL_ADJUSTED else None
        shown = {
            "instrument": instrument,
            "state_before": change.before.value,
            "state_after": (RollState.NO_ROLL if plan else change.after).value,
            "position": change.position,
            "who": config.who,
            "why": config.why,
            "warnings": bullets(change.warnings),
            **(plan_metadata(desk, instrument, plan) if plan else {}),
        }
        if plan and not config.dry_run:
            roll_prices(desk, instrument, "person", who=config.who, why=config.why, plan=plan)
    for warning in change.warnings:
        context.log.warning(warning)
    if config.dry_run:
        context.log_event(dg.AssetObservation("roll_status", metadata={**shown, "dry_run": True}))
        return
    context.log_event(dg.AssetMaterialization("roll_status", metadata={**shown, **roll_metadata(roll_statuses(desk))}))
    if plan:
        show_rebuilt(context, desk, [instrument])


@dg.op(pool="prices", description="Apply the automatic roll rules now, whatever the setting `rolls.decide` of this home is.")
def apply_roll_rules(context: dg.OpExecutionContext, config: RollRules, desk: dg.ResourceParam[Desk]) -> None:
    with errors_as_failures():
        instruments = [desk.instrument(instrument).code for instrument in config.instruments] or None
        statuses = roll_by_rules(desk, instruments, dry_run=config.dry_run, who=config.who)
    kind = dg.AssetObservation if config.dry_run else dg.AssetMaterialization
    context.log_event(kind("roll_status", metadata={"who": config.who, "dry_run": config.dry_run, **roll_metadata(statuses)}))
    show_rebuilt(context, desk, [status.instrument for status in statuses if status.decision.startswith("rolled")])


def show_rebuilt(context: dg.OpExecutionContext, desk: Desk, instruments: list[str]) -> None:
    """Log that the prices of rolled instruments were rebuilt, and the results of the price checks now."""
    for instrument in instruments:
        for asset in ("multiple_prices", "adjusted_prices"):
            context.log_event(
                dg.AssetMaterialization(asset, partition=instrument, metadata=rebuilt_metadata(desk, instrument, asset))
            )
    for evaluation in price_checks.evaluate_all(desk) if instruments else ():
        context.log_event(evaluation)  # type: ignore[arg-type]


@dg.op(description="Show an instrument's prices before and after a roll into its forward contract; nothing is changed.")
def show_roll(context: dg.OpExecutionContext, config: RollPreview, desk: dg.ResourceParam[Desk]) -> None:
    with errors_as_failures():
        instrument = desk.instrument(config.instrument).code
        shown = plan_metadata(desk, instrument, preview_roll(desk, instrument))
    context.log_event(dg.AssetObservation("roll_status", metadata={"instrument": instrument, **shown}))


def plan_metadata(desk: Desk, instrument: str, plan: RollPlan) -> dict[str, Any]:
    """The contracts of a planned roll, and the last rows of multiple and adjusted prices before and after it."""
    contracts = {role: contract_label(int(getattr(plan, f"{role}_contract"))) for role in ("price", "forward", "carry")}
    # Rows of a roll are a second apart, so times are shown in full.
    tables = {
        name: table(frame.reset_index(names="time").astype({"time": str}))
        for name, frame in preview_tables(desk, instrument, plan).items()
    }
    return {**{f"{role}_after_roll": contract for role, contract in contracts.items()}, **tables}


def rebuilt_metadata(desk: Desk, instrument: str, dataset: str) -> dict[str, Any]:
    """The metadata of a price file after a roll: its length, and a picture of the newest prices."""
    frame = desk.store.read(dataset, instrument)
    price = frame["price" if dataset == "adjusted_prices" else "PRICE"].dropna()
    return {"curve": sparkline(price.tail(500)), **rows(len(frame))}


@dg.job(
    name="set_roll_state",
    description="Put an instrument into a roll state by hand. A change that is not allowed fails and lists the allowed states.",
)
def set_roll_state_job() -> None:
    enter_roll_state()


@dg.job(
    name="roll_by_rules",
    description="Let the rules of tradeflow.toml decide rolls now, or (dry_run) say what they would do; see `roll_status`.",
)
def roll_by_rules_job() -> None:
    apply_roll_rules()


@dg.job(
    name="preview_roll", description="Show an instrument's prices before and after a roll, without rolling; see `roll_status`."
)
def preview_roll_job() -> None:
    show_roll()


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
        reason = why_not_automatic(desk.settings.market) or why_not_start_day(observe(desk))
        return dg.SkipReason(reason) if reason else dg.RunRequest(run_key=f"rolls-{context.scheduled_execution_time.date()}")

    return start_of_day


def definitions(home: Home) -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(
        assets=[roll_status],
        jobs=[rolls_job, set_roll_state_job, preview_roll_job, roll_by_rules_job],
        schedules=[day_schedule(home)],
    )
