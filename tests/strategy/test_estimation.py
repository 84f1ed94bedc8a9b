"""Estimation from returns and forecasts: what is learnt when, from which rows, and the weights that follow."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.strategy.estimation import (
    Corrections,
    Correlation,
    CorrelationSettings,
    Estimates,
    FitPeriod,
    MomentSettings,
    Stacked,
    WeightSettings,
    adjusted_for_sharpe,
    cleaned_weights,
    correlations,
    cost_sharpe_ratios,
    cost_units,
    diversification_multiplier,
    estimated_weights,
    fit_periods,
    handcrafted,
    last_values,
    max_sharpe_weights,
    means_and_deviations,
    multiplier_over_time,
    net_returns,
    optimal_weights,
    period_estimates,
    returns_at,
    sharpe_multipliers,
    stack,
    sums,
    two_clusters,
    weight_periods,
    weights_by_member,
    with_cost_weights,
    with_equal_means,
    without_zeros,
)

CORRECTED = Corrections.all()
RAW = CorrelationSettings(cleaning=False, floor_at_zero=False, min_periods=3)
seeds = st.integers(0, 10_000)


def weekly(seed: int, rows: int, columns: int, gaps: float = 0.1, start: str = "2000-01-02") -> pd.DataFrame:
    """Correlated weekly returns; columns start one after the other and have gaps."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((rows, 1))
    values = rng.standard_normal((rows, columns)) + 0.7 * common + 0.05
    values[rng.random(values.shape) < gaps] = np.nan
    values[np.arange(rows)[:, None] < rng.integers(0, rows // 2, columns)] = np.nan
    return pd.DataFrame(values, index=pd.date_range(start, periods=rows, freq="W"), columns=[f"c{n}" for n in range(columns)])


def same(ours: Any, theirs: Any, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float), rtol=0, atol=tolerance)


# Fit periods


def test_the_reference_steps_back_from_the_last_row_so_a_further_week_moves_every_fit() -> None:
    first = pd.Timestamp("2000-01-02")
    earlier, later = (fit_periods(first, pd.Timestamp(last)) for last in ("2010-06-20", "2010-06-27"))
    assert earlier[-1].period_end == pd.Timestamp("2010-06-20")
    assert not {period.fit_end for period in earlier[1:]} & {period.fit_end for period in later[1:]}


@given(
    days=st.integers(0, 4000), more=st.integers(1, 800), interval=st.sampled_from(["12M", "M", "W", "3M", "2Y", "D"]), start=seeds
)
def test_calendar_periods_follow_on_and_stay_when_data_are_added(days: int, more: int, interval: str, start: int) -> None:
    first = pd.Timestamp("1990-01-01") + pd.Timedelta(days=start)
    last = first + pd.Timedelta(days=days)
    periods = fit_periods(first, last, "rolling", 5, interval, calendar=True)
    assert periods[0].no_data and periods[0].period_start == first
    assert periods[-1].period_start <= last < periods[-1].period_end
    for before, after in pairwise(periods):
        assert before.period_end == after.period_start == after.fit_end
        assert after.fit_start == max(first, after.fit_end - pd.DateOffset(years=5))
    longer = fit_periods(first, last + pd.Timedelta(days=more), "rolling", 5, interval, calendar=True)
    assert longer[: len(periods)] == periods


def test_calendar_periods_of_a_year_begin_on_new_year_after_at_least_a_year_of_data() -> None:
    periods = fit_periods(pd.Timestamp("2000-01-02"), pd.Timestamp("2003-01-01"), calendar=True)
    assert [period.period_start for period in periods] == list(pd.to_datetime(["2000-01-02", "2002-01-01", "2003-01-01"]))


def test_too_little_data_give_no_period_in_the_reference_and_one_without_data_in_the_calendar() -> None:
    first, last = pd.Timestamp("2000-03-05"), pd.Timestamp("2000-12-31")
    assert fit_periods(first, last) == []
    assert fit_periods(first, last, calendar=True) == [FitPeriod(first, first, first, pd.Timestamp("2002-01-01"), no_data=True)]


def test_rolling_windows_count_steps_in_the_reference() -> None:
    periods = fit_periods(pd.Timestamp("2000-01-02"), pd.Timestamp("2001-12-30"), "rolling", 5, "W")
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
        estimated_weights(stack([weekly(1, 200, 2)]), WeightSettings(frequency="Q"))


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


# Correlations


def direct_correlation(values: NDArray[np.float64], decay: float, least: float) -> NDArray[np.float64]:
    """Pair by pair from the definition."""
    size = values.shape[1]
    result = np.full((size, size), np.nan)
    for one in range(size):
        for other in range(size):
            rows = values[~np.isnan(values[:, one]) & ~np.isnan(values[:, other])]
            if len(rows) < max(least, 1):
                continue
            a, b = rows[:, one], rows[:, other]
            if (a == a[0]).all() or (b == b[0]).all():
                continue
            weight = decay ** np.arange(len(rows) - 1, -1, -1)
            a, b = a - np.average(a, weights=weight), b - np.average(b, weights=weight)
            result[one, other] = (weight @ (a * b)) / np.sqrt((weight @ (a * a)) * (weight @ (b * b)))
    return result


def window(data: Stacked, period: FitPeriod, rolling: bool) -> NDArray[np.float64]:
    stamps = pd.DatetimeIndex(data.stamps)
    after = stamps >= period.fit_start if rolling else np.full(len(stamps), True)
    return data.values[after & (stamps < period.fit_end)]


@given(
    seed=seeds,
    gaps=st.sampled_from([0.0, 0.02, 0.5]),
    method=st.sampled_from(["expanding", "rolling"]),
    interval=st.sampled_from(["12M", "W"]),
    frames=st.integers(1, 3),
    flat=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_one_pass_over_the_rows_gives_the_correlations_of_the_definition(
    seed: int, gaps: float, method: Any, interval: str, frames: int, flat: bool
) -> None:
    tables = [weekly(seed + place, 160, 5, gaps) for place in range(frames)]
    for table in tables if flat else ():
        table.iloc[40:120, 1] = 20.0
    data = stack(tables, by_key=True)
    periods = fit_periods(data.first, data.last, method, 2, interval, calendar=True)
    span = RAW.ew_lookback * frames
    for place, (period, found) in enumerate(correlations(data, periods, RAW, CORRECTED)):
        symmetric_and_bounded(found.values)
        if not period.no_data and place % 9 == 1:
            wanted = direct_correlation(window(data, period, method == "rolling"), 1 - 2 / (span + 1), RAW.min_periods * frames)
            same(found.values, wanted, 1e-9)


def symmetric_and_bounded(values: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(values, values.T)
    known = values[~np.isnan(values)]
    assert (np.abs(known) <= 1.0).all()
    diagonal = np.diagonal(values)
    assert (diagonal[~np.isnan(diagonal)] == 1.0).all()


def test_a_long_rolling_window_of_weeks_slides_to_the_correlations_of_the_definition() -> None:
    table = weekly(7, 420, 4, 0.1)
    table.iloc[60:320, 2] = 0.0
    data = stack([table])
    periods = fit_periods(data.first, data.last, "rolling", 4, "W", calendar=True)
    settings_of_half_a_year = replace(RAW, ew_lookback=25)
    for period, found in list(correlations(data, periods, settings_of_half_a_year, CORRECTED))[1::40]:
        same(found.values, direct_correlation(window(data, period, True), 1 - 2 / 26, 3), 1e-9)


def test_a_column_that_is_stuck_on_the_rows_it_shares_has_no_correlation_with_that_column() -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((150, 3))
    values[75:, 0] = 20.0 / 3.0
    values[:75, 1] = np.nan
    data = stack([pd.DataFrame(values, index=pd.date_range("2000-01-02", periods=150, freq="W"), columns=list("abc"))])
    ((_, found),) = correlations(data, fit_periods(data.first, data.last, "in_sample"), RAW)
    assert np.isnan(found.values[0, 1]) and found.values[0, 0] == 1.0
    assert not np.isnan(found.values[[0, 1], [2, 2]]).any()


@given(seed=seeds, clip=st.sampled_from([None, 0.3]), shrinkage=st.sampled_from([0.0, 0.4]), floor=st.booleans())
@settings(max_examples=30, deadline=None)
def test_cleaned_matrices_are_complete_and_keep_to_their_limits(
    seed: int, clip: float | None, shrinkage: float, floor: bool
) -> None:
    data = stack([weekly(seed, 260, 5, 0.3)])
    how = CorrelationSettings(min_periods=20, ew_lookback=60, clip=clip, shrinkage_parameter=shrinkage, floor_at_zero=floor)
    for period, found in correlations(data, fit_periods(data.first, data.last), how):
        symmetric_and_bounded(found.values)
        off_diagonal = found.values[~np.eye(5, dtype=bool)]
        if period.no_data:
            assert (off_diagonal == 0.99).all() and found.boring
            continue
        assert not floor or (off_diagonal >= 0).all()
        assert clip is None or (np.abs(off_diagonal) <= clip + 1e-15).all()


def test_matrices_are_made_one_at_a_time() -> None:
    data = stack([weekly(1, 300, 3)])
    stream = correlations(data, fit_periods(data.first, data.last, interval="W"), RAW)
    assert next(stream)[0].no_data
    assert not next(stream)[0].no_data


# Means and standard deviations


@given(seed=seeds, frames=st.integers(1, 3), gaps=st.sampled_from([0.0, 0.6]))
@settings(max_examples=25, deadline=None)
def test_means_and_deviations_equal_those_of_pandas_at_the_last_row_before_the_fit(seed: int, frames: int, gaps: float) -> None:
    data = stack([weekly(seed + place, 200, 3, gaps) for place in range(frames)])
    periods = fit_periods(data.first, data.last)
    how = MomentSettings(ew_lookback=40, min_periods=5)
    mean, deviation = means_and_deviations(data, periods, how, replace(how, min_periods=8))
    weighted = pd.DataFrame(data.values).ewm(span=40 * frames, min_periods=5 * frames)
    for place, period in enumerate(periods):
        if period.no_data:
            assert np.isnan(mean[place]).all() and np.isnan(deviation[place]).all()
            continue
        row = int(data.rows_before([period.fit_end])[0]) - 1
        same(mean[place], weighted.mean().iloc[row])
        counts = np.count_nonzero(data.present[: row + 1], axis=0)
        same(deviation[place], weighted.std().iloc[row].where(counts >= 8 * frames))


def test_plain_moments_and_corrected_rolling_ones_read_their_window_only() -> None:
    data = stack([weekly(5, 300, 2, 0.0)])
    periods = fit_periods(data.first, data.last, "rolling", 1, calendar=True)
    plain = MomentSettings(using_exponent=False, min_periods=2)
    exponential = MomentSettings(ew_lookback=20, min_periods=2)
    last = window(data, periods[-1], True)
    mean, deviation = means_and_deviations(data, periods, plain, plain, CORRECTED)
    same(mean[-1], last.mean(axis=0))
    same(deviation[-1], last.std(axis=0))
    mean, deviation = means_and_deviations(data, periods, exponential, exponential, CORRECTED)
    same(mean[-1], pd.DataFrame(last).ewm(span=20).mean().iloc[-1])
    same(deviation[-1], pd.DataFrame(last).ewm(span=20).std().iloc[-1])


def test_an_asset_that_never_moves_has_no_risk_at_all() -> None:
    table = weekly(5, 200, 2, 0.0)
    table["c1"] = 0.1
    data = stack([table])
    _, deviation = means_and_deviations(data, fit_periods(data.first, data.last), MomentSettings(), MomentSettings())
    assert deviation[-1, 1] == 0.0


# Optimisers


def estimates(seed: int, size: int, years: float = 20.0) -> Estimates:
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((size, 3)) @ rng.standard_normal((3, 60)) + rng.standard_normal((size, 60))
    correlation = Correlation(tuple(f"c{n:02d}" for n in range(size)), np.atleast_2d(np.corrcoef(factors)))
    return Estimates(correlation, rng.normal(0.05, 0.06, size), rng.uniform(0.05, 0.4, size), years)


@given(
    seed=seeds,
    size=st.integers(2, 9),
    method=st.sampled_from(["handcraft", "shrinkage", "one_period", "equal_weights"]),
    equal=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_weights_are_never_negative_and_sum_to_one_unless_handcrafted_by_likeness(
    seed: int, size: int, method: Any, equal: bool
) -> None:
    weights = optimal_weights(estimates(seed, size), WeightSettings(method=method, equalise_SR=equal))
    assert (weights >= 0).all()
    if method == "handcraft" and equal:
        assert weights.sum() >= 1 - 1e-12
    else:
        assert weights.sum() == pytest.approx(1.0)


@given(seed=seeds, size=st.integers(2, 7))
@settings(max_examples=30, deadline=None)
def test_no_search_finds_a_better_portfolio_than_the_exact_one(seed: int, size: int) -> None:
    case = estimates(seed, size)
    covariance = case.deviation[:, None] * case.correlation.values * case.deviation

    def sharpe(weights: NDArray[np.float64]) -> float:
        return float(weights @ case.mean / np.sqrt(weights @ covariance @ weights))

    best = sharpe(max_sharpe_weights(case.mean, covariance))
    others = np.random.default_rng(seed).dirichlet(np.ones(size), 50)
    assert (
        best
        >= max(sharpe(max_sharpe_weights(case.mean, covariance, "slsqp")), *map(sharpe, others), *map(sharpe, np.eye(size)))
        - 1e-9
    )


def test_the_best_portfolio_of_losing_assets_is_the_one_that_loses_least_for_its_risk() -> None:
    covariance = np.array([[0.01, 0.005], [0.005, 0.04]])
    assert list(max_sharpe_weights(np.array([-0.05, -0.02]), covariance)) == [0.0, 1.0]


def test_correlations_that_no_returns_could_have_still_give_weights() -> None:
    impossible = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    weights = max_sharpe_weights(np.full(3, 0.1), impossible)
    assert (weights >= 0).all() and weights.sum() == pytest.approx(1.0)


def test_two_likes_and_an_unlike_are_split_in_that_way_and_weighted_half_and_half() -> None:
    correlation = Correlation(("a", "b", "c"), np.array([[1.0, 0.1, 0.8], [0.1, 1.0, 0.1], [0.8, 0.1, 1.0]]))
    one, other = two_clusters(correlation)
    assert (list(one), list(other)) == ([0, 2], [1])
    weights = handcrafted(correlation)
    assert weights[1] == 0.5 and weights[0] == weights[2] == pytest.approx(0.25 / np.sqrt(0.9))


def test_assets_that_cannot_be_told_apart_take_turns() -> None:
    same_everywhere = Correlation.constant(("a", "b", "c", "d", "e"), 0.5)
    assert [list(group) for group in two_clusters(replace(same_everywhere, boring=False))] == [[0, 2, 4], [1, 3]]


def test_assets_without_estimates_are_set_aside() -> None:
    case = estimates(4, 5)
    mean = case.mean.copy()
    mean[1] = np.nan
    values = case.correlation.values.copy()
    values[3, :] = values[:, 3] = np.nan
    part = replace(case, mean=mean, correlation=replace(case.correlation, values=values))
    assert list(np.isnan(optimal_weights(part, WeightSettings()))) == [False, True, False, True, False]


def test_a_lone_asset_counts_only_when_corrected() -> None:
    lone = Estimates(Correlation(("a",), np.array([[1.0]])), np.array([0.1]), np.array([0.2]), 5.0)
    assert np.isnan(optimal_weights(lone, WeightSettings())).all()
    assert list(optimal_weights(lone, WeightSettings(), lone_asset=True)) == [1.0]


def test_methods_that_do_not_exist_or_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="equalise_vols"):
        optimal_weights(estimates(1, 3), WeightSettings(equalise_vols=False))
    with pytest.raises(ConfigError, match="method"):
        optimal_weights(estimates(1, 3), WeightSettings(method="guess"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="solver"):
        max_sharpe_weights(np.ones(2), np.eye(2), "luck")  # type: ignore[arg-type]


@given(correlation=st.floats(-0.5, 0.95), years=st.floats(1, 60))
def test_a_better_sharpe_ratio_never_lowers_a_weight(correlation: float, years: float) -> None:
    multipliers = sharpe_multipliers(np.linspace(-2, 2, 41), correlation, years)
    assert (np.diff(multipliers) >= -1e-12).all()
    assert multipliers[20] == 1.0 and multipliers.min() >= 0.0 and multipliers.max() <= 2.0


def test_a_sharpe_ratio_counts_the_more_the_longer_it_was_observed() -> None:
    shorter, longer = (sharpe_multipliers(np.array([0.5]), 0.3, years)[0] for years in (2.0, 50.0))
    assert 1.0 < shorter < longer


def test_weights_adjusted_for_sharpe_sum_to_one_and_favour_the_better() -> None:
    weights = adjusted_for_sharpe(np.array([0.5, np.nan, 0.5]), np.array([0.2, 9.0, 0.8]), 0.2, 30.0)
    assert np.isnan(weights[1]) and np.nansum(weights) == pytest.approx(1.0) and weights[2] > weights[0]


# Diversification


@given(size=st.integers(1, 8), correlation=st.floats(0, 1))
def test_equal_assets_diversify_by_the_textbook(size: int, correlation: float) -> None:
    matrix = np.full((size, size), correlation)
    np.fill_diagonal(matrix, 1.0)
    variance = (1 + (size - 1) * correlation) / size
    assert diversification_multiplier(matrix, np.full(size, 1 / size), 2.0) == pytest.approx(min(1 / np.sqrt(variance), 2.0))


def test_nothing_known_or_nothing_held_is_not_multiplied() -> None:
    unknown = np.array([[1.0, np.nan], [np.nan, 1.0]])
    assert diversification_multiplier(unknown, np.array([0.5, 0.5]), 2.5) == 1.0
    assert diversification_multiplier(np.eye(2), np.zeros(2), 2.5) == 1.0


def test_a_multiplier_uses_the_weights_at_the_start_of_a_period_or_those_of_each_day() -> None:
    days = pd.bdate_range("2020-01-01", periods=6)
    weights = pd.DataFrame({"a": [1.0, 1.0, 1.0, 0.5, 0.5, 0.5], "b": [0.0, 0.0, 0.0, 0.5, 0.5, 0.5]}, index=days)
    period = FitPeriod(days[0], days[1], days[1], days[-1])
    known = [(period, Correlation(("a", "b", "not held"), np.eye(3)))]
    almost_unsmoothed = {"dm_max": 2.5, "ewma_span": 1.0}
    assert list(multiplier_over_time(known, weights, **almost_unsmoothed)) == [1.0] * 6
    current = multiplier_over_time(known, weights, **almost_unsmoothed, current_weights=True)
    same(current, [1.0, 1.0, 1.0, np.sqrt(2), np.sqrt(2), np.sqrt(2)])


def test_a_period_that_starts_microseconds_after_midnight_holds_from_the_next_day() -> None:
    days = pd.bdate_range("2020-01-01", periods=3)
    start = days[1] + pd.Timedelta(microseconds=5)
    weights = pd.DataFrame(0.5, index=days, columns=["a", "b"])
    raw = multiplier_over_time(
        [(FitPeriod(days[0], start, start, days[2]), Correlation(("a", "b"), np.eye(2)))], weights, 2.5, 1.0
    )
    same(raw, [1.0, 1.0, np.sqrt(2)])


# Weights


@given(seed=seeds, size=st.integers(1, 8))
def test_cleaned_weights_give_newcomers_a_small_share(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random(size) < 0.5, rng.random(size) + 0.01, np.nan)
    has_data = ~np.isnan(weights) | (rng.random(size) < 0.5)
    due = np.isnan(weights) & has_data
    cleaned = cleaned_weights(weights, has_data)
    if np.isnan(weights).all() or not due.any():
        np.testing.assert_array_equal(cleaned, weights)
        return
    assert cleaned.sum() == pytest.approx(1.0) and (cleaned >= 0).all()
    assert (cleaned[due] > 0).all() and (cleaned[np.isnan(weights) & ~has_data] == 0).all()


def test_weights_are_all_zero_where_no_asset_has_data() -> None:
    assert list(cleaned_weights(np.array([0.3, np.nan]), np.array([False, False]))) == [0.0, 0.0]


WEIGHTS = WeightSettings(
    correlation_estimate=CorrelationSettings(ew_lookback=500, min_periods=10, cleaning=False),
    mean_estimate=MomentSettings(ew_lookback=500, min_periods=5),
    vol_estimate=MomentSettings(ew_lookback=500, min_periods=5),
)


@given(
    seed=seeds,
    dropped=st.integers(1, 60),
    method=st.sampled_from(["handcraft", "shrinkage"]),
    dates=st.sampled_from(["expanding", "rolling"]),
    exponential=st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_corrected_estimates_and_weights_never_change_when_days_are_added(
    seed: int, dropped: int, method: Any, dates: Any, exponential: bool
) -> None:
    rng = np.random.default_rng(seed)
    daily = [
        pd.DataFrame(rng.standard_normal((1400, 3)), index=pd.bdate_range("2000-01-03", periods=1400), columns=list("abc")).mask(
            rng.random((1400, 3)) < 0.1
        )
        for _ in range(2)
    ]
    how = replace(
        WEIGHTS,
        method=method,
        date_method=dates,
        rollyears=2,
        correlation_estimate=replace(WEIGHTS.correlation_estimate, using_exponent=exponential),
        mean_estimate=replace(WEIGHTS.mean_estimate, using_exponent=exponential),
    )

    def weights(days: int) -> pd.DataFrame:
        tables = [sums(table.iloc[:days], "W", missing_stays_missing=True) for table in daily]
        return estimated_weights(stack(tables, by_key=True), how, CORRECTED)

    longer, shorter = weights(1400), weights(1400 - dropped)
    assert len(shorter) >= 4
    pd.testing.assert_frame_equal(longer.iloc[: len(shorter)], shorter, check_exact=True)


def test_the_first_period_has_equal_weights_and_too_little_data_are_refused_or_weighted_alike() -> None:
    short = stack([weekly(2, 30, 4)])
    with pytest.raises(DataError, match="too short"):
        estimated_weights(short, WEIGHTS)
    table = estimated_weights(short, WEIGHTS, CORRECTED)
    assert table.shape == (1, 4) and (table == 0.25).all(axis=None)


def test_pooled_data_count_as_many_years_as_there_are_tables_unless_corrected() -> None:
    data = stack([weekly(seed, 300, 2, 0.0) for seed in range(3)])
    periods = weight_periods(data, WEIGHTS)
    counted, corrected = (
        np.array([one.estimates.years for one in period_estimates(data, periods, WEIGHTS, Corrections(calendar_length=flag))][1:])
        for flag in (False, True)
    )
    same(counted / corrected, np.full(len(counted), 3.0), 0.1)


def test_rolling_windows_matter_to_exponential_estimates_only_when_corrected() -> None:
    data = stack([weekly(9, 500, 4, 0.0)])
    rolling = replace(WEIGHTS, date_method="rolling", rollyears=2, equalise_SR=True, cleaning=False)
    same(estimated_weights(data, rolling), estimated_weights(data, replace(rolling, date_method="expanding")))
    corrected = Corrections(rolling_window=True)
    expanding = estimated_weights(data, replace(rolling, date_method="expanding"), corrected)
    assert (estimated_weights(data, rolling, corrected) - expanding).abs().iloc[-1].max() > 1e-3


def test_dear_assets_lose_weight_to_cheap_ones() -> None:
    table = pd.DataFrame([[0.5, 0.5], [np.nan, np.nan]], columns=["cheap", "dear"])
    moved = with_cost_weights(table, pd.Series({"dear": -0.4, "cheap": -0.01}))
    assert moved.iloc[0].sum() == pytest.approx(1.0) and moved["cheap"][0] > 0.6
    assert moved.iloc[1].isna().all()


# Net returns


def daily_pandl(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        rng.standard_normal((900, 3)) * [1, 2, 5] + 0.05, index=pd.bdate_range("2000-01-03", periods=900), columns=list("abc")
    )
    return table.mask(rng.random(table.shape) < 0.1, 0.0).mask(rng.random(table.shape) < 0.05)


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


@given(seed=seeds, corrected=st.booleans(), missing=st.booleans())
@settings(max_examples=8, deadline=None)
def test_one_pass_for_many_cost_levels_gives_the_weights_of_each_by_itself(seed: int, corrected: bool, missing: bool) -> None:
    gross = [daily_pandl(seed + place).iloc[200 * place :] for place in range(3)]
    costs = pd.DataFrame(-np.random.default_rng(seed).uniform(0, 0.5, (2, 3)), index=["one", "other"], columns=list("abc"))
    corrections = CORRECTED if corrected else Corrections()

    def stacked(tables: list[pd.DataFrame]) -> Stacked:
        return stack([sums(table, "W", missing_stays_missing=missing) for table in tables])

    shared = weights_by_member(
        stacked([without_zeros(table) for table in gross]), stacked(list(map(cost_units, gross))), costs, WEIGHTS, corrections
    )
    for member in costs.index:
        alone = estimated_weights(stacked([net_returns(table, costs.loc[member]) for table in gross]), WEIGHTS, corrections)
        pd.testing.assert_frame_equal(shared[member], alone, rtol=0, atol=1e-9)


# Settings


def test_settings_are_read_off_a_section_of_a_strategy_file() -> None:
    section = SimpleNamespace(method="shrinkage", rollyears=7, unknown=1, mean_estimate=SimpleNamespace(ew_lookback=33))
    wanted = WeightSettings(method="shrinkage", rollyears=7, mean_estimate=MomentSettings(ew_lookback=33))
    assert WeightSettings.like(section) == wanted
