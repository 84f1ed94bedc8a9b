"""Running jobs in this process, without a daemon, in the Dagster storage that the UI of the same home shows.

`make run`, a replay and `tradeflow backfill` use it; the UI and its daemon run the same definitions.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg

from tradeflow_assets.alerts import failure_reasons
from tradeflow_assets.assembly import assemble
from tradeflow_assets.housekeeping import prune_runs
from tradeflow_assets.instance import instance_for
from tradeflow_assets.partitions import range_tags
from tradeflow_assets.resources import universe_of
from tradeflow_core.business_day import JOBS
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import WallClock
from tradeflow_core.ledger import locked_instruments, step_done

# The caller reports a failure in one line; without this Dagster prints its traceback as well.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

STEP_ASSETS = {"optimal_positions": ["backtest", "optimal_positions"], "report": ["daily_report", "desk"]}
"""Assets of the steps that do not make exactly the asset of their own name."""


def execute_job(desk: Desk, job: str) -> None:
    """Run the steps of a job of `business_day.JOBS` that are not done yet for the present business day, as one Dagster run in this process.

    Raises StateError with the message of what failed. Instruments that failed in `prices` are no error: they are locked and
    reported, and the others go on.
    """
    definitions, config = assemble(desk.home, desk), QUIET
    with desk.ledger.read() as view:
        missing = [name for name in JOBS[job] if not step_done(view, desk.business_day(), name)]
    selection, tags = None, {"day": desk.business_day().isoformat()}
    if job == "prices":
        tags |= range_tags(universe_of(desk.home))
    elif job == "portfolio":
        selection = [dg.AssetKey(asset) for name in missing for asset in STEP_ASSETS.get(name, [name])]
    with instance_for(desk.home.path) as instance:
        result = definitions.resolve_job_def(job).execute_in_process(
            run_config=config, instance=instance, raise_on_error=False, asset_selection=selection, tags=tags
        )
        if not result.success and not _some_prices_done(desk, job):
            raise StateError(f"{job}: {_failure_message(result)}")
        if job == "reports" and not desk.settings.time_is_real:
            prune_runs(instance, WallClock().now() - timedelta(days=desk.settings.keep_runs_days))


def _some_prices_done(desk: Desk, job: str) -> bool:
    with desk.ledger.read() as view:
        return job == "prices" and step_done(view, desk.business_day(), "prices")


def _failure_message(result: dg.ExecuteInProcessResult) -> str:
    failures = result.filter_events(lambda event: event.is_step_failure)
    return failure_reasons(failures) or "the run failed; see it in the Dagster UI under Runs"


def backfill(
    desk: Desk,
    instruments: Sequence[str],
    start: datetime | None = None,
    *,
    end: datetime | None = None,
    full_refresh: bool = False,
) -> dict[str, str]:
    """Run the price chain of some instruments in one Dagster run; returns for each `ok` or why it failed.

    `start`, `end` (UTC): what to fetch where `full_refresh`. Other instruments are not touched. Raises ConfigError for an instrument
    that the home does not trade, StateError where the run could not begin.
    """
    unique = list(dict.fromkeys(instruments))
    if unknown := [instrument for instrument in unique if instrument not in desk.universe]:
        raise ConfigError(
            f"not in the universe of this home: {', '.join(unknown)}; see `tradeflow instruments`, or add it to tradeflow.toml"
        )
    if not unique:
        return {}
    # A run covers adjacent partitions only, so these instruments are put first.
    partitions = unique + [instrument for instrument in desk.universe if instrument not in unique]
    job = assemble(desk.home, desk, partitions).resolve_job_def("prices")
    window = {
        "start": start.isoformat() if start else None,
        "end": end.isoformat() if end else None,
        "full_refresh": full_refresh,
    }
    config = {**QUIET, "ops": {"price_chain": {"config": window}}}
    with instance_for(desk.home.path) as instance:
        result = job.execute_in_process(run_config=config, instance=instance, raise_on_error=False, tags=range_tags(unique))
        # Read from the log, since the result of a failed run lacks what its op logged before it failed.
        logged = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    events = [entry.dagster_event for entry in logged if entry.dagster_event is not None]
    updated = {event.partition for event in events if event.asset_key == dg.AssetKey("adjusted_prices")}
    if result.success:
        return dict.fromkeys(unique, "ok")
    with desk.ledger.read() as view:
        locked = locked_instruments(view)
    if set(unique) - updated - set(locked):
        raise StateError(f"backfill: {_failure_message(result)}")
    return {instrument: "ok" if instrument in updated else locked[instrument] for instrument in unique}
