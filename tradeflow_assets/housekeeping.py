"""Housekeeping: stopping and resuming trading by hand, backups, and deleting old runs.

An event log grows by some 7 KB an event, gigabytes a year: runs older than `keep_runs_days` are deleted, but never one that holds the newest
materialization of an asset or partition, since the UI would then show that asset as never made.
"""

from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster import DagsterInstance
from pydantic import Field

from tradeflow_assets.decisions import why_not_automatic
from tradeflow_assets.failures import errors_as_failures
from tradeflow_assets.metadata import bullets
from tradeflow_core.backups import content_of, make_backup
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home, WallClock
from tradeflow_core.ledger import lift_stop, stop_trading


class WhoAndWhy(dg.Config):
    """Who stops or resumes trading, and why."""

    who: str = Field(description="your name, for the record")
    why: str = Field(default="", description="the reason, for the record")


@dg.op(
    description="Record that trading is stopped: no order is made or sent, and a stack handler at work cancels what it has at the broker."
)
def record_stop(config: WhoAndWhy, desk: dg.ResourceParam[Desk]) -> None:
    with desk.ledger.begin() as tx:
        stop_trading(tx, desk.now(), config.who, why=config.why or "stopped in the Dagster UI")


@dg.op(description="Lift the stop: trading is allowed again.")
def lift_trading_stop(context: dg.OpExecutionContext, config: WhoAndWhy, desk: dg.ResourceParam[Desk]) -> None:
    with desk.ledger.begin() as tx:
        lifted = lift_stop(tx, desk.now(), config.who, why=config.why or "resumed in the Dagster UI")
    context.log.info("trading is allowed again" if lifted else "trading was not stopped")


@dg.job(name="stop_trading", description="Stop all trading now; enter who and why in the launchpad. Lift it with resume_trading.")
def stop_trading_job() -> None:
    record_stop()


@dg.job(name="resume_trading", description="Allow trading again after stop_trading.")
def resume_trading_job() -> None:
    lift_trading_stop()


def newest_runs(instance: DagsterInstance) -> set[str]:
    """Runs that hold the newest materialization of some asset or partition."""
    kind, log = dg.DagsterEventType.ASSET_MATERIALIZATION, instance.event_log_storage
    kept = set()
    for key in instance.all_asset_keys():
        if (newest := instance.get_latest_materialization_event(key)) is not None:
            kept.add(newest.run_id)
        if ids := list(log.get_latest_storage_id_by_partition(key, kind).values()):
            records = log.get_event_records(dg.EventRecordsFilter(kind, asset_key=key, storage_ids=ids))
            kept |= {record.event_log_entry.run_id for record in records}
    return kept


def prune_runs(instance: DagsterInstance, before: datetime) -> int:
    """Delete finished runs made before the instant `before`, with their logs, except those of `newest_runs`; returns how many."""
    old = instance.get_runs(dg.RunsFilter(created_before=before))
    if not old:
        return 0
    kept = newest_runs(instance)
    to_delete = [run for run in old if run.is_finished and run.run_id not in kept]
    for run in to_delete:
        instance.delete_run(run.run_id)
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
    return len(to_delete)


class BackupFile(dg.Config):
    """Where the backup goes, and what is in it."""

    to: str = Field(default="", description="the file, a new one; empty: one in the folder backups of the home")
    prices: bool = Field(default=True, description="with the prices and runs, which are large and can mostly be made again")


@dg.op(
    description="Write settings, ledger, prices and the book of a paper market to one file, verified; also while the desk trades."
)
def write_backup(context: dg.OpExecutionContext, config: BackupFile, desk: dg.ResourceParam[Desk]) -> None:
    with errors_as_failures():
        content = content_of(desk, Path(config.to) if config.to else None, prices=config.prices)
        manifest = make_backup(desk, content)
    context.log.info(f"{content.target}: {len(manifest.files)} files written and verified")
    context.add_output_metadata(
        {
            "file": dg.MetadataValue.path(content.target),
            "bytes": content.target.stat().st_size,
            "files": len(manifest.files),
            "facts": manifest.facts,
            "left_out": bullets(content.left_out),
        }
    )


@dg.job(
    name="backup", description="Write a backup of the home, as `tradeflow backup` does; put one back with `tradeflow restore`."
)
def backup_job() -> None:
    write_backup()


@dg.op(description="Delete Dagster runs older than the retention of the settings, never the newest of an asset or partition.")
def delete_old_runs(context: dg.OpExecutionContext, desk: dg.ResourceParam[Desk]) -> None:
    # Dagster stamps its runs with the machine's time, also in a simulated home.
    count = prune_runs(context.instance, WallClock().now() - timedelta(days=desk.settings.keep_runs_days))
    context.log.info(f"{count} runs deleted")


@dg.job(name="prune", description="Delete old runs from Dagster's own log, so that it does not grow for ever.")
def prune_job() -> None:
    delete_old_runs()


def nightly_prune(home: Home) -> dg.ScheduleDefinition:
    """Prunes every night of a home whose time is real; `make run` does it at the end of a simulated day."""

    @dg.schedule(
        name="nightly_prune",
        job=prune_job,
        cron_schedule="30 22 * * *",
        execution_timezone=home.settings.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Deletes old runs from Dagster's own log every night.",
    )
    def schedule(context: dg.ScheduleEvaluationContext, desk: dg.ResourceParam[Desk]) -> dg.RunRequest | dg.SkipReason:
        reason = why_not_automatic(desk.settings.market)
        return dg.SkipReason(reason) if reason else dg.RunRequest()

    return schedule


def definitions(home: Home) -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(jobs=[stop_trading_job, resume_trading_job, backup_job, prune_job], schedules=[nightly_prune(home)])
