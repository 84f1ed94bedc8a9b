"""Changing how an instrument is rolled: the history by another rule, put in force or left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.days import run_until
from tests.frames import table_of
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, DataError, StateError
from tradeflow_core.home import Home
from tradeflow_core.instruments import RollRule
from tradeflow_core.ledger import (
    current_roll,
    ledger_problems,
    marks_of,
    positions_by_contract,
    record_mark,
    roll_events,
    roll_events_of,
)
from tradeflow_core.prices import contract_prices, run_stages
from tradeflow_core.rolls import apply_parameters, plan_parameters, roll_prices, roll_status
from tradeflow_core.rolls.parameters import write_roll_rule
from tradeflow_core.series import build_from_events

CODE = "US10"


def rule_of(desk: Desk, code: str = CODE) -> RollRule:
    rule = desk.instrument(code).roll_rule
    assert rule is not None
    return rule


def events(desk: Desk, code: str = CODE) -> pd.DataFrame:
    with desk.ledger.read() as view:
        return roll_events_of(view, code)


def test_the_present_rule_gives_the_present_history(trading_desk: Desk) -> None:
    for code in trading_desk.universe:
        change = plan_parameters(trading_desk, code, rule_of(trading_desk, code))
        assert change.same_history and change.rolls.empty
        assert (change.adjusted_change, change.adjusted_differs) == (0.0, 0.0)
        pd.testing.assert_frame_equal(change.multiple_prices, trading_desk.store.read("multiple_prices", code))


def test_planning_changes_nothing(trading_desk: Desk) -> None:
    desk = trading_desk
    before = events(desk)
    files = {path: path.read_bytes() for path in desk.home.path.rglob("*") if path.suffix in (".csv", ".parquet")}
    change = plan_parameters(desk, CODE, replace(rule_of(desk), roll_offset=-60))
    assert not change.same_history and len(change.rolls) and change.adjusted_change > 0
    pd.testing.assert_frame_equal(events(desk), before)
    assert {path: path.read_bytes() for path in files} == files


def test_an_earlier_roll_shows_in_the_changed_dates(trading_desk: Desk) -> None:
    change = plan_parameters(
        trading_desk, CODE, replace(rule_of(trading_desk), roll_offset=rule_of(trading_desk).roll_offset - 10)
    )
    both = change.rolls.dropna()
    assert len(both) and ((both["was"] - both["becomes"]).dt.days.between(6, 14)).all()


def test_a_change_in_force_is_another_generation_and_the_rule_is_in_the_home_s_table(trading_desk: Desk) -> None:
    desk = trading_desk
    old, new_rule = events(desk), replace(rule_of(desk), roll_offset=rule_of(desk).roll_offset - 10)
    change = plan_parameters(desk, CODE, new_rule)
    apply_parameters(desk, change, "me", why="earlier is more liquid")
    now = events(desk)
    assert now["after"].tolist() == [event.after for event in change.events]
    assert rule_of(desk) == new_rule
    assert Home.open(desk.home.path).instruments[CODE].roll_rule == new_rule
    with desk.ledger.read() as view:
        every = table_of(view, roll_events)
        assert ledger_problems(view) == []
    kept = every[(every["instrument"] == CODE) & (every["generation"] == 1)]
    assert kept["after"].tolist() == old["after"].tolist(), "what was recorded stays recorded"
    pd.testing.assert_frame_equal(desk.store.read("multiple_prices", CODE), change.multiple_prices)
    pd.testing.assert_series_equal(desk.store.read("adjusted_prices", CODE)["price"], change.adjusted_prices, check_names=False)
    again = plan_parameters(desk, CODE, new_rule)
    assert again.same_history


def test_the_day_after_goes_on_from_the_new_history(trading_desk: Desk) -> None:
    desk = trading_desk
    apply_parameters(
        desk, plan_parameters(desk, CODE, replace(rule_of(desk), roll_offset=rule_of(desk).roll_offset - 10)), "me", why="x"
    )
    run_stages(desk, CODE)
    before = events(desk)
    roll_prices(desk, CODE, "person", who="me", why="x")
    assert len(events(desk)) == len(before) + 1
    with desk.ledger.read() as view:
        assert ledger_problems(view) == []


def test_marks_of_former_rolls_go_out_of_force_with_their_history_and_marks_of_a_person_stay(trading_desk: Desk) -> None:
    desk = trading_desk
    roll_prices(desk, CODE, "person", who="me", why="x")
    with desk.ledger.begin() as tx:
        assert set(marks_of(tx, CODE)["source"]) == {"roll"}
        bar = contract_prices(desk, CODE, rolls=False).iloc[100]
        record_mark(
            tx,
            CODE,
            int(bar["contract"]),
            time=bar["date"].to_pydatetime(),
            price=float(bar["price"]),
            source="manual",
            now=desk.now(),
            who="me",
            why="right",
        )
    apply_parameters(desk, plan_parameters(desk, CODE, rule_of(desk)), "me", why="as the rule says")
    with desk.ledger.read() as view:
        assert marks_of(view, CODE)["source"].tolist() == ["manual"]
    rebuilt = build_from_events(contract_prices(desk, CODE), events(desk))
    pd.testing.assert_frame_equal(rebuilt, desk.store.read("multiple_prices", CODE))
    roll_prices(desk, CODE, "person", who="me", why="again, at the same instant")
    with desk.ledger.read() as view:
        assert "roll" in set(marks_of(view, CODE)["source"])


def test_another_priced_contract_is_refused_while_the_instrument_is_held(trading_desk: Desk) -> None:
    desk = trading_desk
    run_until(desk, "stack_handler")
    with desk.ledger.read() as view:
        code = next(iter(positions_by_contract(view, desk.account)))[0]
        priced = current_roll(view, code)
    assert priced is not None
    far = roll_status(desk, code).days_to_roll + 30
    change = plan_parameters(desk, code, replace(rule_of(desk, code), roll_offset=rule_of(desk, code).roll_offset - far))
    assert change.events[-1].price_contract > priced.price_contract
    before = events(desk, code)
    with pytest.raises(StateError, match="are held, but by the new rule"):
        apply_parameters(desk, change, "me", why="x")
    pd.testing.assert_frame_equal(events(desk, code), before)
    assert not (desk.home.path / "config" / "rolls.csv").exists()


def test_a_roll_meanwhile_makes_the_plan_void(trading_desk: Desk) -> None:
    desk = trading_desk
    change = plan_parameters(desk, CODE, replace(rule_of(desk), roll_offset=-40))
    roll_prices(desk, CODE, "person", who="me", why="x")
    with pytest.raises(StateError, match="rolled meanwhile"):
        apply_parameters(desk, change, "me", why="x")


def test_a_rule_that_the_prices_cannot_follow_says_why(trading_desk: Desk) -> None:
    with pytest.raises(DataError):
        plan_parameters(trading_desk, CODE, replace(rule_of(trading_desk), hold="F", priced="F"))


def test_one_row_of_the_roll_table_changes_and_the_others_stay(tmp_path: Path) -> None:
    table = tmp_path / "rolls.csv"
    table.write_text(
        "Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset,Remark\nCORN,Z,-40,-1,HKNUZ,13,mine\nUS10,HMUZ,-20,-1,HMUZ,18,\n"
    )
    write_roll_rule(tmp_path, "CORN", RollRule("NZ", "HKNUZ", -30, 1, 13))
    write_roll_rule(tmp_path, "GOLD", RollRule("GJMQVZ", "GJMQVZ", -5, 1, 25))
    assert table.read_text().splitlines() == [
        "Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset,Remark",
        "CORN,NZ,-30,1,HKNUZ,13,mine",
        "US10,HMUZ,-20,-1,HMUZ,18,",
        "GOLD,GJMQVZ,-5,1,GJMQVZ,25,",
    ]
    table.write_text("Instrument,Hold\nCORN,Z\n")
    with pytest.raises(ConfigError, match=r"rolls\.csv, line 1: column HoldRollCycle is missing"):
        write_roll_rule(tmp_path, "CORN", RollRule("NZ", "HKNUZ", -30, 1, 13))
