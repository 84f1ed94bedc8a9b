"""A home whose strategy is optimised dynamically: from the night's run to orders, fills and the next day."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import insert

from tests.commands import answer, run, said
from tests.conftest import make_home
from tests.days import run_until
from tests.frames import table_of
from tradeflow_core import business_day as day
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.home import Home, next_business_day
from tradeflow_core.ledger import (
    ANY,
    add_instrument_order,
    instrument_orders,
    lock_instrument,
    positions_by_strategy,
    set_override,
    set_position_limit,
    unlock_instrument,
)
from tradeflow_core.ledger.schema import strategy_positions
from tradeflow_core.model import OrderType, Override, OverrideKind
from tradeflow_core.nightly import latest_optimal, open_run, production_data, run_strategy, save_run, store_optimal
from tradeflow_core.nightly.saved_runs import COVARIANCE
from tradeflow_core.orders import generate_orders, preview_orders
from tradeflow_core.reports import check_desk, positions_against_optimal
from tradeflow_core.strategy import load_strategy, packaged_strategies, run_backtest

EIGHT = ("CORN", "EUROSTX", "GOLD_micro", "JPY", "LEANHOG", "MXP", "SOFR", "US5")
NAME = "small"


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of eight markets and little capital, whose first Monday was prepared up to the capital. To be copied."""
    home = make_home(
        tmp_path_factory.mktemp("evening") / "home",
        universe=EIGHT,
        capital="400000",
        strategies={NAME: {"config": "dynamic_trend_carry"}},
    )
    desk = Desk(home)
    run_until(desk, "strategy_capital")
    desk.close()
    return home.path


@pytest.fixture(scope="module")
def night(evening: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same home after the run of its strategy. To be copied."""
    path = tmp_path_factory.mktemp("night") / "home"
    shutil.copytree(evening, path)
    desk = Desk(Home.open(path))
    run_until(desk, "optimal_positions")
    desk.close()
    return path


@pytest.fixture
def desk(night: Path, tmp_path: Path) -> Iterator[Desk]:
    """That desk, just before its orders are made."""
    shutil.copytree(night, tmp_path / "home")
    desk = Desk(Home.open(tmp_path / "home"))
    yield desk
    desk.close()


def make_orders(desk: Desk) -> pd.DataFrame:
    return generate_orders(desk, NAME, latest_optimal(desk, NAME), day=desk.business_day()).table.set_index("instrument")


def put_positions(desk: Desk, **held: int) -> None:
    """Say that the strategy holds something."""
    with desk.ledger.begin() as tx:
        rows = [
            {"account": desk.account, "strategy": NAME, "instrument": code, "quantity": quantity}
            for code, quantity in held.items()
        ]
        tx.execute(insert(strategy_positions), rows)


def most_wanted(desk: Desk) -> str:
    """The instrument of which most would be bought or sold."""
    plan = preview_orders(desk, NAME, latest_optimal(desk, NAME)).table.set_index("instrument")
    code = str(plan["quantity"].abs().idxmax())
    assert abs(plan["quantity"][code]) >= 2
    return code


def test_orders_lead_from_what_is_held_to_the_optimised_positions(desk: Desk) -> None:
    code = most_wanted(desk)
    put_positions(desk, **{code: 1})
    decisions = make_orders(desk)
    optimal = latest_optimal(desk, NAME)
    assert list(decisions.index) == list(EIGHT) and (decisions["reason"] != "").all()
    held = pd.Series({each: int(each == code) for each in EIGHT})
    assert (optimal["previous_position"] == held).all()
    assert (decisions["quantity"] == optimal["optimised_position"] - held).all()
    assert (decisions["quantity"] != 0).sum() >= 3
    with desk.ledger.read() as view:
        made = table_of(view, instrument_orders).set_index("instrument")
    reference = optimal.loc[made.index]
    assert (made["order_type"] == "best").all()
    assert (made["quantity"] == decisions["quantity"][made.index]).all()
    np.testing.assert_array_equal(made["reference_price"], reference["reference_price"])
    np.testing.assert_array_equal(made["reference_contract"], reference["reference_contract"])


def test_a_dry_run_shows_the_same_orders_and_writes_nothing(desk: Desk) -> None:
    def everything() -> dict[str, bytes]:
        root = desk.home.path
        files = [file for folder in ("data", "logs") for file in sorted((root / folder).rglob("*")) if file.is_file()]
        return {str(file): file.read_bytes() for file in files}

    before = everything()
    shown = answer(desk.home.path, "orders", "--dry-run")
    text = said(run(desk.home.path, "orders", "--dry-run"))
    assert "Orders that would be made" in text and "tracking error" in text
    assert everything() == before
    with desk.ledger.read() as view:
        assert table_of(view, instrument_orders).empty
    made = answer(desk.home.path, "orders")
    assert made == shown
    assert {one["instrument"] for one in shown["optimised"][NAME]} == set(EIGHT)
    with desk.ledger.read() as view:
        ordered = table_of(view, instrument_orders)
    assert dict(zip(ordered["instrument"], ordered["quantity"], strict=True)) == {
        one["instrument"]: one["quantity"] for one in shown["decisions"] if one["quantity"]
    }


def test_orders_are_not_made_by_hand_from_the_positions_of_another_day(desk: Desk) -> None:
    today = desk.business_day()
    desk.clock.advance_to(desk.home.at(next_business_day(today), desk.settings.day.start))
    result = run(desk.home.path, "orders")
    assert result.exit_code == 1
    with desk.ledger.read() as view:
        assert table_of(view, instrument_orders).empty
    assert run(desk.home.path, "orders", "--dry-run").exit_code == 0


def test_orders_of_a_second_run_on_the_same_day_with_the_fills_of_the_first_are_none(desk: Desk) -> None:
    first = make_orders(desk)
    again = make_orders(desk)
    assert (again["quantity"] == 0).all() and (again["unfilled"] == first["quantity"]).all()
    decided = latest_optimal(desk, NAME)
    run_until(desk, "stack_handler")
    with desk.ledger.read() as view:
        held = {code: quantity for (_, code), quantity in positions_by_strategy(view, desk.account).items()}
    assert held == {code: int(target) for code, target in decided["optimised_position"].items() if target}
    after = make_orders(desk)
    assert (after["quantity"] == 0).all() and (after["unfilled"] == 0).all()
    pd.testing.assert_frame_equal(latest_optimal(desk, NAME), decided)


def test_a_decision_whose_orders_were_never_made_is_carried_out_the_next_time(desk: Desk) -> None:
    """As it is for whoever is killed after the decision was stored and before the transaction of the orders was durable."""
    decided = preview_orders(desk, NAME, latest_optimal(desk, NAME)).optimised
    store_optimal(desk, NAME, decided)
    decisions = make_orders(desk)
    assert (decisions["quantity"] == decided["optimised_position"]).all() and (decisions["quantity"] != 0).any()
    pd.testing.assert_frame_equal(latest_optimal(desk, NAME), decided)


def test_a_strategy_limit_below_the_instrument_limit_is_honoured(desk: Desk) -> None:
    code = most_wanted(desk)
    with desk.ledger.begin() as tx:
        set_position_limit(tx, NAME, code, contracts=1, now=desk.now(), who="me", why="small")
        set_position_limit(tx, ANY, code, contracts=10, now=desk.now(), who="me", why="large")
    decision = make_orders(desk).loc[code]
    assert abs(decision["quantity"]) == 1
    assert decision["reason"] == "trade to the optimised position: the limit of 1 contracts is reached"


def test_a_position_above_its_limit_is_brought_back_to_it(desk: Desk) -> None:
    put_positions(desk, CORN=9)
    with desk.ledger.begin() as tx:
        set_position_limit(tx, NAME, "CORN", contracts=4, now=desk.now(), who="me", why="small")
    assert abs(9 + make_orders(desk).loc["CORN", "quantity"]) <= 4


@pytest.mark.parametrize("held", [3, -3])
def test_a_position_without_an_optimal_position_is_only_reduced(desk: Desk, held: int) -> None:
    put_positions(desk, VIX=held)
    decision = make_orders(desk).loc["VIX"]
    assert decision["quantity"] == -held
    assert decision["reason"] == "close: it is held without an optimal position"
    assert set(latest_optimal(desk, NAME).index) == set(EIGHT)


def test_a_locked_position_without_an_optimal_position_stays(desk: Desk) -> None:
    put_positions(desk, VIX=3)
    with desk.ledger.begin() as tx:
        lock_instrument(tx, "VIX", "stale", now=desk.now(), why="not collected")
    assert make_orders(desk).loc["VIX", "quantity"] == 0


def test_an_instrument_that_may_not_be_traded_keeps_its_position_and_says_why(desk: Desk) -> None:
    put_positions(desk, CORN=7, MXP=-6)
    with desk.ledger.begin() as tx:
        lock_instrument(tx, "CORN", "person", now=desk.now(), why="do not touch")
        set_override(tx, ANY, "MXP", override=Override(OverrideKind.NO_TRADING, 0.0, "restricted"), now=desk.now(), who="me")
    decisions = make_orders(desk)
    assert decisions["quantity"][["CORN", "MXP"]].tolist() == [0, 0]
    assert decisions["reason"]["CORN"] == "locked (person: do not touch)"
    assert decisions["reason"]["MXP"] == "override no_trading (restricted)"
    decided = latest_optimal(desk, NAME)
    assert decided["optimised_position"][["CORN", "MXP"]].tolist() == [7, -6], "the others are optimised around them"
    with desk.ledger.begin() as tx:
        unlock_instrument(tx, "CORN", "person", now=desk.now(), why="done")
    assert make_orders(desk).loc["CORN", "quantity"] != 0, "what is allowed has changed, so it is decided anew"


def test_an_instrument_without_volatility_is_left_alone_and_the_reason_is_shown(desk: Desk) -> None:
    code = most_wanted(desk)
    path = Path(str(open_run(desk.store, NAME).folder / COVARIANCE))
    covariance = pd.read_parquet(path)
    covariance.loc[code] = covariance[code] = np.nan
    covariance.to_parquet(path)
    optimal = latest_optimal(desk, NAME)
    optimal.loc[code, "annual_volatility"] = np.nan
    decisions = generate_orders(desk, NAME, optimal, day=desk.business_day()).table.set_index("instrument")
    assert decisions.loc[code, "quantity"] == 0
    assert decisions.loc[code, "reason"] == "left alone: no volatility is known"
    assert (decisions["quantity"] != 0).any()


def test_where_there_is_no_solution_nothing_is_traded_and_a_person_hears_of_it(desk: Desk) -> None:
    path = Path(str(open_run(desk.store, NAME).folder / COVARIANCE))
    covariance = pd.read_parquet(path)
    covariance.loc["CORN", "MXP"] = covariance.loc["MXP", "CORN"] = np.nan
    covariance.to_parquet(path)
    decisions = make_orders(desk)
    assert (decisions["quantity"] == 0).all()
    assert (decisions["reason"] == "left alone: the covariance of CORN and MXP is missing").all()
    assert "the covariance of CORN and MXP is missing" in desk.alerts.read()[-1]["message"]


def test_positions_are_not_optimised_with_the_covariance_of_another_run(desk: Desk) -> None:
    optimal = latest_optimal(desk, NAME)
    desk.clock.advance_to(desk.home.at(desk.business_day(), desk.settings.day.session_end))
    save_run(desk, run_strategy(desk, NAME), desk.business_day())
    with pytest.raises(StateError, match="not those of the run that is kept"):
        generate_orders(desk, NAME, optimal, day=desk.business_day())
    make_orders(desk)


def test_another_run_of_the_same_day_is_decided_anew(desk: Desk) -> None:
    make_orders(desk)
    save_run(desk, run_strategy(desk, NAME), desk.business_day())
    assert latest_optimal(desk, NAME)[["lower", "upper", "optimised_position"]].isna().all(axis=None)
    assert (make_orders(desk)["quantity"] == 0).all(), "the same run with the orders of the first on the stack"
    assert latest_optimal(desk, NAME)["optimised_position"].notna().all()


def test_a_fraction_of_the_optimised_position_may_be_held(desk: Desk) -> None:
    code = most_wanted(desk)
    with desk.ledger.begin() as tx:
        set_override(tx, NAME, code, override=Override(OverrideKind.FRACTION, 0.5, "careful"), now=desk.now(), who="me")
    decision = make_orders(desk).loc[code]
    assert decision["quantity"] == np.floor(0.5 * latest_optimal(desk, NAME)["optimised_position"][code])
    assert decision["reason"] == "override fraction (careful)"


def test_what_is_wanted_from_an_earlier_order_counts(desk: Desk) -> None:
    code = most_wanted(desk)
    with desk.ledger.begin() as tx:
        add_instrument_order(
            tx,
            account=desk.account,
            strategy=NAME,
            instrument=code,
            quantity=1,
            order_type=OrderType.BEST,
            day=desk.business_day(),
            now=desk.now(),
        )
    decisions = make_orders(desk)
    target = latest_optimal(desk, NAME)["optimised_position"]
    assert decisions.loc[code, "quantity"] == target[code] - 1


def test_whole_days_keep_the_ledger_clean_and_hold_what_was_decided(desk: Desk) -> None:
    for each in day.days_to_run(desk, 3):
        day.run_day(desk, each)
        shown = positions_against_optimal(desk).set_index("instrument")
        assert (shown["position"] == latest_optimal(desk, NAME)["optimised_position"]).all()
        assert (shown["lower"] == shown["position"]).all() and (shown["upper"] == shown["position"]).all()
    assert check_desk(desk) == []
    stored = desk.store.read("optimal_positions", NAME)
    assert stored["day"].nunique() == 4
    for before, after in pairwise(rows for _, rows in stored.groupby("day")):
        assert (after["previous_position"] == before["optimised_position"]).all()
    traded = (stored["optimised_position"] != stored["previous_position"]).groupby(stored["day"]).sum()
    assert traded.iloc[0] > traded.iloc[1:].max(), "the buffer keeps it from trading every day"


@pytest.mark.parametrize("name", ["dynamic_trend_carry", "estimated_trend_carry"])
def test_packaged_strategies_have_a_position_in_every_market_of_a_short_history(desk: Desk, name: str) -> None:
    backtest = run_backtest(load_strategy(packaged_strategies()[name]), production_data(desk))
    latest = backtest.latest()
    assert latest["notional_position"].notna().all() and (latest["notional_position"] != 0).sum() >= 6
    assert 1.0 < backtest.stage("idm")["idm"].iloc[-1] <= 2.5
    forecasts = backtest.stage("combined_forecast").iloc[-100:].abs().mean().mean()
    assert 4 < forecasts < 16


@pytest.mark.slow
def test_a_day_through_dagster_makes_the_same_orders(evening: Path, tmp_path: Path) -> None:
    from tradeflow_assets.runner import execute_job

    made = {}
    for way, execute in (("with", execute_job), ("without", day.run_job)):
        shutil.copytree(evening, tmp_path / way)
        desk = Desk(Home.open(tmp_path / way))
        day.run_day(desk, desk.business_day(), execute)
        made[way] = latest_optimal(desk, NAME)
        assert check_desk(desk) == []
        desk.close()
    pd.testing.assert_frame_equal(made["with"], made["without"])
    assert (made["with"]["optimised_position"] != 0).any()
