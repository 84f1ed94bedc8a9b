"""Rolls decided by a person in the Dagster UI: shown before, refused where not allowed, visible in the graph afterwards."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from dagster import DagsterInstance

from tests.assets.conftest import THREE
from tradeflow_assets.assembly import assemble
from tradeflow_assets.instance import instance_for
from tradeflow_assets.runner import backfill
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import contract_facts, current_roll, positions_by_contract, roll_events_of, roll_state
from tradeflow_core.model import contract_label

CODE = "CORN"
TABLES = ("multiple_before", "multiple_after", "adjusted_before", "adjusted_after")


@pytest.fixture
def priced(three: Desk) -> Desk:
    """The desk of three instruments with prices."""
    backfill(three, list(THREE))
    return three


def run(desk: Desk, instance: DagsterInstance, job: str, *, op: str, **config: Any) -> dg.ExecuteInProcessResult:
    return (
        assemble(desk.home, desk)
        .resolve_job_def(job)
        .execute_in_process(run_config={"ops": {op: {"config": config}}}, instance=instance, raise_on_error=False)
    )


def put(desk: Desk, instance: DagsterInstance, state: str, *, code: str = CODE, **more: Any) -> dg.ExecuteInProcessResult:
    """Run the job that a person uses to put an instrument into a roll state."""
    return run(desk, instance, "set_roll_state", op="enter_roll_state", instrument=code, state=state, why="said so", **more)


def records_of(table: object) -> list[dict[str, Any]]:
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def reason_of(result: dg.ExecuteInProcessResult) -> str:
    (failed,) = result.filter_events(lambda event: event.is_step_failure)
    return failed.step_failure_data.error_display_string


def contract_and_state(desk: Desk) -> tuple[int, str]:
    with desk.ledger.read() as view:
        roll = current_roll(view, CODE)
        assert roll is not None
        return roll.price_contract, roll_state(view, CODE)


def test_a_preview_shows_the_roll_and_changes_nothing(priced: Desk, instance: DagsterInstance) -> None:
    before = contract_and_state(priced)
    result = run(priced, instance, "preview_roll", op="show_roll", instrument=CODE)
    assert result.success and contract_and_state(priced) == before
    assert not instance.fetch_materializations(dg.AssetKey("roll_status"), limit=1).records, "nothing was made"
    (seen,) = instance.fetch_observations(dg.AssetKey("roll_status"), limit=10).records
    assert seen.asset_observation is not None
    metadata = seen.asset_observation.metadata
    assert all(len(records_of(metadata[name])) == 6 for name in TABLES)
    assert records_of(metadata["multiple_before"]) != records_of(metadata["multiple_after"])


def test_a_roll_by_hand_makes_the_forward_contract_the_priced_one_and_the_graph_shows_it(
    priced: Desk, instance: DagsterInstance
) -> None:
    with priced.ledger.read() as view:
        old = current_roll(view, CODE)
    assert old is not None
    assert put(priced, instance, "No_Open").success
    result = put(priced, instance, "roll_adjusted", who="me")
    assert result.success
    assert contract_and_state(priced) == (old.forward_contract, "No_Roll")
    shown = next(m for m in result.get_asset_materialization_events() if m.asset_key == dg.AssetKey("roll_status"))
    assert shown.partition is None
    metadata = shown.materialization.metadata
    assert (metadata["state_before"].value, metadata["state_after"].value, metadata["who"].value) == ("No_Open", "No_Roll", "me")
    assert metadata["price_after_roll"].value == contract_label(old.forward_contract)
    assert len(records_of(metadata["rolls"])) == len(THREE), "the other instruments are still in the table"
    stored = priced.store.read("adjusted_prices", CODE)["price"].tail(6)
    assert [record["price"] for record in records_of(metadata["adjusted_after"])] == pytest.approx(stored.tolist(), rel=1e-5)
    rebuilt = {(m.materialization.asset_key.to_user_string(), m.partition) for m in result.get_asset_materialization_events()}
    assert {("multiple_prices", CODE), ("adjusted_prices", CODE)} <= rebuilt


def test_a_dry_run_says_what_a_roll_would_do_and_leaves_everything(priced: Desk, instance: DagsterInstance) -> None:
    put(priced, instance, "No_Open")
    before, prices = contract_and_state(priced), priced.store.read("adjusted_prices", CODE)
    result = put(priced, instance, "Roll_Adjusted", dry_run=True)
    assert result.success and contract_and_state(priced) == before
    assert priced.store.read("adjusted_prices", CODE).equals(prices)
    assert not result.get_asset_materialization_events()
    (seen,) = instance.fetch_observations(dg.AssetKey("roll_status"), limit=10).records
    assert seen.asset_observation is not None and set(TABLES) <= set(seen.asset_observation.metadata)


def test_the_rules_say_what_they_would_do_and_then_do_it(priced: Desk, instance: DagsterInstance) -> None:
    desk = priced
    with desk.ledger.read() as view:
        expiry = contract_facts(view, CODE)[contract_and_state(desk)[0]][0]
    desk.clock.wait(((expiry - desk.today()).days - 5) * 86400)
    backfill(desk, [CODE])
    before = contract_and_state(desk)
    said = run(desk, instance, "roll_by_rules", op="apply_roll_rules", instruments=[CODE], dry_run=True)
    assert said.success and contract_and_state(desk) == before
    (seen,) = instance.fetch_observations(dg.AssetKey("roll_status"), limit=10).records
    assert seen.asset_observation is not None
    (row,) = records_of(seen.asset_observation.metadata["rolls"])
    assert row["decision"] == "suggested: Roll_Adjusted"
    done = run(desk, instance, "roll_by_rules", op="apply_roll_rules", instruments=[CODE], who="me")
    assert done.success and contract_and_state(desk)[0] > before[0]
    rebuilt = {(m.materialization.asset_key.to_user_string(), m.partition) for m in done.get_asset_materialization_events()}
    assert rebuilt == {("roll_status", None), ("multiple_prices", CODE), ("adjusted_prices", CODE)}
    with desk.ledger.read() as view:
        assert roll_events_of(view, CODE)["reason"].iloc[-1] == "auto"
    assert "unknown instrument 'CRON'" in reason_of(
        run(desk, instance, "roll_by_rules", op="apply_roll_rules", instruments=["CRON"])
    )


def test_a_change_that_is_not_allowed_is_refused_with_what_is(trading_desk: Desk) -> None:
    before = contract_and_state(trading_desk)
    with trading_desk.ledger.read() as view:
        assert not positions_by_contract(view, trading_desk.account).get((CODE, before[0]))
    with instance_for(trading_desk.home.path) as instance:
        result = put(trading_desk, instance, "Force")
    assert not result.success and contract_and_state(trading_desk) == before
    reason = reason_of(result)
    assert f"{CODE}: Force may not follow {before[1]} with nothing held" in reason
    assert "allowed are" in reason and "the forward contract becomes the priced one" in reason


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [("Sideways", CODE, "unknown roll state 'Sideways'"), ("Passive", "CORNN", "CORNN")],
    ids=["state", "instrument"],
)
def test_a_slip_of_the_pen_is_named(three: Desk, instance: DagsterInstance, state: str, *, code: str, words: str) -> None:
    assert words in reason_of(put(three, instance, state, code=code))
