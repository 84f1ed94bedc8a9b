"""Orders and positions mended by a person in the Dagster UI: shown before and after, refused with the reason, recorded with who and why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterInstance

from tests.assets.test_controls_by_hand import reason_of, shown
from tests.mending.books import STRATEGY, contract_of, give_to, held, owners, references, rows, trade_unseen, with_settings
from tradeflow_assets.assembly import assemble
from tradeflow_assets.instance import instance_for
from tradeflow_core.desk import Desk
from tradeflow_core.execution import StackHandler, position_breaks
from tradeflow_core.home import Home
from tradeflow_core.ledger import fills, ledger_problems, open_instrument_orders
from tradeflow_core.ledger.schema import broker_orders, order_events
from tradeflow_core.model import OUTSIDE

OPS = {
    "cancel_order": "cancel_one_order",
    "retry_order": "retry_one_order",
    "manual_order": "make_order",
    "balance_trade": "book_trade",
    "book_fill": "book_unreported",
    "correct_execution": "put_right",
    "transfer_position": "move_position",
    "assign_position": "assign_outside",
    "adopt_positions": "take_over",
    "reconcile": "compare_positions",
}


@pytest.fixture
def traded(day_done: Path, tmp_path: Path) -> Iterator[Desk]:
    """A desk that has traded its first Monday; its ledger is sound in the end."""
    shutil.copytree(day_done, tmp_path / "home")
    desk = Desk(Home.open(tmp_path / "home"))
    yield desk
    with desk.ledger.read() as view:
        assert ledger_problems(view) == []
    desk.close()


@pytest.fixture
def instance(traded: Desk) -> Iterator[DagsterInstance]:
    with instance_for(traded.home.path) as opened:
        yield opened


def run(desk: Desk, instance: DagsterInstance, job: str, **config: Any) -> dg.ExecuteInProcessResult:
    """Run a job with what a person enters in the launchpad."""
    entered = config if job == "reconcile" else {"why": "I looked", "who": "ann", **config}
    return (
        assemble(desk.home, desk)
        .resolve_job_def(job)
        .execute_in_process(run_config={"ops": {OPS[job]: {"config": entered}}}, instance=instance, raise_on_error=False)
    )


def table_rows(value: Any) -> list[dict[str, Any]]:
    return [record.data for record in value.records]


def test_an_order_is_made_and_cancelled(traded: Desk, instance: DagsterInstance) -> None:
    tried = shown(run(traded, instance, "manual_order", strategy=STRATEGY, instrument="US10", quantity=2, dry_run=True))
    assert tried["about"] == "order of trend_carry for 2024-01-09: US10 +2" and not tried["done"]
    made = shown(run(traded, instance, "manual_order", strategy=STRATEGY, instrument="US10", quantity=2))
    with traded.ledger.read() as view:
        (order,) = open_instrument_orders(view, traded.account)
    assert (made["number"], order.quantity, order.who, order.why) == (str(order.id), 2, "ann", "I looked")
    done = shown(run(traded, instance, "cancel_order", order=order.id))
    assert done["done"] and "nothing of it is at work" in done["notes"]
    assert rows(traded, order_events)[-1]["who"] == "ann"
    assert f"order {order.id} is cancelled" in reason_of(run(traded, instance, "cancel_order", order=order.id))


def test_an_order_names_its_contracts_and_its_price(traded: Desk, instance: DagsterInstance) -> None:
    of = {"strategy": STRATEGY, "instrument": "CORN", "limit": 1.5, "dry_run": True}
    single = shown(run(traded, instance, "manual_order", quantity=1, contract="202403", **of))
    assert single["about"].endswith("CORN +1 of 2024-03 at 1.5 or better")
    spread = shown(run(traded, instance, "manual_order", quantity=0, spread="202403:-1,202405:1", **of))
    assert "CORN -1 of 2024-03 +1 of 2024-05" in spread["about"]


def test_a_rejected_order_is_tried_again(traded: Desk, instance: DagsterInstance) -> None:
    shown(run(traded, instance, "manual_order", strategy=STRATEGY, instrument="US10", quantity=2))
    refusing = Desk(Home.open(with_settings(traded.home.path, "[simulated.faults]\nrejected_orders = 1")))
    with traded.ledger.read() as view:
        (order,) = open_instrument_orders(view, traded.account)
    assert "was rejected" in reason_of(run(refusing, instance, "retry_order", order=order.id))
    refusing.clock.wait(14 * 3600)
    refusing.broker.connect(9)
    StackHandler(refusing).step()
    assert "rejected 1 times" in shown(run(refusing, instance, "retry_order", order=order.id))["about"]
    StackHandler(refusing).step()
    refusing.close()
    assert [row["instrument"] for row in rows(traded, broker_orders)].count("US10") == 2


def test_trades_and_fills_are_booked_corrected_and_voided(traded: Desk, instance: DagsterInstance) -> None:
    before = held(traded)
    trade_unseen(traded, -3)
    of = {"instrument": "CORN", "contract": str(contract_of(traded)), "strategy": STRATEGY, "price": 551.25}
    booked = shown(run(traded, instance, "balance_trade", quantity=2, time="2024-01-08T12:00", commission="2.92", **of))
    changes = {row["of"]: (row["before"], row["after"], row["at_the_broker"]) for row in table_rows(booked["positions"])}
    assert changes == {STRATEGY: (before - 3, before - 1, None), "2024-12": (before - 3, before - 1, before)}
    corrected = shown(run(traded, instance, "correct_execution", exec_id=booked["number"], quantity=3, price=552.0))
    assert held(traded) == before and position_breaks(traded) == []
    shown(run(traded, instance, "correct_execution", exec_id=corrected["number"], quantity=0, force=True))
    assert held(traded) == before - 3
    filled = shown(run(traded, instance, "balance_trade", quantity=3, **of))
    assert "positions agree" in reason_of(run(traded, instance, "balance_trade", quantity=1, **of))
    reference = references(traded)[0]
    refused = run(traded, instance, "book_fill", reference=reference, quantity=-1, price=552.0)
    assert "positions agree" in reason_of(refused)
    forced = shown(run(traded, instance, "book_fill", reference=reference, quantity=-1, price=552.0, exec_id="x1", force=True))
    assert forced["number"] == "x1" and held(traded) == before - 1
    assert {row["who"] for row in rows(traded, fills)} == {"broker", "x", "ann"} and filled["done"]


def test_positions_are_transferred_assigned_and_taken_over(traded: Desk, instance: DagsterInstance) -> None:
    before = held(traded)
    give_to(traded, "old", before)
    shown(run(traded, instance, "transfer_position", instrument="CORN", quantity=before, giver="old", taker=STRATEGY))
    assert owners(traded) == {STRATEGY: before}
    give_to(traded, OUTSIDE, -1)
    assert shown(run(traded, instance, "assign_position", instrument="CORN", strategy=STRATEGY, price=400.0))["done"]
    assert owners(traded) == {STRATEGY: before}
    trade_unseen(traded, 4)
    broken = run(traded, instance, "reconcile")
    assert f"CORN: 2024-12 is {before + 4} here and {before} at the broker (tradeflow positions adopt CORN" in reason_of(broken)
    looked = shown(run(traded, instance, "adopt_positions"))
    assert not looked["done"] and held(traded) == before + 4
    assert shown(run(traded, instance, "adopt_positions", strategy=STRATEGY, dry_run=False))["done"]
    assert owners(traded) == {STRATEGY: before}
    found = shown(run(traded, instance, "reconcile"))
    assert found["breaks"] == 0


@pytest.mark.parametrize(
    ("job", "config", "message"),
    [
        ("cancel_order", {"order": 999}, "there is no order 999"),
        ("retry_order", {"order": 1}, "was rejected"),
        ("manual_order", {"strategy": STRATEGY, "instrument": "CORN", "quantity": 0}, "0 contracts"),
        ("manual_order", {"strategy": STRATEGY, "instrument": "CORN", "quantity": 1, "contract": "x"}, "x"),
        ("manual_order", {"strategy": STRATEGY, "instrument": "CORN", "quantity": 1, "why": " "}, "give the reason"),
        ("book_fill", {"reference": "tf-none", "quantity": 1, "price": 1.0}, "no order was sent with the reference"),
        ("correct_execution", {"exec_id": "none", "price": 1.0}, "is not booked"),
        ("correct_execution", {"exec_id": "none"}, "say what is right"),
        ("transfer_position", {"instrument": "CORN", "quantity": 1, "giver": "old", "taker": STRATEGY}, "old holds 0 CORN"),
        ("assign_position", {"instrument": "CORN", "strategy": STRATEGY}, "nothing of CORN waits"),
        ("adopt_positions", {"instrument": "CORNE"}, "unknown instrument 'CORNE'"),
    ],
)
def test_a_mistake_fails_the_run_with_a_hint_and_changes_nothing(
    traded: Desk, instance: DagsterInstance, job: str, config: dict[str, Any], message: str
) -> None:
    before = owners(traded), len(rows(traded, order_events)), len(rows(traded, fills))
    assert message in reason_of(run(traded, instance, job, **config))
    assert before == (owners(traded), len(rows(traded, order_events)), len(rows(traded, fills)))
