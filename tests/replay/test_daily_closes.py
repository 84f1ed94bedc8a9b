"""A tape of daily closes trades, at closes that its decisions did not know, and says so."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import select

from tests.commands import run, said
from tests.frames import table_of
from tests.replay.folders import END, START, drop_day, keep_closes, write_folder
from tradeflow_core.business_day import run_replay
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.importers import import_pysystemtrade
from tradeflow_core.ledger import allocations, instrument_orders, ledger_problems
from tradeflow_core.replay import ReplaySummary, seed_replay
from tradeflow_core.store import Tape

HALF_SPREAD = 0.01
"""More than the half spread and slippage of these markets, and far less than a day's change of their prices."""


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    """ALPHA and GAMMA have closes alone; BETA has hours, but none on Friday the 11th."""
    folder = write_folder(tmp_path_factory.mktemp("daily") / "csv")
    keep_closes(folder, "ALPHA")
    keep_closes(folder, "GAMMA")
    keep_closes(folder, "BETA", on="2023-08-11")
    import_pysystemtrade(folder, folder.parent / "daily")
    return Tape.open(folder.parent / "daily")


def replay(folder: Path, tape: Tape, fill_at: str) -> tuple[Desk, ReplaySummary]:
    home = seed_replay(folder, tape, START, end=END, fill_at=fill_at)
    return Desk(home), run_replay(home)


@pytest.fixture(scope="module")
def replayed(tape: Tape, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, ReplaySummary]:
    return replay(tmp_path_factory.mktemp("replays") / "home", tape, "next close")


def fills_and_decisions(desk: Desk) -> pd.DataFrame:
    """Each fill of a strategy's order, with when it was decided, and the time of the newest price that it was decided on."""
    of, order = allocations.c, instrument_orders.c
    query = (
        select(of.time, of.instrument, of.contract, of.price, order.reference_time, order.created_at)
        .select_from(allocations.join(instrument_orders))
        .where(order.order_type == "best")
    )
    with desk.ledger.read() as view:
        frame = pd.DataFrame(
            view.execute(query).all(), columns=["time", "instrument", "contract", "price", "decided_on", "decided_at"]
        )
    return frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in ("time", "decided_on", "decided_at")})


def price_times(tape: Tape, fill: pd.Series) -> pd.DatetimeIndex:
    """The closes of the contract, up to the fill and later than the newest price of its decision."""
    bars = tape.bars(fill["instrument"])
    ended = bars.loc[(bars["contract"] == fill["contract"]) & (bars["end"] <= fill["time"]), ["end", "FINAL"]]
    newer = ended[ended["end"] > fill["decided_on"]]
    assert abs(newer["FINAL"].iloc[-1] - fill["price"]) <= HALF_SPREAD, "it is filled at the newest price"
    return pd.DatetimeIndex(newer["end"])


def test_orders_are_filled_at_the_first_close_after_their_decision(replayed, tape):
    desk, _ = replayed
    fills = fills_and_decisions(desk)
    daily = fills[fills["instrument"].isin(["ALPHA", "GAMMA"])]
    assert set(daily["instrument"]) == {"ALPHA", "GAMMA"}
    for _, fill in daily.iterrows():
        (close,) = price_times(tape, fill)
        assert close > fill["decided_on"]
        assert close.tz_convert("Europe/London").hour == 23


def test_no_fill_of_any_market_is_at_a_price_that_its_decision_knew(replayed, tape):
    desk, _ = replayed
    for _, fill in fills_and_decisions(desk).iterrows():
        assert price_times(tape, fill)[-1] > max(fill["decided_on"], fill["decided_at"])


def test_a_market_without_intraday_bars_on_one_day_is_filled_at_its_close(replayed, tape):
    desk, _ = replayed
    with desk.ledger.read() as view:
        orders = table_of(view, instrument_orders)
    assert not len(orders.query("instrument == 'BETA' and status == 'cancelled'"))
    fills = fills_and_decisions(desk).query("instrument == 'BETA'")
    local = fills["time"].dt.tz_convert("Europe/London")
    assert {time.hour for time in local[local.dt.date == date(2023, 8, 11)]} <= {23}


def test_positions_are_held_and_rolled_and_the_ledger_is_sound(replayed):
    desk, summary = replayed
    with desk.ledger.read() as view:
        assert ledger_problems(view) == []
    assert summary.totals["fills_at_close"] > 0
    assert summary.totals["rolls"] == 3
    held = desk.broker.positions(desk.account)
    assert {instrument for instrument, _ in held} == {"ALPHA", "BETA", "GAMMA"}


def test_the_close_after_next_is_a_day_later_and_the_first_day_decides_nothing(tape, tmp_path):
    desk, summary = replay(tmp_path / "home", tape, "close after next")
    assert summary.days[0].orders == 0 and summary.days[1].orders > 0
    daily = fills_and_decisions(desk).query("instrument in ('ALPHA', 'GAMMA')")
    assert len(daily)
    for _, fill in daily.iterrows():
        assert len(price_times(tape, fill)) == 2
    assert summary.fill_at == "close after next" and "second close" in summary.how_filled
    desk.close()


def test_a_long_tick_does_not_miss_the_close(tape, tmp_path, monkeypatch):
    monkeypatch.setenv("TRADEFLOW_DAY__TICK_MINUTES", "240")
    home = seed_replay(tmp_path / "home", tape, START, end=END)
    assert run_replay(home, START).days[0].fills_at_close > 0


def test_a_desk_whose_day_begins_after_the_close_never_trades_at_it(tape, tmp_path, monkeypatch):
    monkeypatch.setenv("TRADEFLOW_DAY__START", "23:02")
    home = seed_replay(tmp_path / "home", tape, START, end=END, instruments=["ALPHA"])
    summary = run_replay(home, date(2023, 8, 10))
    assert summary.totals["orders"] > 0 and summary.totals["fills"] == 0
    assert all("was known when the order was decided" in line for day in summary.days for line in day.not_traded)


# --- what is said of it --------------------------------------------------------------------------------------------------


def test_the_summary_the_json_and_the_report_say_how_orders_are_filled(replayed):
    desk, summary = replayed
    told = json.loads(summary.to_json())
    assert told["fill_at"] == "next close"
    assert told["only_closes"] == ["ALPHA", "GAMMA"]
    assert told["totals"]["fills_at_close"] == sum(day["fills_at_close"] for day in told["days"])
    assert "first close after its decision" in told["how_filled"]
    first = summary.days[0]
    assert f"({first.fills_at_close} at the close)" in first.line()
    report = (desk.home.path / "reports" / f"{START}.txt").read_text()
    assert f"{first.fills_at_close} of {first.fills} fills at the day's close" in report
    assert 'replay.fill_at = "next close"' in report


def test_the_command_sets_and_tells_it(tape, tmp_path):
    shown = said(
        run(
            tmp_path / "home",
            *("replay", str(tape.path), "--start", f"{START}", "--end", "2023-08-10", "--fill-at", "close after next"),
        )
    )
    assert "no intraday bars, so all their orders are filled at a close: ALPHA, GAMMA" in shown
    assert "second close after its decision" in shown
    assert Home.open(tmp_path / "home").settings.replay.fill_at == "close after next"


def test_an_order_that_finds_no_bar_and_no_close_says_so_in_the_days_of_the_replay(tmp_path):
    folder = write_folder(tmp_path / "csv")
    drop_day(folder, "ALPHA", f"{START}")
    import_pysystemtrade(folder, tmp_path / "gap", instruments=["ALPHA"])
    home = seed_replay(tmp_path / "home", Tape.open(tmp_path / "gap"), START, end=END)
    (day,) = run_replay(home, START).days
    (line,) = day.not_traded
    assert line.startswith("ALPHA (static_trend_carry): ") and "not traded, cancelled: market closed (23:05 to 22:05 UTC)" in line
    assert "the tape has neither an intraday bar nor" in line
    assert "1 orders not filled in full" in day.line()
