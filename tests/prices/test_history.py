"""What a rebuild changes of the past is found, whatever it is, and said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from tradeflow_assets.price_checks import changed_history
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import current_roll, record_mark
from tradeflow_core.prices import HISTORY_CHANGES, HistoryChange, stored_bars, update_instrument
from tradeflow_core.prices.history import compare_prices
from tradeflow_core.rolls import roll_prices

CODE = "EUROSTX"


def compare_history(before: pd.Series, after: pd.Series) -> HistoryChange | None:
    """What is different in `after`, up to the last stamp of `before`."""
    was_at, now_at = (pd.DatetimeIndex(prices.index).asi8 for prices in (before, after))
    return compare_prices(was_at, before.to_numpy(), now_at, new_prices=after.to_numpy())


def series(values: dict[int, float]) -> pd.Series:
    index = pd.to_datetime(sorted(values), unit="h", utc=True).as_unit("us")
    return pd.Series([values[n] for n in sorted(values)], index=index, dtype="float64")


@settings(max_examples=100, deadline=None)
@given(
    before=st.dictionaries(st.integers(0, 40), st.sampled_from([1.0, 2.0, np.nan]), min_size=1),
    after=st.dictionaries(st.integers(0, 60), st.sampled_from([1.0, 2.0, np.nan])),
)
def test_every_difference_up_to_the_old_end_is_counted_and_nothing_after_it(
    before: dict[int, float], after: dict[int, float]
) -> None:
    found = compare_history(series(before), series(after))
    kept = {n: value for n, value in after.items() if n <= max(before)}
    changed = {n for n in before.keys() & kept.keys() if not np.array_equal(before[n], kept[n], equal_nan=True)}
    late, gone = kept.keys() - before.keys(), before.keys() - kept.keys()
    if not changed | late | gone:
        assert found is None
        return
    assert found is not None
    assert (found.changed, found.came_late, found.gone) == (len(changed), len(late), len(gone))
    assert found.first == pd.Timestamp(min(changed | late | gone), unit="h", tz="UTC")


def priced(desk: Desk) -> int:
    with desk.ledger.read() as view:
        roll = current_roll(view, CODE)
    assert roll is not None
    return roll.price_contract


def said(desk: Desk) -> str:
    """What is said of the history of an instrument when its prices are updated."""
    facts = [result.facts for result in update_instrument(desk, CODE).results if result.stage == "multiple_prices"]
    return str(facts[0].get("history", ""))


def test_new_bars_and_rolls_leave_the_past_as_it_was(trading_desk: Desk) -> None:
    desk = trading_desk
    desk.clock.wait(86400)
    assert said(desk) == ""
    roll_prices(desk, CODE, "person", who="me", why="now")
    desk.clock.wait(86400)
    assert said(desk) == ""
    assert changed_history(desk).passed and not desk.store.exists(HISTORY_CHANGES, CODE)


def test_a_bar_that_comes_late_is_told(trading_desk: Desk) -> None:
    desk = trading_desk
    bars, contract = stored_bars(desk, CODE), priced(desk)
    hourly = bars["frequency"] == "H"
    time = bars.loc[hourly & (bars["contract"] == contract), "start"].iloc[-8]
    desk.store.write("contract_prices", CODE, bars[~(hourly & (bars["start"] == time))].reset_index(drop=True))
    assert said(desk).startswith("1 gone"), "so it would be if a stored bar got lost"
    desk.store.write("contract_prices", CODE, bars)
    assert said(desk) == f"1 came late, the first at {time:%Y-%m-%d %H:%M} UTC"
    recorded = desk.store.read(HISTORY_CHANGES, CODE)
    assert recorded[["changed", "came_late", "gone"]].to_numpy().tolist() == [[0, 0, 1], [0, 1, 0]]
    result = changed_history(desk)
    assert not result.passed and result.metadata["n_rebuilds"].value == 2
    desk.clock.wait(86400)
    assert said(desk) == "" and changed_history(desk).passed, "the day after nothing of it is new"


def test_a_corrected_price_is_told(trading_desk: Desk) -> None:
    desk = trading_desk
    prices = desk.store.read("multiple_prices", CODE)
    row = prices[prices["PRICE"].notna()].iloc[-30]
    with desk.ledger.begin() as tx:
        record_mark(
            tx,
            CODE,
            int(row["PRICE_CONTRACT"]),
            time=row.name.to_pydatetime(),
            price=1.0,
            source="manual",
            now=desk.now(),
            who="me",
            why="bad",
        )
    assert said(desk) == f"1 changed, the first at {row.name:%Y-%m-%d %H:%M} UTC"


@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_prices_that_cannot_be_read_any_more_are_no_history_to_compare_with(trading_desk: Desk, damage: bytes) -> None:
    desk = trading_desk
    desk.store.path("multiple_prices", CODE).write_bytes(damage)
    assert said(desk) == ""
    desk.store.delete("multiple_prices", CODE)
    assert said(desk) == ""
