"""Cleaning, merging and checking of contract bars, and their daily and hourly views."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from tests.reference.bars import (
    MergeStatus,
    append_only_merge,
    clean_bars,
    closing_rows,
    daily_prices,
    find_spike,
    full_merge,
    merged_table,
    update_bars,
)
from tradeflow_core.errors import DataError
from tradeflow_core.prices import contract_volume
from tradeflow_core.series import at_close, daily_volume, hourly_prices, spike_units
from tradeflow_core.series.bars import business_dates, intraday_rows

NAN = float("nan")


def bars(values: dict[str, float], volume: float = 10.0) -> pd.DataFrame:
    """FINAL by stamp; OPEN, HIGH and LOW are the same, VOLUME is constant."""
    final = pd.Series(values, dtype=float)
    columns = dict.fromkeys(("OPEN", "HIGH", "LOW", "FINAL"), final.to_numpy()) | {"VOLUME": volume}
    return pd.DataFrame(columns, index=pd.DatetimeIndex(final.index, name="date"))


def daily(*prices: float, start: str = "2024-01-01") -> pd.DataFrame:
    stamps = pd.date_range(f"{start} 23:00", periods=len(prices))
    return bars({str(stamp): price for stamp, price in zip(stamps, prices, strict=True)})


def wiggle(rows: int) -> list[float]:
    """Prices that move one point up, then one down."""
    return [100.0 + row % 2 for row in range(rows)]


EMPTY = daily(1.0).iloc[:0]


def test_bars_that_have_not_happened_yet_and_prices_of_zero_are_dropped() -> None:
    table = daily(1.0, 0.0, NAN, -2.0, 5.0)
    now = table.index[-1]
    np.testing.assert_equal(clean_bars(table, now)["FINAL"].to_numpy(), [1.0, NAN, -2.0])
    assert clean_bars(table, now, ignore_future=False, ignore_zero_prices=False).equals(table)
    np.testing.assert_equal(clean_bars(table, now, ignore_negative_prices=True)["FINAL"].to_numpy(), [1.0, NAN])
    assert clean_bars(bars({"2024-01-01": 1.0}, volume=0.0), now, ignore_zero_volumes=True).empty


def test_appending_takes_only_rows_after_the_last_old_one_and_revises_nothing() -> None:
    merge = append_only_merge(daily(1.0, NAN, 3.0), daily(91.0, 92.0, 93.0, 94.0, 95.0))
    np.testing.assert_equal(merge.result["FINAL"].to_numpy(), [1.0, NAN, 3.0, 94.0, 95.0])
    assert (merge.status, merge.join_date) == (MergeStatus.MERGED, pd.Timestamp("2024-01-04 23:00"))


def test_appending_to_nothing_or_nothing_new_says_so() -> None:
    assert append_only_merge(EMPTY, daily(1.0)).status is MergeStatus.ONLY_NEW
    assert append_only_merge(daily(1.0), EMPTY).status is MergeStatus.ONLY_OLD
    assert append_only_merge(EMPTY, EMPTY).status is MergeStatus.ONLY_OLD
    assert append_only_merge(daily(1.0, 2.0), daily(7.0)).status is MergeStatus.ONLY_OLD


def test_a_change_over_four_days_counts_half_as_much_as_over_one() -> None:
    prices = pd.Series([100.0, 102.0, 106.0], index=pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-06"]))
    units = spike_units(prices)
    assert units.iloc[0] == 1.0
    assert units.iloc[1] == pytest.approx(1.0)


def test_a_price_that_is_missing_makes_two_changes_unknown() -> None:
    units = spike_units(daily(1.0, 2.0, NAN, 3.0, 4.0)["FINAL"])
    assert units.isna().tolist() == [False, True, True, False]


def test_a_jump_beyond_the_limit_is_a_spike_and_one_before_the_new_rows_is_not_looked_for() -> None:
    prices = daily(*wiggle(50), 200.0, *wiggle(5))["FINAL"]
    spike = find_spike(prices)
    assert spike is not None and spike.date == prices.index[50] and spike.units > 8
    assert find_spike(prices, since=prices.index[53]) is None
    assert find_spike(prices, limit=1000.0) is None
    assert find_spike(daily(1.0)["FINAL"]) is None


def test_a_first_move_after_a_flat_history_is_a_spike() -> None:
    assert find_spike(daily(*[100.0] * 50, 100.01)["FINAL"]) is not None


def test_an_update_reports_a_spike_among_its_new_rows_even_if_they_come_unsorted() -> None:
    old = daily(*wiggle(50))
    new = daily(200.0, *wiggle(3), start="2024-02-20").iloc[::-1]
    merge, spike = update_bars(old, new)
    assert merge.join_date == new.index.min()
    assert spike is not None and spike.date == new.index.min()
    assert update_bars(old, new, limit=None)[1] is None
    assert update_bars(daily(*wiggle(20), 200.0), EMPTY)[1] is None


def test_ten_rows_of_an_entirely_new_contract_are_hardly_ever_refused() -> None:
    assert update_bars(EMPTY, daily(*wiggle(5), 110.0, *wiggle(4)))[1] is None


def test_a_repair_keeps_every_stamp_of_both_tables() -> None:
    old, new = daily(1.0, NAN, 3.0), daily(92.0, 93.0, 94.0, start="2024-01-02")
    kept = full_merge(old, new)
    assert kept.result["FINAL"].tolist() == [1.0, 92.0, 3.0, 94.0]
    assert kept.join_date == pd.Timestamp("2024-01-02 23:00")
    overwritten = full_merge(old, new, overwrite=True)
    assert overwritten.result["FINAL"].tolist() == [1.0, 92.0, 93.0, 94.0]
    assert full_merge(old, old).status is MergeStatus.ONLY_OLD
    assert full_merge(EMPTY, new).status is MergeStatus.ONLY_NEW
    assert full_merge(old, EMPTY).result.equals(old)


def test_a_repair_counts_an_added_row_as_a_change_even_if_its_values_were_seen_before() -> None:
    merge = full_merge(daily(1.0, 1.0), daily(1.0, start="2023-12-31"))
    assert (merge.status, merge.join_date, len(merge.result)) == (MergeStatus.MERGED, pd.Timestamp("2023-12-31 23:00"), 3)


def test_a_repair_refuses_double_stamps() -> None:
    with pytest.raises(DataError, match=r"new bars.*2024-01-01"):
        full_merge(daily(1.0), pd.concat([daily(1.0), daily(2.0)]))


def test_in_the_merged_table_the_daily_bar_wins_where_it_has_a_value() -> None:
    intraday = bars({"2024-01-01 10:00": 1.0, "2024-01-01 23:00": 2.0})
    closes = bars({"2024-01-01 23:00": 3.0}).assign(VOLUME=NAN)
    merged = merged_table(intraday, closes)
    assert merged["FINAL"].tolist() == [1.0, 3.0]
    assert merged["VOLUME"].tolist() == [10.0, 10.0]
    assert merged_table(intraday, EMPTY).equals(intraday)


def test_closing_rows_are_those_of_23_00_00_in_the_tables_own_time_zone() -> None:
    table = bars({"2024-01-01 22:00": 1.0, "2024-01-01 23:00": 2.0, "2024-01-01 23:00:01": 3.0, "2024-01-01 23:00:00.5": 4.0})
    assert closing_rows(table)["FINAL"].tolist() == [2.0, 4.0]
    assert intraday_rows(table)["FINAL"].tolist() == [1.0, 3.0]
    tokyo = table.set_index(pd.DatetimeIndex(table.index).tz_localize("UTC").tz_convert("Asia/Tokyo"))
    assert closing_rows(tokyo).empty


def test_dates_become_closes_and_other_stamps_stay() -> None:
    stamps = at_close(pd.DatetimeIndex(["2024-01-01", "2024-01-02 10:00"]))
    assert stamps.tolist() == [pd.Timestamp("2024-01-01 23:00"), pd.Timestamp("2024-01-02 10:00")]


def test_the_weekend_belongs_to_friday() -> None:
    stamps = pd.DatetimeIndex(["2024-03-01 10:00", "2024-03-02", "2024-03-03 22:30", "2024-03-04 00:00"])
    assert business_dates(stamps).tolist() == [pd.Timestamp("2024-03-01")] * 3 + [pd.Timestamp("2024-03-04")]


def test_a_daily_price_is_the_last_of_its_business_day_and_missing_where_nothing_traded() -> None:
    prices = bars({"2024-03-01 10:00": 1.0, "2024-03-03 22:30": 2.0, "2024-03-04 09:00": NAN, "2024-03-06 09:00": 4.0})["FINAL"]
    daily_series = daily_prices(prices)
    assert daily_series.index.equals(pd.bdate_range("2024-03-01", "2024-03-06"))
    np.testing.assert_equal(daily_series.to_numpy(), [2.0, NAN, NAN, 4.0])


def test_hourly_prices_leave_out_closes_and_empty_hours() -> None:
    table = bars({"2024-03-01 10:05": 1.0, "2024-03-01 10:55": 2.0, "2024-03-01 12:00": NAN, "2024-03-01 23:00": 4.0})
    assert hourly_prices(table["FINAL"]).to_dict() == {pd.Timestamp("2024-03-01 10:00"): 2.0}
    assert hourly_prices(table).index.tolist() == [pd.Timestamp("2024-03-01 10:00")]


def test_volume_of_a_day_is_that_of_its_close_otherwise_the_sum_of_its_hours() -> None:
    stamps = pd.DatetimeIndex(
        ["2024-03-01 10:00", "2024-03-01 11:00", "2024-03-01 23:00", "2024-03-04 10:00", "2024-03-04 11:00"]
    )
    assert daily_volume(pd.Series([1.0, 2.0, 50.0, 3.0, 4.0], index=stamps)).tolist() == [50.0, 7.0]
    np.testing.assert_equal(daily_volume(pd.Series([1.0, 2.0, 0.0, 0.0, 0.0], index=stamps)).to_numpy(), [3.0, NAN])
    closes = pd.Series([5.0, 6.0], index=pd.DatetimeIndex(["2024-03-01 23:00", "2024-03-04 23:00"]))
    assert daily_volume(closes).index.equals(pd.bdate_range("2024-03-01", "2024-03-04"))


STAMPS = st.lists(st.integers(0, 30), max_size=15, unique=True)


@settings(max_examples=60, deadline=None)
@given(STAMPS.map(sorted), STAMPS)
def test_appending_twice_is_appending_once_and_old_rows_always_come_first(old_days: list[int], new_days: list[int]) -> None:
    start = pd.Timestamp("2024-01-01 23:00")
    old, new = (
        bars({str(start + pd.Timedelta(days=day)): mark + day for day in days})
        for days, mark in ((old_days, 0.0), (new_days, 1e3))
    )
    merge = append_only_merge(old, new)
    assert merge.result.iloc[: len(old)].equals(old)
    assert append_only_merge(merge.result.sort_index(), new).status is MergeStatus.ONLY_OLD
    assert set(merge.result.index) - set(old.index) == {stamp for stamp in new.index if not len(old) or stamp > old.index[-1]}


def test_the_volume_of_a_contract_s_day_is_its_daily_bar_s_otherwise_the_sum_of_its_hours() -> None:
    """In the time zone of the desk: the Chicago evening of the 5th is of that day, though in UTC it is the 6th."""
    hours = pd.DatetimeIndex(["2024-03-05 15:00", "2024-03-06 02:00", "2024-03-06 05:00", "2024-03-06 15:00"], tz="UTC")
    hourly = pd.DataFrame({"contract": 20240600, "frequency": "H", "start": hours, "end": hours + pd.Timedelta(hours=1)})
    days = pd.DatetimeIndex(["2024-03-05 14:30", "2024-03-07 14:30"], tz="UTC")
    daily = pd.DataFrame({"contract": 20240600, "frequency": "D", "start": days, "end": days + pd.Timedelta(hours=6)})
    bars = pd.concat([daily.assign(VOLUME=[90.0, 0.0]), hourly.assign(VOLUME=[10.0, 20.0, 1.0, 40.0])])
    volume = contract_volume(bars, 20240600, "America/Chicago")
    assert volume.index.tolist() == pd.bdate_range("2024-03-05", "2024-03-07").tolist()
    assert volume.tolist()[:2] == [90.0, 40.0] and np.isnan(volume.iloc[2])
    assert contract_volume(bars, 20240900, "America/Chicago").empty
