"""Locks, overrides and limits set by a person in the Dagster UI: in force at once, refused with the reason, recorded with who and why."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from dagster import DagsterInstance

from tradeflow_assets.assembly import assemble
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import (
    ANY,
    Control,
    control_history,
    lock_instrument,
    locked_instruments,
    override_for,
    position_limit,
    tradeable_now,
)

OPS = {"set_lock": "change_lock", "set_override": "change_override", "set_limit": "change_limit"}


def run(desk: Desk, instance: DagsterInstance, job: str, **config: Any) -> dg.ExecuteInProcessResult:
    """Run a job with what a person enters in the launchpad."""
    entered = {"why": "storm", "who": "ann", **config}
    return (
        assemble(desk.home, desk)
        .resolve_job_def(job)
        .execute_in_process(run_config={"ops": {OPS[job]: {"config": entered}}}, instance=instance, raise_on_error=False)
    )


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What the run kept of the change."""
    assert result.success
    (output,) = result.filter_events(lambda event: event.is_successful_output)
    return {name: value.value for name, value in output.step_output_data.metadata.items()}


def reason_of(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    (failed,) = result.filter_events(lambda event: event.is_step_failure)
    return failed.step_failure_data.error_display_string


def test_an_instrument_is_locked_and_unlocked(three: Desk, instance: DagsterInstance) -> None:
    locked = shown(run(three, instance, "set_lock", instrument="CORN"))
    assert (locked["before"], locked["after"], locked["done"], locked["who"]) == ("none", "person: storm", True, "ann")
    with three.ledger.read() as view:
        assert locked_instruments(view) == {"CORN": "person: storm"}
    assert shown(run(three, instance, "set_lock", instrument="CORN", locked=False, who="bob"))["after"] == "none"
    with three.ledger.read() as view:
        (row,) = control_history(view, Control.LOCK)
        assert (row["who"], row["ended_by"]) == ("ann", "bob")


def test_the_lock_of_a_check_is_lifted_by_naming_it(three: Desk, instance: DagsterInstance) -> None:
    with three.ledger.begin() as tx:
        lock_instrument(tx, "CORN", "prices", now=three.now(), why="spike")
        lock_instrument(tx, "CORN", "execution", now=three.now(), why="overfill")
    assert "locked by execution: overfill; prices: spike" in reason_of(
        run(three, instance, "set_lock", instrument="CORN", locked=False)
    )
    lifted = shown(run(three, instance, "set_lock", instrument="CORN", locked=False, owner="prices"))
    assert lifted["after"] == "execution: overfill" and "locks it again" in lifted["warnings"]
    assert shown(run(three, instance, "set_lock", instrument="CORN", locked=False, owner="all"))["after"] == "none"


def test_an_override_is_set_and_ended(three: Desk, instance: DagsterInstance) -> None:
    shown(run(three, instance, "set_override", strategy="trend_carry", override="0.5"))
    assert (
        shown(run(three, instance, "set_override", instrument="CORN", override="reduce_only"))["after"] == "reduce_only (storm)"
    )
    with three.ledger.read() as view:
        assert override_for(view, "trend_carry", "CORN").kind == "reduce_only"
    assert shown(run(three, instance, "set_override", instrument="CORN", override="none", why="calm"))["after"] == "none"
    with three.ledger.read() as view:
        assert override_for(view, "trend_carry", "CORN").fraction == 0.5
        assert control_history(view, Control.OVERRIDE, instrument="CORN")[-1]["ended_why"] == "calm"


def test_limits_of_positions_and_trades_are_set_and_ended(three: Desk, instance: DagsterInstance) -> None:
    shown(run(three, instance, "set_limit", instrument="CORN", contracts="5"))
    shown(run(three, instance, "set_limit", instrument="CORN", contracts="3", days=7))
    with three.ledger.read() as view:
        assert position_limit(view, ANY, "CORN") == 5
        assert tradeable_now(view, three.account, "trend_carry", instrument="CORN", now=three.now()) == 3
    for days in (0, 7):
        assert shown(run(three, instance, "set_limit", instrument="CORN", contracts="none", days=days))["done"]
    with three.ledger.read() as view:
        assert position_limit(view, ANY, "CORN") is None
        assert tradeable_now(view, three.account, "trend_carry", instrument="CORN", now=three.now()) is None


CHANGES = [
    ("set_lock", {"instrument": "CORN"}),
    ("set_override", {"override": "0.5"}),
    ("set_limit", {"instrument": "CORN", "contracts": "5"}),
]


@pytest.mark.parametrize(("job", "config"), CHANGES, ids=[job for job, _ in CHANGES])
def test_a_dry_run_shows_the_change_and_makes_none(
    three: Desk, instance: DagsterInstance, job: str, config: dict[str, Any]
) -> None:
    tried = shown(run(three, instance, job, **config, dry_run=True))
    assert tried["after"] != tried["before"] and not tried["done"]
    with three.ledger.read() as view:
        assert [control_history(view, control) for control in Control] == [[]] * len(Control)
    assert shown(run(three, instance, job, **config)) == {**tried, "done": True}


@pytest.mark.parametrize(
    ("job", "config", "message"),
    [
        ("set_lock", {"instrument": "CORNE"}, "unknown instrument 'CORNE' (nearest: CORN)"),
        ("set_lock", {"instrument": "CORN", "why": ""}, "give the reason"),
        ("set_override", {"override": "half"}, "write a fraction from 0 to 1"),
        ("set_override", {"override": "0.5", "strategy": "trend"}, "no strategy 'trend' in this home (nearest: trend_carry)"),
        ("set_limit", {"instrument": "CORN", "contracts": "few"}, "'few' is no limit"),
        ("set_limit", {"instrument": "CORN", "contracts": "5", "days": -1}, "1 or more days"),
    ],
)
def test_a_mistake_fails_the_run_with_a_hint_and_without_another_try(
    three: Desk, instance: DagsterInstance, job: str, config: dict[str, Any], message: str
) -> None:
    assert message in reason_of(run(three, instance, job, **config))
    with three.ledger.read() as view:
        assert [control_history(view, control) for control in Control] == [[]] * len(Control)
