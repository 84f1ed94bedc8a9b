"""What must hold for any prices: merging, rebuilding and stitching never depend on how or when the bars came."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.reference.bars import append_only_merge
from tests.reference.multiple import update_adjusted, update_multiple
from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.desk import Desk
from tradeflow_core.prices import BAR_TYPES, stored_bars, stored_closes
from tradeflow_core.prices.bar_store import in_order, not_stored
from tradeflow_core.prices.collect import Collected, store_bars
from tradeflow_core.series import back_adjust, build_from_events

seeds = st.integers(0, 2**32 - 1)
CONTRACTS = [20230300 + 300 * n for n in range(3)] + [20231200, 20240300]


def random_bars(dice: np.random.Generator, number: int) -> pd.DataFrame:
    """Bars of two contracts and both frequencies, in no order."""
    hours = dice.choice(4000, size=number, replace=False)
    start = pd.Timestamp("2023-01-02", tz="UTC") + pd.to_timedelta(hours, unit="h")
    frame = pd.DataFrame(
        {"start": start, "end": start + pd.Timedelta(hours=1), "FINAL": dice.normal(100, 1, number), "VOLUME": 1.0}
    )
    frame = frame.assign(contract=dice.choice(CONTRACTS[:2], number), frequency=dice.choice(["D", "H"], number))
    return frame.reindex(columns=BAR_COLUMNS).astype(BAR_TYPES)


def arrive(desk: Desk, batch: pd.DataFrame) -> None:
    stored = stored_closes(desk, "US10")
    store_bars(desk, "US10", not_stored(in_order(batch), stored), report=Collected(stored), check=False)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=seeds, number=st.integers(2, 80), parts=st.integers(1, 5))
def test_bars_are_the_same_in_whatever_order_and_however_often_they_arrive(
    desk: Desk, seed: int, number: int, *, parts: int
) -> None:
    dice = np.random.default_rng(seed)
    bars = random_bars(dice, number)
    desk.store.delete("contract_prices", "US10")
    arrive(desk, bars)
    once = stored_bars(desk, "US10")
    arrive(desk, bars)
    pd.testing.assert_frame_equal(stored_bars(desk, "US10"), once)
    desk.store.delete("contract_prices", "US10")
    for part in dice.permutation(parts):
        arrive(desk, bars.iloc[part::parts])
    pd.testing.assert_frame_equal(stored_bars(desk, "US10"), once)
    assert once.equals(once.sort_values(["contract", "frequency", "start"], ignore_index=True))
    assert not once.duplicated(["contract", "frequency", "start"]).any() and len(once) == number


@settings(max_examples=50, deadline=None)
@given(seed=seeds, number=st.integers(1, 60), cuts=st.lists(st.integers(0, 60), max_size=4))
def test_appending_is_idempotent_and_days_may_come_one_by_one_or_together(seed: int, number: int, cuts: list[int]) -> None:
    dice = np.random.default_rng(seed)
    index = pd.date_range("2023-01-02", periods=number, freq="D", tz="UTC")
    table = pd.DataFrame({"FINAL": dice.normal(size=number), "VOLUME": 1.0}, index=index)
    bounds = sorted({0, number, *(min(cut, number) for cut in cuts)})
    merged = table.iloc[:0]
    for first, last in pairwise(bounds):
        overlap = max(first - int(dice.integers(0, 4)), 0)
        merged = append_only_merge(merged, table.iloc[overlap:last]).result
    pd.testing.assert_frame_equal(merged, table, check_freq=False)
    pd.testing.assert_frame_equal(append_only_merge(merged, table).result, merged)


def random_market(dice: np.random.Generator, days: int, gaps: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Contract prices with gaps, and roll events at days on which both contracts have a price."""
    stamps = pd.bdate_range("2023-01-02", periods=days, tz="UTC").as_unit("us") + pd.Timedelta(hours=20)
    level = 100 + dice.normal(0, 1, days).cumsum()
    prices = {contract: pd.Series(level + n + dice.normal(0, 0.1, days), index=stamps) for n, contract in enumerate(CONTRACTS)}
    rolls = np.sort(dice.choice(np.arange(2, days - 2), size=len(CONTRACTS) - 2, replace=False))
    kept = {contract: dice.random(days) >= gaps for contract in CONTRACTS}
    for n, roll in enumerate(rolls):
        kept[CONTRACTS[n]][roll] = kept[CONTRACTS[n + 1]][roll] = True
        kept[CONTRACTS[n + 1]][roll + 1] = kept[CONTRACTS[n + 2]][roll + 1] = True
    kept[CONTRACTS[0]][0] = True
    frames = [
        pd.DataFrame({"contract": contract, "date": series.index, "price": series.to_numpy()})[kept[contract]]
        for contract, series in prices.items()
    ]
    after = [pd.NaT, *(stamps[roll] for roll in rolls)]
    events = pd.DataFrame(
        {"after": pd.Series(after).dt.tz_convert("UTC").astype("datetime64[us, UTC]"), "price_contract": CONTRACTS[:-1]}
    )
    return pd.concat(frames, ignore_index=True), events.assign(forward_contract=CONTRACTS[1:], carry_contract=CONTRACTS[1:])


markets = given(seed=seeds, days=st.integers(15, 60), gaps=st.floats(0, 0.4))


@settings(max_examples=40, deadline=None)
@markets
def test_a_rebuild_on_a_later_day_leaves_all_earlier_rows_as_they_were(seed: int, days: int, gaps: float) -> None:
    dice = np.random.default_rng(seed)
    prices, events = random_market(dice, days, gaps)
    full = build_from_events(prices, events)
    cut = prices["date"].sort_values().iloc[int(dice.integers(len(prices) // 2, len(prices)))]
    known = events[events["after"].isna() | (events["after"] < cut)]
    early = build_from_events(prices[prices["date"] <= cut], known)
    pd.testing.assert_frame_equal(early, full[full.index <= cut], check_freq=False)
    was, now = back_adjust(early), back_adjust(full)
    shift = (now - was).dropna()
    assert np.allclose(shift, shift.iloc[0]), "later rolls shift all of it by one constant"


@settings(max_examples=40, deadline=None)
@markets
def test_the_increment_of_each_day_gives_what_the_rebuild_gives(seed: int, days: int, gaps: float) -> None:
    """Given that all three contracts are quoted on the first day after the roll: a series that begins later waits in the increment."""
    dice = np.random.default_rng(seed)
    prices, events = random_market(dice, days, gaps)
    full = build_from_events(prices, events)
    last = events["after"].iloc[-1]
    later = full.index[full.index > last]
    multiple = full[full.index <= later[0]]
    adjusted = back_adjust(multiple)
    for day in later[1 :: max(len(later) // 4, 1)].union(later[-1:]):
        seen = full[(full.index > last) & (full.index <= day)]
        columns = ("PRICE", "FORWARD", "CARRY")
        parts = [
            pd.DataFrame({"column": column, "contract": seen[f"{column}_CONTRACT"], "date": seen.index, "price": seen[column]})
            for column in columns
        ]
        multiple = update_multiple(multiple, pd.concat(parts).dropna())
        adjusted = update_adjusted(adjusted, multiple)
    pd.testing.assert_frame_equal(multiple[full.columns], full, check_freq=False, check_dtype=False)
    rebuilt = back_adjust(full).dropna()
    kept = adjusted.dropna()
    pd.testing.assert_series_equal(kept, rebuilt.loc[kept.index], check_freq=False)


@settings(max_examples=60, deadline=None)
@markets
def test_adjusted_changes_are_price_changes_within_a_contract_and_real_ones_across_rolls(
    seed: int, days: int, gaps: float
) -> None:
    prices, events = random_market(np.random.default_rng(seed), days, gaps)
    multiple = build_from_events(prices, events)
    priced = multiple[multiple["PRICE"].notna()]
    adjusted = back_adjust(multiple)[priced.index]
    same = priced["PRICE_CONTRACT"].to_numpy()[1:] == priced["PRICE_CONTRACT"].to_numpy()[:-1]
    change, raw = np.diff(adjusted.to_numpy()), np.diff(priced["PRICE"].to_numpy())
    assert change[same] == pytest.approx(raw[same], abs=1e-9)
    assert adjusted.to_numpy()[-1] == priced["PRICE"].to_numpy()[-1], "the last contract is unadjusted"
    spread = (priced["FORWARD"] - priced["PRICE"]).to_numpy()[:-1]
    assert change[~same] == pytest.approx(raw[~same] - spread[~same], abs=1e-9), "what a holder who rolled at the event gained"
