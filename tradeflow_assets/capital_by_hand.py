"""What a person says about the account, as `tradeflow capital` records it: each job shows what it does to the capital."""

import dagster as dg
from pydantic import Field

from tradeflow_assets.by_hand import Said
from tradeflow_assets.failures import errors_as_failures
from tradeflow_assets.metadata import bullets
from tradeflow_core.capital import (
    CapitalChange,
    accept_value,
    correct_event,
    parse_amount,
    parse_when,
    record_change,
    record_flow,
    refuse_value,
    set_capital,
    void_event,
)
from tradeflow_core.desk import Desk


class Verdict(Said):
    """An account value that jumped, and whether it is right."""

    account_value: str = Field(
        description="the account value that is meant, as the alert and total_capital show it; another one is refused"
    )
    right: bool = Field(description="true: the change counts as profit or loss; false: this account value never counts")


class Flow(Said):
    """Money that was paid in or out."""

    amount: str = Field(description="in base currency: 25000 was paid in, -10000.50 was paid out")
    at: str = Field(
        default="",
        description="when: 2024-01-31, or 2024-01-31T14:30, in the zone of the desk; empty: the newest account value shows it",
    )
    total: str = Field(default="", description="the total capital from now on; empty: as it is")
    force: bool = Field(default=False, description="although the account value does not show it")


class Event(Said):
    """An earlier event that was wrong."""

    event: int = Field(description="its id, as `tradeflow capital` and the table capital_events show it")
    amount: str = Field(default="", description="the right amount; empty: it is only taken back")
    force: bool = Field(default=False, description="although the account value speaks against it")


class Figures(Said):
    """What the capital is from the newest account value on."""

    total: str = Field(default="", description="total capital; empty: the account value")
    maximum: str = Field(default="", description="high-water mark; empty: the total capital")
    accumulated: str = Field(default="", description="profit so far; empty: as it is")
    force: bool = Field(default=False, description="although it is more than the account value")


@dg.op(description="Accept or refuse the newest account value, which jumped.")
def judge_value(context: dg.OpExecutionContext, config: Verdict, desk: dg.ResourceParam[Desk]) -> None:
    with errors_as_failures():
        value = float(parse_amount(config.account_value, "account_value"))
        _record(
            context, config, desk, change=accept_value(desk, value=value) if config.right else refuse_value(desk, value=value)
        )


@dg.op(description="Record a deposit or withdrawal, which is no profit or loss.")
def say_flow(context: dg.OpExecutionContext, config: Flow, desk: dg.ResourceParam[Desk]) -> None:
    with errors_as_failures():
        at = parse_when(desk, config.at) if config.at else None
        total = parse_amount(config.total, "total") if config.total else None
        _record(
            context, config, desk, change=record_flow(desk, parse_amount(config.amount), at=at, total=total, force=config.force)
        )


@dg.op(description="Take an earlier event back, or record it anew with another amount.")
def take_back(context: dg.OpExecutionContext, config: Event, desk: dg.ResourceParam[Desk]) -> None:
    with errors_as_failures():
        if config.amount:
            change = correct_event(desk, config.event, parse_amount(config.amount), force=config.force)
        else:
            change = void_event(desk, config.event, force=config.force)
        _record(context, config, desk, change=change)


@dg.op(description="Say what the capital is from the newest account value on, whatever came before.")
def say_capital(context: dg.OpExecutionContext, config: Figures, desk: dg.ResourceParam[Desk]) -> None:
    with errors_as_failures():
        given = {"total": config.total, "maximum": config.maximum, "accumulated": config.accumulated}
        figures = {name: parse_amount(word, name) if word else None for name, word in given.items()}
        _record(context, config, desk, change=set_capital(desk, **figures, force=config.force))


def _record(context: dg.OpExecutionContext, config: Said, desk: Desk, *, change: CapitalChange) -> None:
    """Record it, log what it did, and keep that with the run."""
    for warning in change.warnings:
        context.log.warning(warning)
    numbers = [] if config.dry_run else record_change(desk, change, who=config.who, why=config.why)
    context.log.info("\n".join([f"{'would ' if config.dry_run else ''}{change.about}", *change.lines]))
    context.add_output_metadata(
        {
            "about": change.about,
            "capital_before": change.before.capital,
            "capital_after": change.after.capital,
            "figures": bullets(change.lines),
            "events": ", ".join(map(str, numbers)) or "none",
            "done": bool(numbers),
            "who": config.who,
            "why": config.why,
            "warnings": bullets(change.warnings),
        }
    )


@dg.job(
    name="judge_account_value",
    description="Accept an account value that jumped, as profit or loss, or refuse it, so that it never counts; enter who and why.",
)
def judge_account_value_job() -> None:
    judge_value()


@dg.job(
    name="record_flow",
    description="Record money that was paid into the account or out of it, which is no profit; enter who and why.",
)
def record_flow_job() -> None:
    say_flow()


@dg.job(
    name="correct_capital_event",
    description="Take back something wrong that was said about the account, or correct its amount; enter who and why.",
)
def correct_capital_event_job() -> None:
    take_back()


@dg.job(name="set_capital", description="Say by hand what the total capital is from now on; enter who and why.")
def set_capital_job() -> None:
    say_capital()


def definitions() -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(jobs=[judge_account_value_job, record_flow_job, correct_capital_event_job, set_capital_job])
