"""Schedules, sensors and the pruning of old runs, as the daemon evaluates them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster import DagsterInstance

from tests.assets.conftest import THREE
from tradeflow_assets.assembly import assemble
from tradeflow_assets.decisions import observe
from tradeflow_assets.housekeeping import newest_runs, prune_runs
from tradeflow_assets.instance import instance_for
from tradeflow_assets.partitions import range_tags
from tradeflow_assets.prices import PriceWindowConfig, after_rolls
from tradeflow_assets.resources import universe_of
from tradeflow_assets.runner import backfill, execute_job
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError
from tradeflow_core.home import Home, SimulatedClock
from tradeflow_core.ledger import lock_instrument

MORNING = datetime(2024, 1, 8, 5, 5, tzinfo=UTC)


@pytest.fixture
def paper(three: Desk) -> Desk:
    """The desk as if its time were real: the market named as one with a wall clock, its clock still told."""
    home = Home(three.home.path, three.settings.model_copy(update={"market": "ib_paper"}))
    home.__dict__["clock"] = SimulatedClock(home.path / "clock.json")
    return Desk(home)


def schedules_of(desk: Desk) -> list[dg.ScheduleDefinition]:
    return [schedule for schedule in assemble(desk.home, desk).schedules or [] if isinstance(schedule, dg.ScheduleDefinition)]


def test_every_schedule_of_a_simulated_home_skips_and_says_why(three: Desk, instance: DagsterInstance) -> None:
    schedules = schedules_of(three)
    assert {schedule.name for schedule in schedules} == {
        "start_of_day",
        "nightly_prune",
        "hourly_spreads",
        "prices_after_close_US",
        "prices_after_close_EMEA",
        "prices_after_close_ASIA",
    }
    for schedule in schedules:
        context = dg.build_schedule_context(instance, scheduled_execution_time=MORNING, resources={"desk": three})
        tick = schedule.evaluate_tick(context)
        assert not tick.run_requests
        assert "moves only by command" in (tick.skip_message or "")


def test_the_day_starts_by_schedule_where_time_is_real(paper: Desk, instance: DagsterInstance) -> None:
    schedule = next(schedule for schedule in schedules_of(paper) if schedule.name == "start_of_day")
    assert schedule.cron_schedule == "5 0 * * 1-5" and schedule.execution_timezone == "America/New_York"
    tick = schedule.evaluate_tick(
        dg.build_schedule_context(instance, scheduled_execution_time=MORNING, resources={"desk": paper})
    )
    assert [request.run_key for request in tick.run_requests or []] == ["rolls-2024-01-08"]


def sensor_of(desk: Desk, name: str) -> dg.SensorDefinition:
    return next(sensor for sensor in assemble(desk.home, desk).sensors or [] if sensor.name == name)


def test_new_orders_start_the_handler_only_where_time_is_real(three: Desk, paper: Desk, instance: DagsterInstance) -> None:
    for job in ("rolls", "prices", "portfolio"):
        execute_job(three, job)
    three.clock.wait(600)
    for desk, expected in ((three, 0), (paper, 1)):
        sensor = sensor_of(desk, "orders_then_stack_handler")
        definitions = assemble(desk.home, desk).get_repository_def()
        with dg.build_sensor_context(instance, repository_def=definitions, resources={"desk": desk}) as context:
            tick = sensor.evaluate_tick(context)
        assert len(tick.run_requests or []) == expected, tick.skip_message


def test_the_rolls_are_followed_by_the_prices_of_everything_in_one_run(
    three: Desk, paper: Desk, instance: DagsterInstance
) -> None:
    execute_job(three, "rolls")
    run = instance.get_runs()[0]
    ended = next(
        log.dagster_event for log in instance.all_logs(run.run_id) if log.dagster_event and log.dagster_event.is_job_success
    )
    for desk in (three, paper):
        context = dg.build_run_status_sensor_context("rolls_then_prices", ended, instance, run, resources={"desk": desk})
        asked = after_rolls(universe_of(desk.home))(context)
        if desk is three:
            assert isinstance(asked, dg.SkipReason)
        else:
            assert isinstance(asked, dg.RunRequest) and asked.run_key == f"prices-{run.run_id}"
            assert {asked.tags[key] for key in range_tags(THREE)} == {THREE[0], THREE[-1]}


def test_the_watchdog_rests_while_nothing_has_crashed(paper: Desk, instance: DagsterInstance) -> None:
    with dg.build_sensor_context(instance, resources={"desk": paper}) as context:
        tick = sensor_of(paper, "stack_handler_watchdog").evaluate_tick(context)
    assert not tick.run_requests and tick.skip_message


def test_what_is_observed_of_the_gate_is_what_the_locks_say(paper: Desk) -> None:
    assert observe(paper).bad_prices == ""
    with paper.ledger.begin() as tx:
        for code in THREE[:2]:
            lock_instrument(tx, code, "prices", now=paper.now(), why="spike")
    assert "only 33%" in observe(paper).bad_prices


def test_prices_of_the_whole_universe_are_asked_for_in_one_run(three: Desk) -> None:
    job = assemble(three.home, three).resolve_job_def("prices")
    tags = range_tags(three.universe)
    assert job.partitions_def is not None
    wanted = dg.PartitionKeyRange(tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"])
    assert job.partitions_def.get_partition_keys_in_range(wanted) == list(THREE)


def test_a_window_in_the_launchpad_is_in_the_desks_time_unless_it_says_its_own(three: Desk) -> None:
    window = PriceWindowConfig(start="2024-01-03", end="2024-01-04T12:00+00:00", full_refresh=True).window(three)
    assert window.start == datetime(2024, 1, 3, 5, tzinfo=UTC) and window.end == datetime(2024, 1, 4, 12, tzinfo=UTC)
    assert window.full_refresh
    with pytest.raises(ConfigError, match="start: 'yesterdayish' is not a date"):
        PriceWindowConfig(start="yesterdayish").window(three)


def test_pruning_never_takes_the_newest_run_of_an_asset_or_partition(three: Desk) -> None:
    backfill(three, list(THREE))
    backfill(three, ["CORN"])
    backfill(three, ["CORN"])
    execute_job(three, "rolls")
    execute_job(three, "rolls")
    with instance_for(three.home.path) as instance:
        first, _, third, _, new_rolls = (run.run_id for run in reversed(instance.get_runs()))
        assert newest_runs(instance) == {first, third, new_rolls}
        assert prune_runs(instance, datetime.now(UTC) - timedelta(days=1)) == 0, "nothing is that old"
        assert prune_runs(instance, datetime.now(UTC) + timedelta(days=1)) == 2
        assert {run.run_id for run in instance.get_runs()} == {first, third, new_rolls}
        assert instance.get_materialized_partitions(dg.AssetKey("adjusted_prices")) == set(THREE)
