"""Prices: from the broker's bars to one continuous, back-adjusted series an instrument.

One op runs the whole chain of every selected instrument. It logs each stage of each instrument when it is done and fails at the end if an
instrument failed: good instruments are up to date, and only bad ones show as failed.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from tradeflow_assets import price_checks
from tradeflow_assets.decisions import observe, why_not_automatic, why_not_prices
from tradeflow_assets.metadata import rows, sparkline, table
from tradeflow_assets.partitions import instrument_partitions, range_tags, why_partitions_outdated
from tradeflow_assets.resources import universe_of
from tradeflow_assets.rolls import rolls_job
from tradeflow_core.business_day import price_step
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError
from tradeflow_core.home import Home
from tradeflow_core.prices import STAGES, PriceOutcome, PriceWindow, StageResult, price_summary

DESCRIPTIONS = {
    "sampled_contracts": """**Which contracts of each instrument are sampled**: from shortly before the priced contract to one beyond
the furthest needed, with the expiries that the broker reports.""",
    "contract_prices": """**Bars of every sampled contract** as the broker sent them, cleaned. A stored bar is never changed: new ones are
appended, and a batch that shows an implausible jump is refused as a whole and the instrument locked. Choose `full_refresh` in the
launchpad to fetch history again.""",
    "multiple_prices": """**The prices of the priced, forward and carry contract side by side**, built from the contract prices and the
roll events of the ledger. A pure function of both, so it may be rebuilt at any time.""",
    "adjusted_prices": """**One continuous price an instrument**: at each roll the difference of the two contracts is added to all earlier
prices, so that every change is a profit or loss that a holder really had. The forecasts are made of this. An instrument whose newest
price is too old fails here.""",
}


class PriceWindowConfig(dg.Config):
    """What to fetch; the default is what is new since the last run."""

    start: str | None = Field(
        default=None,
        description="first day or instant, ISO format, in the desk's time zone unless it has an offset; needs full_refresh",
    )
    end: str | None = Field(default=None, description="last day or instant, as start")
    full_refresh: bool = Field(
        default=False, description="fetch history again from start to end; bars that are stored stay as they are"
    )

    def window(self, desk: Desk) -> PriceWindow:
        """The window for the core. Raises ConfigError for a text that is no date."""
        return PriceWindow(_instant(desk, "start", self.start), _instant(desk, "end", self.end), self.full_refresh)


def _instant(desk: Desk, name: str, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        stamp = pd.Timestamp(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {text!r} is not a date; write it as 2024-01-31 or 2024-01-31T14:00") from error
    stamp = stamp.tz_localize(desk.settings.time_zone) if stamp.tzinfo is None else stamp
    return stamp.tz_convert("UTC").to_pydatetime()


def price_chain(instruments: Sequence[str]) -> dg.AssetsDefinition:
    """The four assets, with a partition for each of these instruments, in their order."""
    partitions = instrument_partitions(instruments)
    upstream = ("roll_status", *STAGES)
    specs = [
        dg.AssetSpec(
            stage,
            deps=[before],
            partitions_def=partitions,
            skippable=True,
            group_name="prices",
            description=DESCRIPTIONS[stage],
            kinds={"parquet"},
        )
        for before, stage in zip(upstream, STAGES, strict=False)
    ]

    @dg.multi_asset(
        name="price_chain", specs=specs, backfill_policy=dg.BackfillPolicy.single_run(), can_subset=True, pool="prices",
        description="The whole price chain of each instrument; one that fails is locked and reported, the others go on.",
    )  # fmt: skip
    def chain(
        context: dg.AssetExecutionContext, config: PriceWindowConfig, desk: dg.ResourceParam[Desk]
    ) -> Iterator[dg.AssetMaterialization]:
        selected = {key.path[-1] for key in context.selected_asset_keys}
        outcomes = price_step(
            desk,
            context.partition_keys,
            [stage for stage in STAGES if stage in selected],
            window=config.window(desk),
            on_stage=lambda result: context.log_event(
                dg.AssetMaterialization(result.stage, partition=result.instrument, metadata=stage_metadata(result))
            ),
        )
        # The checks look at every instrument and matter most when some failed, so this op evaluates them itself.
        for evaluation in price_checks.evaluate_all(desk):
            context.log_event(evaluation)
        context.log.info(price_summary(outcomes))
        if failed := [outcome for outcome in outcomes if outcome.error]:
            for outcome in failed:
                context.log.error(f"{outcome.instrument}: {outcome.error}")
            raise failure(failed, len(outcomes))
        # Every stage is logged already; Dagster requires a generator where there are several outputs.
        yield from ()

    return chain


def stage_metadata(result: StageResult) -> Mapping[str, Any]:
    """The metadata of one stage of one instrument: its facts, its length and, if it has values, a picture of the newest."""
    picture = {} if result.values is None else {"curve": sparkline(result.values)}
    return {**result.facts, **picture, **rows(result.rows)}


def failure(failed: list[PriceOutcome], total: int) -> dg.Failure:
    """The failure that names every instrument without good prices. Not retried: a retry would redo the good ones."""
    names = ", ".join(outcome.instrument for outcome in failed)
    frame = pd.DataFrame([(outcome.instrument, outcome.error) for outcome in failed], columns=["instrument", "error"])
    return dg.Failure(
        f"{len(failed)} of {total} instruments failed and are locked against new risk: {names}; the others are up to date",
        metadata={"failed": table(frame)},
        allow_retries=False,
    )


prices_job = dg.define_asset_job(
    "prices",
    # Its checks run inside the op; as steps of their own they would be skipped whenever an instrument fails.
    selection=dg.AssetSelection.assets(*STAGES).without_checks(),
    description="Second job of the day: the price chain of every instrument, in one run.",
)


def after_rolls(partitions: Sequence[str]) -> dg.SensorDefinition:
    """Starts the prices of the whole universe when the rolls are decided."""

    @dg.run_status_sensor(
        name="rolls_then_prices",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[rolls_job],
        request_job=prices_job,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="When the rolls are decided, update the prices of the whole universe.",
    )
    def rolls_then_prices(context: dg.RunStatusSensorContext, desk: dg.ResourceParam[Desk]) -> dg.RunRequest | dg.SkipReason:
        if reason := why_not_prices(observe(desk)) or alert_if_outdated(desk, partitions):
            return dg.SkipReason(reason)
        return dg.RunRequest(run_key=f"prices-{context.dagster_run.run_id}", tags=range_tags(universe_of(desk.home)))

    return rolls_then_prices


def alert_if_outdated(desk: Desk, partitions: Sequence[str]) -> str | None:
    """Why these partitions do not fit the home any more, also sent as an alert; None if they fit."""
    if reason := why_partitions_outdated(partitions, universe_of(desk.home)):
        desk.alerts.send("the universe has changed", reason, desk.now())
    return reason


REGION_TAG = "region"
CLOSES = {"US": ("0 18", "America/New_York"), "EMEA": ("30 22", "Europe/London"), "ASIA": ("0 17", "Asia/Tokyo")}
"""When the markets of a region have closed: minute and hour of a cron expression, time zone."""


def region_schedule(region: str, partitions: Sequence[str]) -> dg.ScheduleDefinition:
    """The prices of one region on weekdays after its close, in one run. Off until somebody turns it on: the day's own run has everything."""
    minute_and_hour, zone = CLOSES[region]

    @dg.schedule(
        name=f"prices_after_close_{region}",
        job=prices_job,
        cron_schedule=f"{minute_and_hour} * * 1-5",
        execution_timezone=zone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Updates the prices of the instruments in {region} after their close, ahead of the next day's run over everything.",
    )
    def after_close(context: dg.ScheduleEvaluationContext, desk: dg.ResourceParam[Desk]) -> dg.RunRequest | dg.SkipReason:
        if reason := why_not_automatic(desk.settings.market) or alert_if_outdated(desk, partitions):
            return dg.SkipReason(reason)
        instruments = [instrument for instrument in universe_of(desk.home) if desk.instrument(instrument).region == region]
        if not instruments:
            return dg.SkipReason(f"this home trades no instrument in {region}")
        day = context.scheduled_execution_time.date()
        return dg.RunRequest(run_key=f"prices-{region}-{day}", tags={**range_tags(instruments), REGION_TAG: region})

    return after_close


def definitions(home: Home, instruments: Sequence[str] = ()) -> dg.Definitions:
    """Everything of this group."""
    partitions = instruments or universe_of(home)
    return dg.Definitions(
        assets=[price_chain(partitions)],
        asset_checks=price_checks.CHECKS,
        jobs=[prices_job],
        schedules=[region_schedule(region, partitions) for region in CLOSES],
        sensors=[after_rolls(partitions)],
    )
