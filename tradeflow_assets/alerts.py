"""A run that fails is told to a person, through the desk's own alerts: the log of the home and, if configured, e-mail."""

import dagster as dg

from tradeflow_core.desk import Desk


@dg.run_failure_sensor(
    # Without this, failures of runs started from a shell do not arrive.
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells a person about every failed run: in logs/alerts.jsonl of the home and, if configured, by e-mail, once a day for each job.",
)
def alert_on_failure(context: dg.RunFailureSensorContext, desk: dg.ResourceParam[Desk]) -> None:
    desk.alerts.send(
        *failure_alert(context.dagster_run.job_name, context.dagster_run.run_id, context.failure_event.message), desk.now()
    )


def failure_alert(job: str, run_id: str, message: str | None) -> tuple[str, str]:
    """Subject and text of the alert about a failed run."""
    name = "materialization" if job.startswith("__") else f"job {job}"
    return f"{name} failed", f"run {run_id[:8]}: {(message or 'no message').strip()}; see it in the Dagster UI under Runs"


def definitions() -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(sensors=[alert_on_failure])
