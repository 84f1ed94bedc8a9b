"""Alerts about failed runs, sent like the desk's other alerts: to the log of the home and, if configured, by e-mail."""

from collections.abc import Sequence

import dagster as dg

from tradeflow_core.desk import Desk


@dg.run_failure_sensor(
    # Without this, failures of runs started from a shell do not arrive.
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports every failed run: in logs/alerts.jsonl of the home and, if configured, by e-mail, once a day for each job.",
)
def alert_on_failure(context: dg.RunFailureSensorContext, desk: dg.ResourceParam[Desk]) -> None:
    why = failure_reasons(context.get_step_failure_events()) or context.failure_event.message or "no message"
    desk.alerts.send(*failure_alert(context.dagster_run.job_name, context.dagster_run.run_id, why), desk.now())


def failure_reasons(failures: Sequence[dg.DagsterEvent]) -> str:
    """Why the steps of a run failed: the messages of their errors, in one line."""
    messages = []
    for event in failures:
        data = event.step_failure_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            messages.append(data.user_failure_data.description)
        elif data.error is not None:
            error = data.error
            while error.cause is not None:
                error = error.cause
            messages.append(error.message.strip().split(f"{error.cls_name}: ", 1)[-1])
    return "; ".join(messages)


def failure_alert(job: str, run_id: str, why: str) -> tuple[str, str]:
    """Subject and text of the alert about a failed run."""
    name = "materialization" if job.startswith("__") else f"job {job}"
    return f"{name} failed", f"{why.strip()}; see run {run_id[:8]} in the Dagster UI"


def definitions() -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(sensors=[alert_on_failure])
