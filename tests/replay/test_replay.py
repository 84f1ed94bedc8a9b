"""Eight days of a small market, replayed around a roll."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest

from tests.replay.folders import CODES, END, NIGHT_ROLL, ROLL, START
from tests.replay.runs import ROLL_RULES, fills_of, make_tape, orders_of, positions_of, rolls_of, seed
from tradeflow_core.business_day import run_replay
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import Home
from tradeflow_core.ledger import ledger_problems, roll_events_of
from tradeflow_core.model import ROLLS
from tradeflow_core.replay import DayRecord, ReplaySummary, replay_home, seed_replay
from tradeflow_core.replay.seeding import SEEDED_FILE
from tradeflow_core.store import Tape

OLD, NEW = 20230800, 20231100
LONDON = "Europe/London"


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    return make_tape(tmp_path_factory.mktemp("tape"))


@pytest.fixture(scope="module")
def replayed(tape: Tape, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, ReplaySummary, list]]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ROLL_RULES.items():
            patch.setenv(name, value)
        home = seed(tmp_path_factory.mktemp("replays") / "home", tape)
        told: list[DayRecord] = []
        summary = run_replay(home, on_day=told.append)
        desk = Desk(home)
        yield desk, summary, told
        desk.close()


# --- what a replay begins with -------------------------------------------------------------------------------------------


def test_a_replay_begins_with_what_was_known_and_nothing_later(tape, tmp_path):
    home = seed(tmp_path / "home", tape)
    desk, now = Desk(home), home.clock.now()
    assert now == pd.Timestamp("2023-08-09 00:05", tz=LONDON)
    for code in CODES:
        stored, played = desk.store.read("contract_prices", code), tape.bars(code)
        assert stored["end"].max() <= now
        assert len(stored) == (played["end"] <= now).sum()
        with desk.ledger.read() as view:
            assert (roll_events_of(view, code)["after"].dropna() < now).all()
    assert desk.store.read("spot_fx", "EURUSD").index.max() <= now
    desk.close()


def test_seeding_again_opens_the_same_replay_and_other_arguments_are_refused(tape, tmp_path):
    home = seed(tmp_path / "home", tape)
    assert seed(tmp_path / "home", tape).settings == home.settings
    with pytest.raises(ConfigError, match="end is 2023-08-18, not 2023-08-17"):
        seed_replay(tmp_path / "home", tape, START, end=date(2023, 8, 17))
    with pytest.raises(ConfigError, match="capital"):
        seed_replay(tmp_path / "home", tape, START, end=END, capital=1)


def test_a_folder_with_something_else_in_it_is_refused(tape, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("keep me")
    with pytest.raises(ConfigError, match=r"letter\.txt"):
        seed(tmp_path / "home", tape)
    Home.create(tmp_path / "desk", {"market": "simulated"}, datetime.fromisoformat("2024-01-08T05:05+00:00"))
    with pytest.raises(ConfigError, match="market is simulated, not replay"):
        seed(tmp_path / "desk", tape)


def test_seeding_that_was_interrupted_is_done_again(tape, tmp_path):
    home = seed(tmp_path / "home", tape)
    (home.path / SEEDED_FILE).unlink()
    desk = Desk(home)
    desk.store.delete("contract_prices", "BETA")
    with pytest.raises(StateError, match="not a seeded replay"):
        run_replay(home)
    seed(tmp_path / "home", tape)
    assert desk.store.exists("contract_prices", "BETA")
    with desk.ledger.read() as view:
        assert ledger_problems(view) == []
        events = roll_events_of(view, "BETA")
        after = tape.roll_events("BETA")["after"]
        assert len(events) == (after.isna() | (after < home.clock.now())).sum()
    desk.close()


def test_a_period_or_instrument_without_prices_is_refused(tape, tmp_path):
    with pytest.raises(ConfigError, match="ALPHA: its first price is of 2021-06-01, after the start"):
        seed_replay(tmp_path / "home", tape, date(2020, 6, 1), end=date(2020, 6, 5), instruments=["ALPHA"])
    with pytest.raises(ConfigError, match="ALPHA: its last price is of 2023-08-31, before the start"):
        seed_replay(tmp_path / "home", tape, date(2023, 9, 4), end=date(2023, 9, 5))
    with pytest.raises(ConfigError, match="DELTA is not on the tape"):
        seed_replay(tmp_path / "home", tape, START, end=END, instruments=["DELTA"])
    with pytest.raises(ConfigError, match="begin on a Monday to Friday"):
        seed_replay(tmp_path / "home", tape, date(2023, 8, 12), end=END)
    assert not (tmp_path / "home").exists()


def test_a_replay_lives_where_its_name_says(tape):
    name = "small-2023-08-09-2023-08-18"
    assert replay_home(tape, START, END, desk_home=Path("x/var")) == Path("x/var/replays") / name
    assert replay_home(tape, START, END, desk_home=Path("x/desk")) == Path("x/replays") / name


# --- what its days do ----------------------------------------------------------------------------------------------------


def test_every_business_day_is_run_and_told(replayed):
    _, summary, told = replayed
    assert [day.day for day in summary.days] == [stamp.date() for stamp in pd.bdate_range(START, END)]
    assert told == summary.days
    assert all("3 of 3 instruments good" in day.prices for day in summary.days)
    assert json.loads(summary.to_json())["totals"]["days"] == len(told)


def test_the_ledger_is_sound_and_positions_are_the_sum_of_the_fills(replayed):
    desk, summary, _ = replayed
    with desk.ledger.read() as view:
        assert ledger_problems(view) == []
    fills = fills_of(desk)
    assert len(fills) == summary.totals["fills"] > 0
    sums = fills.groupby(["instrument", "contract"])["quantity"].sum()
    assert positions_of(desk) == {key: total for key, total in sums.items() if total}
    assert positions_of(desk) == desk.broker.positions(desk.account)


def test_profits_add_up_to_the_change_of_the_account(replayed):
    desk, summary, _ = replayed
    assert summary.days[-1].value - float(desk.settings.capital) == pytest.approx(summary.totals["profit"])
    assert summary.days[-1].capital == pytest.approx(summary.days[-1].value)


def test_prices_roll_on_the_morning_after_the_tape_did(replayed):
    desk, summary, _ = replayed
    rolled = rolls_of(desk)
    rolled = rolled[rolled["price_contract"] == NEW]
    assert rolled["instrument"].tolist() == list(CODES)
    assert pd.to_datetime(rolled["after"], utc=True).tolist() == [
        pd.Timestamp(NIGHT_ROLL if code == "GAMMA" else ROLL, tz=LONDON) for code in CODES
    ]
    assert (pd.to_datetime(rolled["recorded_at"], utc=True) == pd.Timestamp("2023-08-17 00:05", tz=LONDON)).all()
    assert {day.day: day.rolls for day in summary.days if day.rolls} == {date(2023, 8, 17): 3}


def test_positions_are_rolled_by_spreads_before_the_tape_rolls(replayed):
    desk, _, _ = replayed
    spreads = fills_of(desk).query("strategy == @ROLLS")
    assert ROLLS in set(spreads["strategy"])
    assert (pd.to_datetime(spreads["time"], utc=True) < pd.Timestamp(ROLL, tz=LONDON)).all()
    assert set(spreads["instrument"]) == {"ALPHA", "BETA"}
    assert spreads.groupby(["time", "instrument"])["quantity"].sum().eq(0).all()
    assert not any(contract == OLD for _, contract in positions_of(desk))


def test_what_nobody_could_roll_is_closed_at_its_last_price_and_told(replayed, tape):
    desk, summary, _ = replayed
    closed = orders_of(desk).query("order_type == 'balance'")
    assert closed["instrument"].tolist() == ["GAMMA"]
    fill = fills_of(desk).query("instrument == 'GAMMA' and contract == @OLD").iloc[-1]
    bars = tape.bars("GAMMA")
    assert fill["price"] == bars.loc[bars["contract"] == OLD, "FINAL"].iloc[-1]
    assert fill["quantity"] == closed["quantity"].iloc[0]
    assert "1 closed at the last price" in next(day.line() for day in summary.days if day.closed)


def test_new_risk_in_a_contract_that_was_rolled_into_is_traded_at_once(replayed):
    desk, _, _ = replayed
    gamma = fills_of(desk).query("instrument == 'GAMMA' and contract == @NEW")
    assert pd.to_datetime(gamma["time"], utc=True).min().date() <= date(2023, 8, 18)


def test_a_replay_that_is_done_stays_as_it_is(replayed):
    desk, summary, _ = replayed
    before = fills_of(desk)
    again = run_replay(desk.home, on_day=lambda day: pytest.fail(f"{day.day} was run again"))
    assert again == summary
    pd.testing.assert_frame_equal(fills_of(desk), before)
