"""One damaged file never stops the others: its instrument is locked, with reason and remedy, and the day goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.commands import answer, run
from tests.damage import WAYS
from tests.days import run_until
from tradeflow_assets.runner import execute_job
from tradeflow_core.business_day import run_day, step_done
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.store import Store

LOCKING = {
    "contract_prices/GOLD_micro": ("prices", "GOLD_micro"),
    "contract_prices/recent/GOLD_micro": ("prices", "GOLD_micro"),
    "spot_fx/EURUSD": ("rates", "EUROSTX"),
}
"""Files that only the world can tell again: who is locked, by which owner."""

MADE_ANEW = (
    *("multiple_prices/GOLD_micro", "adjusted_prices/GOLD_micro", "total_capital/total", "strategy_capital/trend_carry"),
    *("optimal_positions/trend_carry", "order_decisions/trend_carry", "history_changes/GOLD_micro"),
)
"""Files that the day makes anew or begins anew."""


@pytest.fixture(scope="module")
def two_days(day_done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that has prepared its second day up to the fills, with a file of every kind. To be copied, not changed."""
    home = tmp_path_factory.mktemp("two") / "home"
    shutil.copytree(day_done, home)
    assert run(home, "day", "--days", "1").exit_code == 0
    now = pd.Timestamp("2024-01-09", tz="UTC").as_unit("us")
    change = {"recorded_at": now, "changed": 1, "came_late": 0, "gone": 0, "first": now}
    Store(str(home / "data")).write("history_changes", "GOLD_micro", pd.DataFrame([change]))
    return home


@pytest.fixture
def home(two_days: Path, tmp_path: Path) -> Path:
    shutil.copytree(two_days, tmp_path / "home")
    return tmp_path / "home"


def file_of(home: Path, place: str) -> Path:
    file = home / "data" / f"{place}.parquet"
    assert file.exists()
    return file


def trades(home: Path) -> set[str]:
    """Instruments of which a decision was made on the newest day without a lock."""
    return {row["instrument"] for row in answer(home, "status")["positions"] if "locked" not in row["last_decision"]}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", [*LOCKING, *MADE_ANEW])
def test_a_damaged_file_is_named_and_nothing_that_only_looks_fails(home: Path, place: str, way: str) -> None:
    WAYS[way](file_of(home, place))
    problems = [problem for problem in answer_of_check(home) if f"{place}.parquet" in problem]
    assert len(problems) == 1
    assert "is not a readable Parquet file" in problems[0] and "; " in problems[0]
    for command in (
        ("status",),
        ("status", "GOLD_micro"),
        ("roll",),
        ("reconcile", "--dry-run"),
        ("capital",),
        ("prices", "repair", "--dry-run"),
    ):
        result = run(home, *command)
        assert result.exception is None or isinstance(result.exception, SystemExit), (command, result.exception)
        assert "Traceback" not in result.output
    assert run(home, "status").exit_code == 0


def answer_of_check(home: Path) -> list[str]:
    result = run(home, "check", "--json")
    problems: list[str] = json.loads(result.stdout)["problems"]
    assert result.exit_code == (1 if problems else 0)
    return problems


@pytest.mark.parametrize(
    ("place", "way"),
    [(place, way) for number, place in enumerate(LOCKING) for way in (list(WAYS)[number], list(WAYS)[number + 3])],
)
def test_an_instrument_whose_file_is_damaged_is_locked_and_the_others_trade(home: Path, place: str, way: str) -> None:
    owner, locked = LOCKING[place]
    WAYS[way](file_of(home, place))
    result = run(home, "day", "--days", "1")
    assert result.exit_code == 0, result.output
    status = answer(home, "status")
    assert list(status["locks"]) == [locked]
    assert status["locks"][locked].startswith(f"{owner}: ") and f"{place}.parquet is not a readable" in status["locks"][locked]
    assert trades(home) == {"CORN", "EUROSTX", "GOLD_micro", "US10"} - {locked}
    assert any(alert["subject"] == f"locked {locked}" for alert in answer(home, "alerts"))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", [*LOCKING, *MADE_ANEW])
def test_every_kind_of_damage_to_every_kind_of_file_leaves_the_day_going_on(home: Path, place: str, way: str) -> None:
    WAYS[way](file_of(home, place))
    result = run(home, "day", "--days", "1")
    assert result.exit_code == 0, result.output
    assert len(trades(home)) == (3 if place in LOCKING else 4)
    assert [problem for problem in answer_of_check(home) if place not in problem] == []
    assert run(home, "day", "--days", "1").exit_code == 0


@pytest.mark.parametrize("place", MADE_ANEW)
def test_what_is_made_from_something_else_is_made_anew_by_the_next_day(home: Path, place: str) -> None:
    file = file_of(home, place)
    WAYS["truncated"](file)
    (problem,) = answer_of_check(home)
    if "tradeflow day --days 1" not in problem:
        assert "tradeflow prices repair" in problem or "another" in problem
    assert run(home, "day", "--days", "1").exit_code == 0
    assert answer(home, "status")["locks"] == {}
    if not place.startswith("history_changes"):  # nothing of the past has changed, so nothing was added to it
        assert answer_of_check(home) == []


def test_the_rows_of_a_damaged_file_that_told_of_the_past_are_kept_aside(home: Path) -> None:
    file = file_of(home, "optimal_positions/trend_carry")
    WAYS["noise"](file)
    damaged = file.read_bytes()
    assert run(home, "day", "--days", "1").exit_code == 0
    (aside,) = file.parent.glob("*.damaged-*")
    assert aside.read_bytes() == damaged
    assert any(str(aside) in alert["message"] for alert in answer(home, "alerts"))


def test_optimal_positions_that_are_damaged_before_the_orders_are_made_again(home: Path) -> None:
    desk = Desk(Home.open(home))
    desk.clock.advance_to(desk.home.at(desk.today().replace(day=desk.today().day + 1), desk.settings.day.start))
    run_until(desk, "optimal_positions")
    WAYS["empty"](file_of(home, "optimal_positions/trend_carry"))
    run_until(desk, "instrument_orders")
    with desk.ledger.read() as view:
        assert step_done(view, desk.business_day(), "instrument_orders")
    desk.close()
    assert answer_of_check(home) == []


def test_a_roll_is_not_decided_from_damaged_bars(home: Path) -> None:
    WAYS["truncated"](file_of(home, "contract_prices/CORN"))
    rows = {row["instrument"]: row for row in answer(home, "roll")}
    assert "CORN.parquet is not a readable" in rows["CORN"]["note"] and not rows["GOLD_micro"]["note"]
    assert run(home, "roll", "auto", "--dry-run").exit_code in (0, 1)


def test_the_day_goes_on_through_dagster_too(home: Path) -> None:
    WAYS["truncated"](file_of(home, "contract_prices/GOLD_micro"))
    WAYS["empty"](file_of(home, "spot_fx/EURUSD"))
    desk = Desk(Home.open(home))
    desk.clock.advance_to(desk.home.at(desk.today().replace(day=desk.today().day + 1), desk.settings.day.start))
    run_day(desk, desk.business_day(), execute_job)
    assert desk.last_done_day() == desk.today()
    desk.close()
    assert set(answer(home, "status")["locks"]) == {"GOLD_micro", "EUROSTX"}
    assert trades(home) == {"CORN", "US10"}
