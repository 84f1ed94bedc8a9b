"""Spreads: what it costs to trade now, sampled every hour from the broker's quotes."""

from dataclasses import asdict

import dagster as dg
import pandas as pd

from tradeflow_assets.decisions import why_not_automatic
from tradeflow_assets.metadata import rows, table
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.model import contract_label
from tradeflow_core.prices import SpreadSample, sample_spreads

spreads = dg.AssetSpec(
    "spreads",
    group_name="prices",
    kinds={"parquet"},
    description=(
        "**Bid-ask spreads of the priced contracts**, in price points, one growing series an instrument.\n\n"
        "Written by the job `sample_spreads`, every hour where time is real. A market that is closed, or has no usable quote, is left out "
        "with the reason. They show whether the costs that the strategies assume are right."
    ),
)


@dg.op(description="Quote the priced contract of every instrument and store its spread.")
def quote_spreads(context: dg.OpExecutionContext, desk: dg.ResourceParam[Desk]) -> None:
    samples = sample_spreads(desk, desk.universe)
    context.log_event(dg.AssetMaterialization("spreads", metadata=spread_metadata(samples)))


def spread_metadata(samples: list[SpreadSample]) -> dict[str, dg.TableMetadataValue | int]:
    """The samples as a table, and how many instruments had a spread."""
    frame = pd.DataFrame([asdict(sample) for sample in samples], columns=list(SpreadSample.__slots__))
    frame["contract"] = ["" if sample.contract is None else contract_label(sample.contract) for sample in samples]
    frame["spread"] = frame["spread"].astype("float64")
    sampled = int(frame["spread"].notna().sum())
    return {"n_sampled": sampled, "n_left_out": len(frame) - sampled, "spreads": table(frame), **rows(sampled)}


@dg.job(name="sample_spreads", description="Sample the bid-ask spread of every open market now.")
def sample_spreads_job() -> None:
    quote_spreads()


def hourly_spreads(home: Home) -> dg.ScheduleDefinition:
    """Samples at every full hour of a home whose time is real."""
    running = dg.DefaultScheduleStatus.RUNNING if home.settings.time_is_real else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name="hourly_spreads",
        job=sample_spreads_job,
        cron_schedule="0 * * * *",
        execution_timezone=home.settings.time_zone,
        default_status=running,
        description="Samples spreads every hour; markets that are closed are left out.",
    )
    def schedule(context: dg.ScheduleEvaluationContext, desk: dg.ResourceParam[Desk]) -> dg.RunRequest | dg.SkipReason:
        reason = why_not_automatic(desk.settings.market)
        return (
            dg.SkipReason(reason) if reason else dg.RunRequest(run_key=f"spreads-{context.scheduled_execution_time.isoformat()}")
        )

    return schedule


def definitions(home: Home) -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(assets=[spreads], jobs=[sample_spreads_job], schedules=[hourly_spreads(home)])
