"""The asset graph reads as the business day, and loads with or without a home."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from tests.assets.conftest import THREE
from tests.conftest import REPO
from tradeflow_assets.assembly import assemble
from tradeflow_assets.instance import INSTANCE_SETTINGS, write_dagster_home
from tradeflow_assets.resources import DeskResource, home_for_definitions
from tradeflow_core.business_day import JOBS
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError
from tradeflow_core.home import SETTINGS_FILE, Home

GRAPH = {
    "desk": ("desk", set()),
    "roll_status": ("rolls", set()),
    "sampled_contracts": ("prices", {"roll_status"}),
    "contract_prices": ("prices", {"sampled_contracts"}),
    "multiple_prices": ("prices", {"contract_prices"}),
    "adjusted_prices": ("prices", {"multiple_prices"}),
    "spreads": ("prices", set()),
    "spot_fx": ("fx", set()),
    "account_values": ("capital", {"spot_fx"}),
    "total_capital": ("capital", {"account_values"}),
    "strategy_capital": ("capital", {"total_capital"}),
    "backtest": ("strategy", {"adjusted_prices", "spot_fx", "strategy_capital"}),
    "optimal_positions": ("strategy", {"backtest"}),
    "instrument_orders": ("orders", {"optimal_positions"}),
    "trades": ("execution", {"instrument_orders"}),
    "positions": ("execution", {"trades"}),
    "daily_report": ("reports", {"trades", "positions"}),
}


@pytest.fixture
def definitions(three: Desk) -> dg.Definitions:
    return assemble(three.home, DeskResource(home=str(three.home.path)))


def test_the_asset_graph_is_the_business_day(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    found = {
        key.to_user_string(): (graph.get(key).group_name, {parent.to_user_string() for parent in graph.get(key).parent_keys})
        for key in graph.get_all_asset_keys()
    }
    assert found == GRAPH


def test_every_asset_explains_itself_to_a_newcomer(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        description = graph.get(key).description or ""
        assert description.lstrip().startswith("**") and len(description) > 60, key


def test_jobs_are_those_of_the_business_day_and_a_few_for_people(definitions: dg.Definitions) -> None:
    names = {job.name for job in definitions.resolve_all_job_defs()} - {"__ASSET_JOB"}
    assert names == set(JOBS) | {
        "stop_trading",
        "resume_trading",
        "prune",
        "backup",
        "set_roll_state",
        "preview_roll",
        "roll_by_rules",
        "sample_spreads",
        "set_lock",
        "set_override",
        "set_limit",
        "judge_account_value",
        "record_flow",
        "correct_capital_event",
        "set_capital",
        "cancel_order",
        "retry_order",
        "manual_order",
        "balance_trade",
        "book_fill",
        "correct_execution",
        "transfer_position",
        "assign_position",
        "adopt_positions",
        "reconcile",
    }


def test_only_the_price_chain_is_cut_and_by_the_homes_universe(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    cut = {
        key.to_user_string(): graph.get(key).partitions_def for key in graph.get_all_asset_keys() if graph.get(key).is_partitioned
    }
    assert set(cut) == {"sampled_contracts", "contract_prices", "multiple_prices", "adjusted_prices"}
    for partitions in cut.values():
        assert partitions is not None and tuple(partitions.get_partition_keys()) == THREE


def test_definitions_load_before_a_home_is_made_and_say_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEFLOW_HOME", str(tmp_path / "none"))
    definitions = assemble(home_for_definitions(), DeskResource())
    dg.Definitions.validate_loadable(definitions)
    description = definitions.resolve_asset_graph().get(dg.AssetKey("desk")).description or ""
    assert "tradeflow init" in description
    assert not (tmp_path / "none").exists()


def test_a_home_with_a_wrong_setting_is_named_when_dagster_loads_it(three: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    file = three.home.path / SETTINGS_FILE
    file.write_text('acount = "X"\n' + file.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setenv("TRADEFLOW_HOME", str(three.home.path))
    with pytest.raises(ConfigError, match="acount"):
        home_for_definitions()


def test_the_handler_starts_by_itself_everywhere_but_in_a_live_home(three: Desk) -> None:
    expected = {
        "simulated": dg.DefaultSensorStatus.RUNNING,
        "ib_paper": dg.DefaultSensorStatus.RUNNING,
        "ib_live": dg.DefaultSensorStatus.STOPPED,
    }
    for market, status in expected.items():
        home = Home(three.home.path, three.settings.model_copy(update={"market": market}))
        sensors = {sensor.name: sensor.default_status for sensor in assemble(home, DeskResource()).sensors or []}
        assert sensors["orders_then_stack_handler"] == sensors["stack_handler_watchdog"] == status
        assert sensors["alert_on_failure"] == dg.DefaultSensorStatus.RUNNING


def test_both_dagster_settings_name_the_same_storage_for_the_default_home(three: Desk) -> None:
    in_repository = (REPO / "dagster.yaml").read_text(encoding="utf-8").splitlines()[1:]
    of_home = (write_dagster_home(three.home) / "dagster.yaml").read_text(encoding="utf-8").splitlines()[1:]
    moved = [line.replace(str(three.home.path / "dagster"), "var/dagster") for line in of_home]
    assert moved == in_repository == INSTANCE_SETTINGS.format(where="", base="var/dagster").splitlines()[1:]
