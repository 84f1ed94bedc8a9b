"""Correlations, means and weights for every fit period."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from tests.strategy.returns import daily_pandl, same, weekly
from tradeflow_core.errors import DataError
from tradeflow_core.strategy.config.compat import ALL, REFERENCE, Correction, Corrections
from tradeflow_core.strategy.config.estimates import CorrelationEstimate, MomentEstimate, WeightEstimate
from tradeflow_core.strategy.estimation import (
    FitPeriod,
    SharedReturns,
    Stacked,
    cleaned_weights,
    correlations,
    cost_units,
    estimated_weights,
    fit_periods,
    means_and_deviations,
    net_returns,
    period_estimates,
    stack,
    sums,
    weight_periods,
    weights_of,
    with_cost_weights,
    without_zeros,
)

CORRECTED = ALL
RAW = CorrelationEstimate(cleaning=False, floor_at_zero=False, min_periods=3)
CALENDAR = frozenset({Correction.CALENDAR_FITS})
seeds = st.integers(0, 10_000)


Chosen = TypeVar("Chosen", CorrelationEstimate, MomentEstimate, WeightEstimate)


def changed(section: Chosen, **values: Any) -> Chosen:
    """A section with other values."""
    return section.model_copy(update=values)


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
    periods = fit_periods(data.first, data.last, method, rollyears=2, interval=interval, corrections=CALENDAR)
    span = RAW.ew_lookback * frames
    for place, (period, found) in enumerate(correlations(data, periods, RAW, corrections=CORRECTED)):
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
    periods = fit_periods(data.first, data.last, "rolling", rollyears=4, interval="W", corrections=CALENDAR)
    settings_of_half_a_year = changed(RAW, ew_lookback=25)
    for period, found in list(correlations(data, periods, settings_of_half_a_year, corrections=CORRECTED))[1::40]:
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
def test_cleaned_matrices_keep_to_their_limits_and_are_complete_once_any_correlation_is_known(
    seed: int, clip: float | None, shrinkage: float, floor: bool
) -> None:
    data = stack([weekly(seed, 260, 5, 0.3)])
    how = CorrelationEstimate(min_periods=20, ew_lookback=60, clip=clip, shrinkage_parameter=shrinkage, floor_at_zero=floor)
    periods = fit_periods(data.first, data.last)
    untouched = correlations(data, periods, changed(how, cleaning=False, clip=None, shrinkage_parameter=0.0))
    for (period, found), (_, raw) in zip(correlations(data, periods, how), untouched, strict=True):
        symmetric_and_bounded(found.values)
        off_diagonal = found.values[~np.eye(5, dtype=bool)]
        if period.no_data:
            assert (off_diagonal == 0.99).all() and found.boring
            continue
        assert not floor or not (off_diagonal < 0).any()
        assert clip is None or not (np.abs(off_diagonal) > clip + 1e-15).any()
        assert np.isnan(raw.average) or not np.isnan(off_diagonal).any()


def test_without_any_known_correlation_there_is_no_average_to_fill_gaps_with() -> None:
    table = weekly(1, 150, 3, 0.0).assign(c0=1.0)
    table["c1"], table["c2"] = table["c2"].fillna(0.5), np.nan
    data = stack([table])
    ((_, found),) = correlations(data, fit_periods(data.first, data.last, "in_sample"), CorrelationEstimate())
    np.testing.assert_array_equal(found.values, [[1.0, np.nan, 0.99], [np.nan, 1.0, 0.99], [0.99, 0.99, 1.0]])


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
    how = MomentEstimate(ew_lookback=40, min_periods=5)
    mean, deviation = means_and_deviations(data, periods, how, deviation=changed(how, min_periods=8))
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
    periods = fit_periods(data.first, data.last, "rolling", rollyears=1, corrections=CALENDAR)
    plain = MomentEstimate(using_exponent=False, min_periods=2)
    exponential = MomentEstimate(ew_lookback=20, min_periods=2)
    last = window(data, periods[-1], True)
    mean, deviation = means_and_deviations(data, periods, plain, deviation=plain, corrections=CORRECTED)
    same(mean[-1], last.mean(axis=0))
    same(deviation[-1], last.std(axis=0))
    mean, deviation = means_and_deviations(data, periods, exponential, deviation=exponential, corrections=CORRECTED)
    same(mean[-1], pd.DataFrame(last).ewm(span=20).mean().iloc[-1])
    same(deviation[-1], pd.DataFrame(last).ewm(span=20).std().iloc[-1])


def test_an_asset_that_never_moves_has_no_risk_at_all() -> None:
    table = weekly(5, 200, 2, 0.0)
    table["c1"] = 0.1
    data = stack([table])
    _, deviation = means_and_deviations(data, fit_periods(data.first, data.last), MomentEstimate(), deviation=MomentEstimate())
    assert deviation[-1, 1] == 0.0


# Weights


@given(seed=seeds, size=st.integers(1, 8))
@settings(deadline=None)
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


WEIGHTS = WeightEstimate(
    correlation_estimate=CorrelationEstimate(ew_lookback=500, min_periods=10, cleaning=False),
    mean_estimate=MomentEstimate(ew_lookback=500, min_periods=5),
    vol_estimate=MomentEstimate(ew_lookback=500, min_periods=5),
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
    how = changed(
        WEIGHTS,
        method=method,
        date_method=dates,
        rollyears=2,
        correlation_estimate=changed(WEIGHTS.correlation_estimate, using_exponent=exponential),
        mean_estimate=changed(WEIGHTS.mean_estimate, using_exponent=exponential),
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
    years = []
    for corrections in (REFERENCE, frozenset({Correction.CALENDAR_LENGTH})):
        known = list(period_estimates(data, periods, WEIGHTS, corrections=corrections))[1:]
        years.append(np.array([fitted.estimates.years for fitted in known]))
    counted, corrected = years
    same(counted / corrected, np.full(len(counted), 3.0), 0.1)


def test_rolling_windows_matter_to_exponential_estimates_only_when_corrected() -> None:
    data = stack([weekly(9, 500, 4, 0.0)])
    rolling = changed(WEIGHTS, date_method="rolling", rollyears=2, equalise_SR=True, cleaning=False)
    expanding = changed(rolling, date_method="expanding")
    same(estimated_weights(data, rolling), estimated_weights(data, expanding))
    corrected = frozenset({Correction.ROLLING_WINDOW})
    assert (estimated_weights(data, rolling, corrected) - estimated_weights(data, expanding, corrected)).abs().iloc[-1].max() > 1e-3


def test_dear_assets_lose_weight_to_cheap_ones() -> None:
    table = pd.DataFrame([[0.5, 0.5], [np.nan, np.nan]], columns=["cheap", "dear"])
    moved = with_cost_weights(table, pd.Series({"dear": -0.4, "cheap": -0.01}))
    assert moved.iloc[0].sum() == pytest.approx(1.0) and moved["cheap"][0] > 0.6
    assert moved.iloc[1].isna().all()


def weights_by_member(
    gross: Stacked, units: Stacked, cost_sharpe: pd.DataFrame, corrections: Corrections = REFERENCE
) -> dict[str, pd.DataFrame]:
    """The weights of each member, from shared gross returns and its own costs (members x columns, a year, negative)."""
    shared = SharedReturns.of(gross, units, WEIGHTS, corrections=corrections)
    return {
        str(member): weights_of(shared.estimates(costs.to_numpy(float)), gross.columns, WEIGHTS, corrections=corrections)
        for member, costs in cost_sharpe[list(gross.columns)].iterrows()
    }


@given(seed=seeds, corrected=st.booleans(), missing=st.booleans())
@settings(max_examples=8, deadline=None)
def test_one_pass_for_many_cost_levels_gives_the_weights_of_each_by_itself(seed: int, corrected: bool, missing: bool) -> None:
    gross = [daily_pandl(seed + place).iloc[200 * place :] for place in range(3)]
    costs = pd.DataFrame(-np.random.default_rng(seed).uniform(0, 0.5, (2, 3)), index=["one", "other"], columns=list("abc"))
    corrections = CORRECTED if corrected else REFERENCE

    def stacked(tables: list[pd.DataFrame]) -> Stacked:
        return stack([sums(table, "W", missing_stays_missing=missing) for table in tables])

    shared = weights_by_member(
        stacked([without_zeros(table) for table in gross]), stacked(list(map(cost_units, gross))), costs, corrections
    )
    for member in costs.index:
        alone = estimated_weights(stacked([net_returns(table, costs.loc[member]) for table in gross]), WEIGHTS, corrections)
        pd.testing.assert_frame_equal(shared[member], alone, rtol=0, atol=1e-9)


def test_cost_units_of_other_rows_than_gross_are_refused() -> None:
    gross, units = stack([weekly(1, 300, 2)]), stack([weekly(1, 299, 2)])
    with pytest.raises(DataError, match="same rows"):
        weights_by_member(gross, units, pd.DataFrame(-0.1, index=["one"], columns=list(gross.columns)))
