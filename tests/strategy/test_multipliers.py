"""Capital follows profits as each method promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from tradeflow_core.strategy.positions.multipliers import MULTIPLIERS, capital_multiplier

percents = arrays(float, st.integers(1, 40), elements=st.one_of(st.floats(-30, 30), st.just(np.nan)))


@settings(max_examples=100, deadline=None)
@given(percents)
def test_half_compounding_is_the_distance_below_the_highest_capital(percent: np.ndarray) -> None:
    growth = np.cumprod(1 + np.nan_to_num(percent) / 100)
    highest = np.maximum(np.maximum.accumulate(growth), 1.0)
    np.testing.assert_allclose(capital_multiplier("half_compounding", percent, corrected=True), growth / highest, rtol=1e-9)


@settings(max_examples=100, deadline=None)
@given(percents, st.booleans())
def test_half_compounding_never_exceeds_the_starting_capital(percent: np.ndarray, corrected: bool) -> None:
    factor = capital_multiplier("half_compounding", percent, corrected=corrected)
    assert (factor <= 1.0).all() and (factor > 0.0).all()


@settings(max_examples=100, deadline=None)
@given(percents)
def test_full_compounding_grows_by_each_days_percentage(percent: np.ndarray) -> None:
    factor = capital_multiplier("full_compounding", percent, corrected=True)
    np.testing.assert_allclose(factor, np.concatenate([[1.0], factor[:-1]]) * (1 + np.nan_to_num(percent) / 100), rtol=1e-12)


@pytest.mark.parametrize("method", ["full_compounding", "half_compounding"])
def test_an_account_that_lost_everything_stays_at_nothing(method: str) -> None:
    assert capital_multiplier(method, np.array([1.0, -150.0, -20.0, 50.0]), corrected=True)[1:].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("method", MULTIPLIERS)
def test_a_day_without_result_changes_nothing(method: str) -> None:
    factor = capital_multiplier(method, np.array([-10.0, np.nan, 5.0]), corrected=True)
    assert factor[1] == factor[0]


@settings(max_examples=50, deadline=None)
@given(percents)
def test_fixed_capital_does_not_change(percent: np.ndarray) -> None:
    assert (capital_multiplier("fixed_capital", percent, corrected=False) == 1.0).all()
