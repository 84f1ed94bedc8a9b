"""Locks, overrides and limits by hand, as `tradeflow locks`, `overrides` and `limits` change them.

They are facts of the ledger and no assets: each job changes one of them and shows what was and what is in force.
"""

import dagster as dg
from pydantic import Field

from tradeflow_assets.by_hand import Said
from tradeflow_assets.failures import errors_as_failures
from tradeflow_assets.metadata import bullets
from tradeflow_core.desk import Desk
from tradeflow_core.model import LockOwner
from tradeflow_core.orders import (
    ControlChange,
    limit_position_by_hand,
    limit_trades_by_hand,
    lock_by_hand,
    override_by_hand,
    parse_contracts,
    parse_override,
    unlock_by_hand,
)

NONE = "none"


class LockChange(Said):
    """An instrument that is locked or unlocked."""

    instrument: str = Field(description="instrument code, such as GOLD_micro")
    locked: bool = Field(default=True, description="true: lock it under the owner `person`; false: lift a lock")
    owner: str = Field(
        default=LockOwner.PERSON.value,
        description=f"whose lock to lift: {', '.join(LockOwner)}, or all. A check locks again while its cause lasts",
    )


class OverrideChange(Said):
    """An override that is set or cleared."""

    override: str = Field(description="a fraction from 0 to 1, reduce_only, no_trading, or none to end the override")
    strategy: str = Field(default="", description="strategy; empty: every strategy")
    instrument: str = Field(default="", description="instrument code; empty: every instrument")


class LimitChange(Said):
    """A limit that is set or ended."""

    instrument: str = Field(description="instrument code, such as GOLD_micro")
    contracts: str = Field(description="number of contracts, or none to end the limit")
    days: int = Field(default=0, description="0: limit the position; 1 or more: limit what is traded in so many days")
    strategy: str = Field(default="", description="strategy; empty: all strategies together")


@dg.op(description="Lock an instrument, or lift a lock of it.")
def change_lock(context: dg.OpExecutionContext, config: LockChange, desk: dg.ResourceParam[Desk]) -> None:
    by_whom = {"who": config.who, "why": config.why}
    with errors_as_failures():
        if config.locked:
            change = lock_by_hand(desk, config.instrument, **by_whom, dry_run=config.dry_run)
        else:
            owner = None if config.owner == "all" else config.owner
            change = unlock_by_hand(desk, config.instrument, owner, **by_whom, dry_run=config.dry_run)
    _show(context, config, change)


@dg.op(description="Put an override in force, in place of the former one of the same strategy and instrument, or end it.")
def change_override(context: dg.OpExecutionContext, config: OverrideChange, desk: dg.ResourceParam[Desk]) -> None:
    with errors_as_failures():
        override = None if config.override == NONE else parse_override(config.override)
        change = override_by_hand(
            desk,
            config.strategy,
            config.instrument,
            override=override,
            who=config.who,
            why=config.why,
            dry_run=config.dry_run,
        )
    _show(context, config, change)


@dg.op(description="Set or end a limit of the position, or of what is traded in so many days.")
def change_limit(context: dg.OpExecutionContext, config: LimitChange, desk: dg.ResourceParam[Desk]) -> None:
    by_whom = {"who": config.who, "why": config.why}
    with errors_as_failures():
        contracts = parse_contracts(config.contracts)
        if config.days:
            change = limit_trades_by_hand(
                desk,
                config.strategy,
                config.instrument,
                days=config.days,
                contracts=contracts,
                dry_run=config.dry_run,
                **by_whom,
            )
        else:
            change = limit_position_by_hand(
                desk, config.strategy, config.instrument, contracts=contracts, dry_run=config.dry_run, **by_whom
            )
    _show(context, config, change)


def _show(context: dg.OpExecutionContext, config: Said, change: ControlChange) -> None:
    """Log what was changed, or would be, and keep it with the run."""
    for warning in change.warnings:
        context.log.warning(warning)
    verb = "would change" if config.dry_run else "changed" if change.changes else "nothing to change:"
    context.log.info(f"{verb} {change.about}: {change.before or NONE} -> {change.after or NONE}")
    context.add_output_metadata(
        {
            "about": change.about,
            "before": change.before or NONE,
            "after": change.after or NONE,
            "done": change.changes and not config.dry_run,
            "who": config.who,
            "why": config.why,
            "warnings": bullets(change.warnings),
        }
    )


@dg.job(name="set_lock", description="Lock an instrument by hand, so that it is not traded, or lift a lock; enter who and why.")
def set_lock_job() -> None:
    change_lock()


@dg.job(
    name="set_override", description="Hold positions back by hand: a fraction, reductions only, no trading; enter who and why."
)
def set_override_job() -> None:
    change_override()


@dg.job(name="set_limit", description="Limit a position, or what is traded in so many days, by hand; enter who and why.")
def set_limit_job() -> None:
    change_limit()


def definitions() -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(jobs=[set_lock_job, set_override_job, set_limit_job])
