"""What a person says about the account in the Dagster UI: shown with what it does to the capital, refused with the reason, recorded with who
and why. A jump of the account fails no run."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterInstance

from tests.assets.test_controls_by_hand import reason_of, shown
from tradeflow_assets.assembly import assemble
from tradeflow_assets.capital import WAITS
from tradeflow_core.capital import capital_now, update_total_capital
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import capital_events_of, record_account_value

OPS = {
    "judge_account_value": "judge_value",
    "record_flow": "say_flow",
    "correct_capital_event": "take_back",
    "set_capital": "say_capital",
}


def run(desk: Desk, instance: DagsterInstance, job: str, **config: Any) -> dg.ExecuteInProcessResult:
    """Run a job with what a person enters in the launchpad."""
    entered = {"why": "I looked", "who": "ann", **config}
    return (
        assemble(desk.home, desk)
        .resolve_job_def(job)
        .execute_in_process(run_config={"ops": {OPS[job]: {"config": entered}}}, instance=instance, raise_on_error=False)
    )


def report(desk: Desk, *values: float) -> None:
    """The broker reports account values, the last of them now."""
    for hours, value in zip(range(len(values) - 1, -1, -1), values, strict=True):
        figures: dict[str, Any] = {"net_liquidation": Decimal(value), "excess_liquidity": Decimal(value), "fx_to_base": 1.0}
        with desk.ledger.begin() as tx:
            record_account_value(tx, desk.account, desk.now() - timedelta(hours=hours), currency="USD", **figures)
    update_total_capital(desk)


def test_a_jump_is_accepted_and_that_is_taken_back(three: Desk, instance: DagsterInstance) -> None:
    report(three, 1_000_000, 1_300_000)
    tried = shown(run(three, instance, "judge_account_value", account_value="1300000", right=True, dry_run=True))
    assert (tried["capital_before"], tried["capital_after"], tried["done"]) == (1_000_000, 1_300_000, False)
    done = shown(run(three, instance, "judge_account_value", account_value="1300000", right=True))
    assert done == {**tried, "done": True, "events": "1"}
    with three.ledger.read() as view:
        (event,) = capital_events_of(view)
    assert (event.kind, event.who, event.why) == ("accept", "ann", "I looked")
    assert shown(run(three, instance, "correct_capital_event", event=1))["capital_after"] == 1_000_000
    assert capital_now(three).jump is not None


def test_a_value_is_refused_only_by_its_amount(three: Desk, instance: DagsterInstance) -> None:
    report(three, 1_000_000, 1_300_000)
    other = run(three, instance, "judge_account_value", account_value="1200000", right=False)
    assert "another account value waits: 1,300,000.00" in reason_of(other)
    shown(run(three, instance, "judge_account_value", account_value="1300000", right=False))
    assert (capital_now(three).state, capital_now(three).jump) == ("refused", None)


def test_a_withdrawal_is_recorded_with_the_capital_from_then_on_and_corrected(three: Desk, instance: DagsterInstance) -> None:
    report(three, 1_000_000, 390_000)
    assert "say what it is from now on" in reason_of(run(three, instance, "record_flow", amount="-600000"))
    done = shown(run(three, instance, "record_flow", amount="-600,000", total="390000"))
    assert (done["capital_after"], done["events"]) == (390_000, "1, 2")
    shown(run(three, instance, "correct_capital_event", event=1, amount="-605000"))
    assert capital_now(three).accumulated == -5_000


def test_the_capital_is_set(three: Desk, instance: DagsterInstance) -> None:
    report(three, 1_000_000)
    assert shown(run(three, instance, "set_capital", total="800000"))["capital_after"] == 800_000
    assert shown(run(three, instance, "set_capital"))["capital_after"] == 1_000_000
    assert "the capital would be 2,000,000" in reason_of(run(three, instance, "set_capital", total="2000000"))


@pytest.mark.parametrize(
    ("job", "config", "message"),
    [
        ("judge_account_value", {"account_value": "1300000", "right": True}, "nothing waits"),
        ("record_flow", {"amount": "1e400"}, "is no amount of money"),
        ("record_flow", {"amount": "-900000"}, "does not fit"),
        ("record_flow", {"amount": "5", "at": "monday"}, "is no day or time"),
        ("correct_capital_event", {"event": 7}, "there is no capital event 7"),
        ("set_capital", {"why": " "}, "give the reason"),
    ],
)
def test_a_mistake_fails_the_run_with_a_hint_and_records_nothing(
    three: Desk, instance: DagsterInstance, job: str, config: dict[str, Any], message: str
) -> None:
    report(three, 1_000_000, 1_010_000)
    assert message in reason_of(run(three, instance, job, **config))
    with three.ledger.read() as view:
        assert capital_events_of(view) == []


def test_a_jump_fails_no_run_and_is_a_warning_of_the_asset(three: Desk, instance: DagsterInstance) -> None:
    report(three, 500_000)
    three.clock.advance_to(three.now() + timedelta(hours=1))  # type: ignore[attr-defined]
    definitions = assemble(three.home, three)
    wanted = dg.AssetSelection.assets("account_values", "total_capital", "strategy_capital")
    job = dg.define_asset_job("wanted", selection=wanted).resolve(asset_graph=definitions.resolve_asset_graph())
    result = job.execute_in_process(resources={"desk": three}, instance=instance)
    (check,) = [each for each in result.get_asset_check_evaluations() if each.check_name == WAITS]
    assert result.success and not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    assert "500,000 when it counted last" in str(check.metadata["waits"].value)
    assert three.store.read("strategy_capital", "trend_carry")["capital"].iloc[-1] == 500_000
