"""What watches prices besides the day's run: regional schedules, checks for gaps and expired contracts, spread samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from tests.conftest import make_home
from tests.frames import contracts_of
from tradeflow_assets.assembly import assemble
from tradeflow_assets.instance import instance_for
from tradeflow_assets.orders import definitions as orders_definitions
from tradeflow_assets.price_checks import MAX_MISSING_DAYS, expired_key_contracts, gaps
from tradeflow_assets.prices import REGION_TAG
from tradeflow_assets.resources import DeskResource, universe_of
from tradeflow_assets.runner import backfill, execute_job
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home, SimulatedClock
from tradeflow_core.instruments import RollRule
from tradeflow_core.ledger import append_roll_events, current_roll, current_rolls

CODE = "EUROSTX"
CLOSED_US = datetime(2024, 1, 8, 23, 0, tzinfo=UTC)


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Desk]:
    """A desk whose universe mixes regions in the order of its settings."""
    desk = Desk(make_home(tmp_path / "home", universe=("CORN", CODE, "US10"), simulated={"history_years": 1}))
    yield desk
    desk.close()


def real_time(desk: Desk) -> Desk:
    """The same home as if its time were real: the market named as one with a wall clock, its clock still told."""
    home = Home(desk.home.path, desk.settings.model_copy(update={"market": "ib_paper"}))
    home.__dict__["clock"] = SimulatedClock(home.path / "clock.json")
    return Desk(home)


def schedule_of(desk: Desk, name: str) -> dg.ScheduleDefinition:
    found = next(schedule for schedule in assemble(desk.home, desk).schedules or [] if schedule.name == name)
    assert isinstance(found, dg.ScheduleDefinition)
    return found


def tick(desk: Desk, name: str) -> dg.ScheduleExecutionData:
    with (
        instance_for(desk.home.path) as instance,
        dg.build_schedule_context(instance, scheduled_execution_time=CLOSED_US, resources={"desk": desk}) as context,
    ):
        return schedule_of(desk, name).evaluate_tick(context)


@pytest.mark.parametrize(
    ("region", "cron", "zone"),
    [
        ("US", "0 18 * * 1-5", "America/New_York"),
        ("EMEA", "30 22 * * 1-5", "Europe/London"),
        ("ASIA", "0 17 * * 1-5", "Asia/Tokyo"),
    ],
)
def test_each_region_has_a_schedule_after_its_close_that_a_person_turns_on(
    mixed: Desk, region: str, cron: str, *, zone: str
) -> None:
    schedule = schedule_of(mixed, f"prices_after_close_{region}")
    assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, zone)
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED


def test_a_regional_run_updates_the_instruments_of_its_region_and_no_other(mixed: Desk) -> None:
    execute_job(mixed, "rolls")
    (request,) = tick(real_time(mixed), "prices_after_close_US").run_requests or []
    assert request.run_key == "prices-US-2024-01-08"
    with instance_for(mixed.home.path) as instance:
        job = assemble(mixed.home, mixed).resolve_job_def("prices")
        assert job.execute_in_process(instance=instance, tags=request.tags).success
        made = instance.get_materialized_partitions(dg.AssetKey("adjusted_prices"))
    assert made == set(mixed.store.names("adjusted_prices")) == {"CORN", "US10"}


def test_a_region_without_instruments_is_skipped_with_the_reason(mixed: Desk) -> None:
    assert tick(real_time(mixed), "prices_after_close_ASIA").skip_message == "this home trades no instrument in ASIA"


def test_a_rule_that_is_edited_while_dagster_runs_counts_from_the_next_run_on(mixed: Desk) -> None:
    """Dagster gives each run a desk of its own: the definitions stay, the home is opened anew."""
    resource = DeskResource(home=str(mixed.home.path))
    with resource.yield_for_execution(dg.build_init_resource_context()) as desk:
        assert str(desk.instrument("CORN").roll_rule.hold) != "FGHJKMNQUVXZ"
    header = "Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset"
    (mixed.home.path / "config" / "rolls.csv").write_text(f"{header}\nCORN,HZ,-20,-1,HKNUZ,10\n", encoding="utf-8")
    with resource.yield_for_execution(dg.build_init_resource_context()) as desk:
        assert desk.instrument("CORN").roll_rule == RollRule("HZ", "HKNUZ", -20, -1, 10)


def test_a_universe_that_is_edited_while_dagster_runs_needs_a_reload_and_says_so(mixed: Desk) -> None:
    schedule = schedule_of(mixed, "prices_after_close_US")
    home = Home(
        mixed.home.path, mixed.settings.model_copy(update={"market": "ib_paper", "universe": ("CORN", "GOLD_micro", "US10")})
    )
    home.__dict__["clock"] = SimulatedClock(home.path / "clock.json")
    desk = Desk(home)
    with (
        instance_for(home.path) as instance,
        dg.build_schedule_context(instance, scheduled_execution_time=CLOSED_US, resources={"desk": desk}) as context,
    ):
        data = schedule.evaluate_tick(context)
    assert not data.run_requests and "changed since Dagster was started (EUROSTX, GOLD_micro): reload" in (
        data.skip_message or ""
    )
    assert desk.alerts.read()[-1]["subject"] == "the universe has changed"
    assert len(tick(desk, "prices_after_close_US").run_requests or []) == 1, "definitions made anew fit"


def test_the_whole_universe_is_still_one_run_when_regions_are_mixed(mixed: Desk) -> None:
    assert universe_of(mixed.home) == ["CORN", "US10", CODE]
    execute_job(mixed, "prices")
    assert mixed.store.names("adjusted_prices") == sorted(mixed.universe)


def test_positions_are_not_computed_after_the_prices_of_a_region(mixed: Desk) -> None:
    desk = real_time(mixed)
    execute_job(mixed, "prices")
    sensor = next(sensor for sensor in orders_definitions().sensors or [] if sensor.name == "prices_then_portfolio")
    with instance_for(mixed.home.path) as instance:
        run = instance.get_runs()[0]
        ended = next(
            log.dagster_event for log in instance.all_logs(run.run_id) if log.dagster_event and log.dagster_event.is_job_success
        )
        asked = {}
        for region in ("", "US"):
            of = run.with_tags({**run.tags, REGION_TAG: region} if region else run.tags)
            with dg.build_run_status_sensor_context(sensor.name, ended, instance, of, resources={"desk": desk}) as context:
                asked[region] = sensor(context)
    assert isinstance(asked[""], dg.RunRequest)
    assert isinstance(asked["US"], dg.SkipReason) and "prices of US" in (asked["US"].skip_message or "")


def test_a_contract_with_missing_days_is_named_with_them(mixed: Desk) -> None:
    backfill(mixed, mixed.universe)
    assert gaps(mixed).passed
    with mixed.ledger.read() as view:
        roll = current_roll(view, CODE)
    assert roll is not None
    bars = mixed.store.read("contract_prices", CODE)
    priced, ends = bars["contract"] == roll.price_contract, bars["end"]
    days = pd.bdate_range("2023-12-04", periods=MAX_MISSING_DAYS + 1)
    for n_missing, passed in ((MAX_MISSING_DAYS, True), (MAX_MISSING_DAYS + 1, False)):
        hole = priced & ends.dt.tz_localize(None).dt.normalize().isin(days[:n_missing])
        mixed.store.write("contract_prices", CODE, bars[~hole])
        result = gaps(mixed)
        assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    shown = result.metadata["gaps"]
    assert isinstance(shown, dg.TableMetadataValue)
    (row,) = [record.data for record in shown.records]
    assert (row["instrument"], row["missing"]) == (CODE, MAX_MISSING_DAYS + 1)
    assert str(row["days"]).split(", ") == [f"{day:%m-%d}" for day in days]


def test_a_priced_contract_past_its_expiry_is_an_error(mixed: Desk) -> None:
    backfill(mixed, mixed.universe)
    assert expired_key_contracts(mixed).passed
    with mixed.ledger.read() as view:
        rolls = current_rolls(view)
        expiries = {code: contracts_of(view, code)["expiry"] for code in rolls}
    first = {code: expiries[code][roll.price_contract] for code, roll in rolls.items()}
    assert isinstance(mixed.clock, SimulatedClock)
    mixed.clock.advance_to(datetime.combine(min(first.values()) + timedelta(days=1), time(12), UTC))
    result = expired_key_contracts(mixed)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    shown = result.metadata["expired"]
    assert isinstance(shown, dg.TableMetadataValue)
    priced = {record.data["instrument"] for record in shown.records if record.data["role"] == "priced"}
    assert priced == {code for code, expiry in first.items() if expiry == min(first.values())}


def test_an_expired_carry_contract_alone_only_warns(mixed: Desk) -> None:
    backfill(mixed, mixed.universe)
    now = mixed.now()
    with mixed.ledger.begin() as tx:
        roll = current_roll(tx, "CORN")
        assert roll is not None
        past = replace(roll, after=now, carry_contract=20230900, reason="person")
        append_roll_events(tx, [past], now, who="me", why="a carry contract that is gone")
    result = expired_key_contracts(mixed)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    shown = result.metadata["expired"]
    assert isinstance(shown, dg.TableMetadataValue)
    assert [(record.data["role"], record.data["instrument"]) for record in shown.records] == [("carry", "CORN")]


def test_spreads_of_open_markets_are_shown_with_those_left_out(trading_desk: Desk) -> None:
    desk = trading_desk
    assert isinstance(desk.clock, SimulatedClock)
    desk.clock.advance_to(datetime(2024, 1, 8, 16, tzinfo=UTC))
    with instance_for(desk.home.path) as instance:
        result = assemble(desk.home, desk).resolve_job_def("sample_spreads").execute_in_process(instance=instance)
    (made,) = result.get_asset_materialization_events()
    metadata = made.materialization.metadata
    shown = metadata["spreads"]
    assert made.asset_key == dg.AssetKey("spreads") and isinstance(shown, dg.TableMetadataValue)
    assert [record.data["instrument"] for record in shown.records] == desk.universe
    assert metadata["n_sampled"].value == len(desk.store.names("spreads")) > 0
    for record in shown.records:
        assert (record.data["spread"] is None) == bool(record.data["reason"])


def test_spreads_are_sampled_every_hour_where_time_is_real_and_nowhere_else(mixed: Desk) -> None:
    assert schedule_of(mixed, "hourly_spreads").default_status == dg.DefaultScheduleStatus.STOPPED
    desk = real_time(mixed)
    schedule = schedule_of(desk, "hourly_spreads")
    assert (schedule.cron_schedule, schedule.default_status) == ("0 * * * *", dg.DefaultScheduleStatus.RUNNING)
    assert len(tick(desk, "hourly_spreads").run_requests or []) == 1
    assert "moves only by command" in (tick(mixed, "hourly_spreads").skip_message or "")
