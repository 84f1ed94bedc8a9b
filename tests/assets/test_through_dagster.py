"""Business days and price runs through Dagster, in-process, on small homes."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster import DagsterInstance
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from tests.assets.conftest import THREE, with_broken
from tests.conftest import make_home
from tradeflow_assets.assembly import assemble
from tradeflow_assets.instance import instance_for
from tradeflow_assets.runner import backfill, execute_job
from tradeflow_core import business_day as day
from tradeflow_core.business_day import JOBS, run_day
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.ledger import active_stop, locked_instruments, recorded_steps, step_done, stop_trading
from tradeflow_core.prices import STAGES
from tradeflow_core.reports import check_desk, fills_of_day

BROKEN, GOOD = "GOLD_micro", "CORN"


def materialized(instance: DagsterInstance, asset: str) -> int:
    """How often an asset was materialized."""
    return len(instance.fetch_materializations(dg.AssetKey(asset), limit=1000).records)


def partitions_of(instance: DagsterInstance, asset: str) -> set[str]:
    return instance.get_materialized_partitions(dg.AssetKey(asset))


def failed_partitions(instance: DagsterInstance, asset: str) -> set[str]:
    """Partitions that the UI shows as failed: planned by a failed run and not made by it or later."""
    partitions = dg.StaticPartitionsDefinition(list(THREE))
    value = get_and_update_asset_status_cache_value(instance, dg.AssetKey(asset), partitions)
    assert value is not None
    return set(value.deserialize_failed_partition_subsets(partitions).get_partition_keys())


def files_of(desk: Desk) -> dict[str, bytes]:
    """The price files of a home with their content."""
    root = desk.home.path / "data"
    return {
        str(file.relative_to(root)): file.read_bytes()
        for dataset in STAGES[1:]
        for file in sorted((root / dataset).glob("*.parquet"))
    }


def test_a_whole_day_through_dagster_and_again_changes_nothing(tmp_path: Path) -> None:
    desk = Desk(make_home(tmp_path / "home", simulated={"history_years": 1}))
    today = desk.business_day()
    done: list[tuple[str, bool]] = []
    run_day(desk, today, execute_job, on_job=lambda job: done.append((job.job, job.ran)))
    assert done == [(job, True) for job in JOBS]
    assert check_desk(desk) == []
    with instance_for(desk.home.path) as instance:
        for asset in ("spot_fx", "account_values", "total_capital", "strategy_capital", "backtest", "optimal_positions"):
            assert materialized(instance, asset) == 1, asset
        for asset in ("instrument_orders", "trades", "positions", "roll_status", "daily_report", "desk"):
            assert materialized(instance, asset) == 1, asset
        for stage in STAGES:
            assert partitions_of(instance, stage) == set(desk.universe)
        runs = instance.get_runs()
        assert len(runs) == len(JOBS) and all(run.is_success and run.tags["day"] == today.isoformat() for run in runs)
    with desk.ledger.read() as view:
        before = recorded_steps(view)
    files = files_of(desk)
    done.clear()
    run_day(desk, today, execute_job, on_job=lambda job: done.append((job.job, job.ran)))
    assert done == [(job, False) for job in JOBS]
    with desk.ledger.read() as view:
        pd.testing.assert_frame_equal(before, recorded_steps(view))
    assert files_of(desk) == files
    desk.close()


@pytest.mark.slow
def test_the_same_day_with_and_without_dagster_makes_the_same_trades(tmp_path: Path) -> None:
    held = []
    for name, execute in (("with", execute_job), ("without", day.run_job)):
        desk = Desk(make_home(tmp_path / name, universe=THREE, simulated={"history_years": 1}))
        run_day(desk, desk.business_day(), execute)
        held.append(fills_of_day(desk, desk.business_day()))
        desk.close()
    assert len(held[0])
    pd.testing.assert_frame_equal(held[0], held[1])


def test_one_broken_instrument_fails_alone(three: Desk) -> None:
    execute_job(three, "rolls")
    execute_job(three, "prices")
    desk = with_broken(three, BROKEN)
    before = files_of(desk)
    outcome = backfill(desk, [BROKEN, GOOD], full_refresh=True)
    assert outcome[GOOD] == "ok"
    assert BROKEN in outcome[BROKEN]
    with desk.ledger.read() as view:
        assert set(locked_instruments(view)) == {BROKEN}
    after = files_of(desk)
    assert set(after) == set(before)
    changed = {name for name in after if after[name] != before[name]}
    assert all(name.endswith(f"/{GOOD}.parquet") for name in changed)
    with instance_for(desk.home.path) as instance:
        assert partitions_of(instance, "adjusted_prices") == set(THREE), "what was made before stays made"
        assert failed_partitions(instance, "adjusted_prices") == {BROKEN}
        assert instance.get_runs(limit=1)[0].status == dg.DagsterRunStatus.FAILURE
        assert materialized(instance, "adjusted_prices") == len(THREE) + 1, "the good one was made again"
    desk.close()


def test_a_backfill_of_two_ends_of_the_universe_is_one_run_and_leaves_the_rest_alone(three: Desk) -> None:
    assert backfill(three, ["US10", "CORN"]) == {"US10": "ok", "CORN": "ok"}
    with instance_for(three.home.path) as instance:
        assert instance.get_runs_count() == 1
        assert partitions_of(instance, "adjusted_prices") == {"US10", "CORN"}
    assert three.store.names("adjusted_prices") == ["CORN", "US10"]
    with three.ledger.read() as view:
        assert not step_done(view, three.business_day(), "prices"), "a run over some instruments is not the step of the day"


def test_a_backfill_of_an_unknown_instrument_says_so(three: Desk) -> None:
    with pytest.raises(ConfigError, match="NOPE"):
        backfill(three, ["NOPE"])


def test_a_day_goes_on_when_one_instrument_has_bad_prices(three: Desk) -> None:
    desk = with_broken(three, BROKEN)
    run_day(desk, desk.business_day(), execute_job)
    with desk.ledger.read() as view:
        assert set(locked_instruments(view)) == {BROKEN}
    assert any(BROKEN in alert["subject"] for alert in desk.alerts.read())
    with instance_for(desk.home.path) as instance:
        checks = {
            key.name: instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
            for key in assemble(desk.home, desk).resolve_asset_graph().asset_check_keys
        }
    assert {name for name, record in checks.items() if record.status.value == "FAILED"} == {
        "no_prices_refused",
        "prices_are_fresh",
    }
    assert all(record.status.value in ("FAILED", "SUCCEEDED") for record in checks.values())
    desk.close()


def test_a_failed_job_tells_the_errors_own_words_and_goes_on_where_it_stood(three: Desk) -> None:
    execute_job(three, "prices")
    with three.ledger.begin() as tx:
        stop_trading(tx, three.now(), "me", why="holiday")
    with pytest.raises(StateError, match=r"^portfolio: trading is stopped since .* by me \(holiday\)"):
        execute_job(three, "portfolio")
    with instance_for(three.home.path) as instance:
        stopped = assemble(three.home, three).resolve_job_def("resume_trading")
        result = stopped.execute_in_process(
            run_config={"ops": {"lift_trading_stop": {"config": {"who": "me"}}}}, instance=instance
        )
        assert result.success
    with three.ledger.read() as view:
        assert active_stop(view) is None
    execute_job(three, "portfolio")
    with instance_for(three.home.path) as instance:
        assert materialized(instance, "instrument_orders") == 1
        assert materialized(instance, "spot_fx") == 1, "a step that is done is not done again"


def test_trading_can_be_stopped_from_the_ui(three: Desk, instance: DagsterInstance) -> None:
    job = assemble(three.home, three).resolve_job_def("stop_trading")
    job.execute_in_process(run_config={"ops": {"record_stop": {"config": {"who": "me", "why": "enough"}}}}, instance=instance)
    with three.ledger.read() as view:
        stop = active_stop(view)
    assert stop is not None and (stop.who, stop.why) == ("me", "enough")
    with pytest.raises(StateError, match="enough"):
        run_day(three, three.business_day(), execute_job)
