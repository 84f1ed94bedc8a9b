"""Fit periods and the data that estimates are made from: what is learnt when, and from which rows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from tests.strategy.returns import daily_pandl, same, weekly
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.estimates import WeightEstimate
from tradeflow_core.strategy.estimation import (
    FitPeriod,
    cost_sharpe_ratios,
    estimated_weights,
    fit_periods,
    last_values,
    net_returns,
    returns_at,
    stack,
    sums,
    with_equal_means,
    without_zeros,
)

CALENDAR = frozenset({Correction.CALENDAR_FITS})
seeds = st.integers(0, 10_000)


# Fit periods


def test_the_reference_steps_back_from_the_last_row_so_a_further_week_moves_every_fit() -> None:
    first = pd.Timestamp("2000-01-02")
    earlier, later = (fit_periods(first, pd.Timestamp(last)) for last in ("2010-06-20", "2010-06-27"))
    assert earlier[-1].period_end == pd.Timestamp("2010-06-20")
    assert not {period.fit_end for period in earlier[1:]} & {period.fit_end for period in later[1:]}


@given(
    days=st.integers(0, 1500), more=st.integers(1, 500), interval=st.sampled_from(["12M", "M", "W", "3M", "2Y", "D"]), start=seeds
)
@settings(deadline=None)
def test_calendar_periods_follow_on_and_stay_when_data_are_added(days: int, more: int, interval: str, *, start: int) -> None:
    first = pd.Timestamp("1990-01-01") + pd.Timedelta(days=start)
    last = first + pd.Timedelta(days=days)
    periods = fit_periods(first, last, "rolling", rollyears=5, interval=interval, corrections=CALENDAR)
    assert periods[0].no_data and periods[0].period_start == first
    assert periods[-1].period_start <= last < periods[-1].period_end
    for before, after in pairwise(periods):
        assert before.period_end == after.period_start == after.fit_end
        assert after.fit_start == max(first, after.fit_end - pd.DateOffset(years=5))
    longer = fit_periods(first, last + pd.Timedelta(days=more), "rolling", rollyears=5, interval=interval, corrections=CALENDAR)
    assert longer[: len(periods)] == periods


def test_calendar_periods_of_a_year_begin_on_new_year_after_at_least_a_year_of_data() -> None:
    periods = fit_periods(pd.Timestamp("2000-01-02"), pd.Timestamp("2003-01-01"), corrections=CALENDAR)
    assert [period.period_start for period in periods] == list(pd.to_datetime(["2000-01-02", "2002-01-01", "2003-01-01"]))


def test_too_little_data_give_no_period_in_the_reference_and_one_without_data_in_the_calendar() -> None:
    first, last = pd.Timestamp("2000-03-05"), pd.Timestamp("2000-12-31")
    assert fit_periods(first, last) == []
    assert fit_periods(first, last, corrections=CALENDAR) == [
        FitPeriod(first, first, first, pd.Timestamp("2002-01-01"), no_data=True)
    ]


def test_rolling_windows_count_steps_in_the_reference() -> None:
    periods = fit_periods(pd.Timestamp("2000-01-02"), pd.Timestamp("2001-12-30"), "rolling", rollyears=5, interval="W")
    assert periods[-1].fit_end - periods[-1].fit_start == pd.Timedelta(weeks=5)


@pytest.mark.parametrize("wrong", [{"interval": "fortnight"}, {"interval": "0M"}, {"date_method": "sometimes"}])
def test_unknown_intervals_and_methods_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        fit_periods(pd.Timestamp("2000-01-02"), pd.Timestamp("2010-01-03"), **wrong)


# Bins and stacking


@given(seed=seeds, frequency=st.sampled_from(["W", "ME", "YE", "D"]))
@settings(max_examples=30, deadline=None)
def test_bins_equal_those_of_pandas(seed: int, frequency: str) -> None:
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2019-12-20", periods=200)[np.sort(rng.choice(200, 60, replace=False))]
    frame = pd.DataFrame(rng.standard_normal((60, 3)), index=days).mask(rng.random((60, 3)) < 0.4)
    ours = frequency.removesuffix("E")
    assert list(sums(frame, ours).index) == list(frame.resample(frequency).sum().index)
    same(sums(frame, ours), frame.resample(frequency).sum())
    same(sums(frame, ours, missing_stays_missing=True), frame.resample(frequency).sum(min_count=1))
    same(last_values(frame, ours), frame.resample(frequency).last())


def test_seven_day_bins_count_from_the_first_row_and_carry_their_first_day() -> None:
    days = pd.date_range("2024-01-03", periods=15)
    found = last_values(pd.DataFrame({"a": np.arange(15.0)}, index=days), "7D")
    assert list(found.index) == list(pd.to_datetime(["2024-01-03", "2024-01-10", "2024-01-17"]))
    assert list(found["a"]) == [6.0, 13.0, 14.0]


def test_weekend_stamps_belong_to_friday_in_business_day_bins() -> None:
    days = pd.DatetimeIndex(["2024-06-07", "2024-06-08", "2024-06-10"])
    assert list(sums(pd.DataFrame({"a": [1.0, 2.0, 4.0]}, index=days), "B")["a"]) == [3.0, 4.0]


def test_an_unknown_frequency_is_refused() -> None:
    with pytest.raises(ConfigError, match="frequency"):
        sums(weekly(1, 10, 1), "Q")
    with pytest.raises(ConfigError, match="frequency"):
        estimated_weights(stack([weekly(1, 200, 2)]), WeightEstimate.model_construct(frequency="Q"))


def test_returns_of_a_week_are_the_change_of_accumulated_daily_returns() -> None:
    daily = pd.DataFrame(
        {"a": [1.0, 2.0, np.nan, 4.0]}, index=pd.to_datetime(["2024-01-04", "2024-01-05", "2024-01-10", "2024-01-18"])
    )
    np.testing.assert_array_equal(returns_at(daily, "W")["a"], [np.nan, 0.0, 4.0])
    np.testing.assert_array_equal(returns_at(daily, "W", forward_fill=False)["a"], [np.nan, np.nan, np.nan])


def test_stacked_rows_are_ordered_by_date_then_table_and_missing_outside_a_table_s_own_rows() -> None:
    one, two = weekly(1, 3, 2, gaps=0.0).fillna(0.5), weekly(2, 2, 2, gaps=0.0, start="2000-01-09").fillna(0.5)
    data = stack([one, two])
    assert data.frames == 2 and data.values.shape == (6, 2)
    assert list(data.stamps[1::2] - data.stamps[0::2]) == [1000] * 3
    same(data.values[0::2], one)
    same(data.values[1::2], two.reindex(one.index))
    assert (stack([one, two], by_key=True).stamps.reshape(3, 2) == data.stamps[0::2, None]).all()


def test_a_column_that_a_table_lacks_is_zero_in_the_reference_and_missing_by_key() -> None:
    both, lacking = weekly(1, 3, 2, gaps=0.0).fillna(0.5), weekly(2, 3, 1, gaps=0.0).fillna(0.5)
    assert list(stack([both, lacking]).values[1::2, 1]) == [0.0] * 3
    assert np.isnan(stack([both, lacking], by_key=True).values[1::2, 1]).all()


def test_rows_without_order_or_no_rows_at_all_are_refused() -> None:
    with pytest.raises(DataError, match="ascending"):
        stack([weekly(1, 5, 1)[::-1]])
    with pytest.raises(DataError, match="no rows"):
        stack([])


# Net returns


def test_costs_that_arise_on_trading_days_only_are_spread_over_all_days_when_corrected() -> None:
    gross = daily_pandl(1)
    trading = pd.Series(np.arange(900) % 10 == 0, index=gross.index)
    costs = (0.0 * gross).mask(trading, -1.0).where(gross.notna())
    per_trade, per_day = cost_sharpe_ratios(gross, costs), cost_sharpe_ratios(gross, costs, over_all_days=True)
    same(per_trade, -16 / without_zeros(gross).std())
    same(per_trade / per_day, [10, 10, 10], 1.0)


def test_net_returns_are_lower_by_the_cost_in_units_of_risk() -> None:
    gross = daily_pandl(2)
    cost = pd.Series({"a": -0.1, "b": -0.4, "c": 0.0})
    moving = without_zeros(gross)
    net = net_returns(gross, cost)
    same(net.isna(), moving.isna())
    same((net.mean() - moving.mean()) * 16 / moving.std(), cost)


def test_equalised_gross_returns_have_one_mean() -> None:
    tables = with_equal_means([daily_pandl(3), daily_pandl(4)])
    every = pd.concat([table.mean() for table in tables])
    same(every, np.full(6, every.iloc[0]))
