"""The price chain of an instrument on the simulated market: what it stores, what it refuses, what it keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from tests.conftest import make_home
from tests.days import run_until
from tradeflow_core import business_day as day
from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, StateError
from tradeflow_core.ledger import (
    current_roll,
    locked_instruments,
    positions_by_strategy,
    record_mark,
    roll_events_of,
    roll_state,
    set_roll_state,
)
from tradeflow_core.model import RollState
from tradeflow_core.prices import PriceWindow, contract_prices, run_stages, stored_bars, stored_closes
from tradeflow_core.prices.collect import Collected, store_bars
from tradeflow_core.prices.incoming import check_bars, typed_bars
from tradeflow_core.rolls import decide_rolls, preview_roll, roll_prices
from tradeflow_core.series import back_adjust

NOW = datetime(2024, 1, 8, tzinfo=UTC)


def bars(**changes: object) -> pd.DataFrame:
    start = pd.date_range("2024-01-02", periods=4, freq="D", tz="UTC")
    frame = pd.DataFrame({"start": start, "end": start + pd.Timedelta(hours=20), "FINAL": [1.0, 2.0, 3.0, 4.0], "VOLUME": 5.0})
    return frame.assign(**changes)


def accepted(frame: pd.DataFrame) -> pd.DataFrame:
    return check_bars(typed_bars([(20240300, "D", frame)], "GOLD"), "GOLD", NOW)


def test_good_bars_are_kept_in_order_whatever_order_they_came_in() -> None:
    kept = accepted(bars().iloc[::-1])
    assert list(kept.columns) == BAR_COLUMNS
    assert kept["FINAL"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_bar_that_has_not_ended_does_not_exist() -> None:
    assert len(accepted(bars(end=[NOW - timedelta(days=3)] * 3 + [NOW + timedelta(hours=1)]))) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"FINAL": [1.0, np.nan, 3.0, 4.0]}, r"bar of 2024-01-03 00:00 UTC from the broker: FINAL is not a finite number"),
        ({"FINAL": [1.0, np.inf, 3.0, 4.0]}, "FINAL is not a finite number"),
        ({"FINAL": ["1", "two", "3", "4"]}, "a price or volume is not a number"),
        ({"start": pd.Timestamp("2024-01-02", tz="UTC")}, "the start occurs twice"),
        ({"end": pd.Timestamp("2023-01-02", tz="UTC")}, "it ends before it starts"),
        ({"start": pd.date_range("2024-01-02", periods=4)}, "start has no time zone"),
    ],
)
def test_unusable_bars_are_refused_as_a_whole(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        accepted(bars(**changes))


def test_a_new_instrument_is_seeded_with_its_history_and_rolls(trading_desk: Desk) -> None:
    with trading_desk.ledger.read() as view:
        events = roll_events_of(view, "EUROSTX")
    assert len(events) > 4
    assert events["after"].is_monotonic_increasing
    multiple = trading_desk.store.read("multiple_prices", "EUROSTX")
    assert multiple.index.is_monotonic_increasing and multiple.index.is_unique
    assert set(multiple["PRICE_CONTRACT"]) <= set(events["price_contract"])


def test_collecting_again_at_the_same_instant_changes_nothing(trading_desk: Desk) -> None:
    before = stored_bars(trading_desk, "CORN")
    run_stages(trading_desk, "CORN")
    pd.testing.assert_frame_equal(before, stored_bars(trading_desk, "CORN"))


def test_a_full_refresh_keeps_what_is_there_and_adds_what_is_missing(trading_desk: Desk) -> None:
    desk = trading_desk
    before = stored_bars(desk, "CORN")
    gone = before.sample(40, random_state=1).index
    desk.store.write("contract_prices", "CORN", before.drop(gone).reset_index(drop=True))
    run_stages(desk, "CORN", window=PriceWindow(full_refresh=True))
    after = stored_bars(desk, "CORN")
    merged = after.merge(before, on=BAR_COLUMNS, how="inner")
    assert len(merged) == len(before)


def test_prices_rebuilt_from_their_sources_are_the_stored_ones(trading_desk: Desk) -> None:
    desk = trading_desk
    stored = desk.store.read("adjusted_prices", "GOLD_micro")
    for dataset in ("multiple_prices", "adjusted_prices"):
        desk.store.delete(dataset, "GOLD_micro")
    run_stages(desk, "GOLD_micro", stages=("multiple_prices", "adjusted_prices"))
    pd.testing.assert_frame_equal(stored, desk.store.read("adjusted_prices", "GOLD_micro"))


def test_one_bad_instrument_is_locked_and_keeps_its_last_good_prices_and_stops_nobody(trading_desk: Desk) -> None:
    desk = Desk(make_home(trading_desk.home.path.parent / "broken", simulated={"history_years": 2, "broken": ("CORN",)}))
    list(day.price_step(desk))
    with desk.ledger.read() as view:
        assert list(locked_instruments(view)) == ["CORN"]
        assert "FINAL is not a finite number" in locked_instruments(view)["CORN"]
    assert desk.store.names("adjusted_prices") == ["EUROSTX", "GOLD_micro", "US10"]
    desk.close()


def test_a_lock_for_bad_prices_goes_when_prices_are_good_again(trading_desk: Desk) -> None:
    desk = trading_desk
    bad = stored_bars(desk, "CORN")
    desk.store.path("multiple_prices", "CORN").write_bytes(b"garbage")
    with pytest.raises(StateError, match="not a readable Parquet file"):
        run_stages(desk, "CORN", stages=("adjusted_prices",))
    with desk.ledger.read() as view:
        assert "CORN" in locked_instruments(view)
    run_stages(desk, "CORN")
    with desk.ledger.read() as view:
        assert "CORN" not in locked_instruments(view)
    assert len(stored_bars(desk, "CORN")) == len(bad)


def test_a_mark_lies_over_the_bar_and_a_rejection_removes_it(trading_desk: Desk) -> None:
    desk = trading_desk
    prices = contract_prices(desk, "CORN")
    first, second = prices.iloc[10], prices.iloc[11]
    with desk.ledger.begin() as tx:
        for row, price in ((first, 123.0), (second, None)):
            record_mark(
                tx,
                "CORN",
                int(row["contract"]),
                time=row["date"].to_pydatetime(),
                price=price,
                source="manual",
                now=desk.now(),
                who="me",
                why="bad tick",
            )
    marked = contract_prices(desk, "CORN").set_index(["contract", "date"])["price"]
    assert marked[(first["contract"], first["date"])] == 123.0
    assert (second["contract"], second["date"]) not in marked.index
    assert len(marked) == len(prices) - 1


def test_a_roll_is_one_appended_event_and_the_rebuild_shows_what_the_preview_showed(trading_desk: Desk) -> None:
    desk = trading_desk
    before = desk.store.read("multiple_prices", "EUROSTX")
    with desk.ledger.read() as view:
        old = current_roll(view, "EUROSTX")
    plan = preview_roll(desk, "EUROSTX")
    roll_prices(desk, "EUROSTX", "person", who="me", why="I say so")
    run_stages(desk, "EUROSTX", stages=("multiple_prices", "adjusted_prices"))
    after = desk.store.read("multiple_prices", "EUROSTX")
    assert old is not None and after["PRICE_CONTRACT"].iloc[-1] == old.forward_contract
    pd.testing.assert_frame_equal(after.iloc[: len(before)], before)
    pd.testing.assert_series_equal(
        desk.store.read("adjusted_prices", "EUROSTX")["price"], plan.adjusted_prices, check_names=False
    )
    with desk.ledger.read() as view:
        assert roll_state(view, "EUROSTX") == "No_Roll"


def test_prices_are_not_rolled_while_the_contract_is_held(trading_desk: Desk) -> None:
    desk = trading_desk
    run_until(desk, "stack_handler")
    with desk.ledger.read() as view:
        (_, code), _ = next(iter(positions_by_strategy(view, desk.account).items()))
        events = len(roll_events_of(view, code))
    with pytest.raises(StateError, match="are still held"):
        roll_prices(desk, code, "person", who="me", why="now")
    with desk.ledger.read() as view:
        assert len(roll_events_of(view, code)) == events


def test_a_forced_state_goes_back_to_passive_when_nothing_is_held(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.begin() as tx:
        set_roll_state(tx, "US10", RollState.FORCE, now=desk.now(), who="me", why="x")
    decide_rolls(desk, ["US10"])
    with desk.ledger.read() as view:
        assert roll_state(view, "US10") in ("Passive", "No_Roll", "No_Open")


def test_stale_prices_are_refused_and_lock(trading_desk: Desk) -> None:
    desk = trading_desk
    desk.clock.wait(8 * 86400)
    with pytest.raises(DataError, match="business days ago"):
        run_stages(desk, "CORN", stages=("adjusted_prices",))
    with desk.ledger.read() as view:
        assert "CORN" in locked_instruments(view)


def test_a_price_between_two_hours_does_not_make_the_last_bar_come_twice(trading_desk: Desk) -> None:
    """The bar that starts last may end before another one: what is asked for next begins after the latest end."""
    desk = trading_desk
    bars = stored_bars(desk, "CORN")
    hourly = bars[bars["frequency"] == "H"]
    last = hourly.sort_values("end").iloc[-1]
    short = last.to_frame().T.astype(bars.dtypes.to_dict())
    moment = last["start"] + (last["end"] - last["start"]) / 2
    short["start"] = short["end"] = moment
    store_bars(desk, "CORN", short, report=Collected(stored_closes(desk, "CORN")), check=False)
    desk.clock.wait(3 * 3600)
    run_stages(desk, "CORN")
    after = stored_bars(desk, "CORN")
    assert not after.duplicated(["contract", "frequency", "start"]).any()
    assert (
        len(after[(after["contract"] == last["contract"]) & (after["start"] == last["start"]) & (after["frequency"] == "H")]) == 1
    )


def test_a_home_may_stitch_by_ratio(trading_desk: Desk) -> None:
    home = make_home(trading_desk.home.path.parent / "ratio", prices={"stitching": "ratio"}, universe=("EUROSTX",))
    desk = Desk(home)
    run_stages(desk, "EUROSTX")
    multiple, adjusted = desk.store.read("multiple_prices", "EUROSTX"), desk.store.read("adjusted_prices", "EUROSTX")["price"]
    pd.testing.assert_series_equal(adjusted, back_adjust(multiple, method="ratio"), check_names=False)
    assert not np.allclose(adjusted.dropna(), back_adjust(multiple).dropna())
    desk.close()
