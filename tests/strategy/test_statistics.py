"""Statistics of curves, over members, and comparisons."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from tradeflow_core.strategy.results.curve_statistics import (
    ALL_STATISTICS,
    TEXT,
    compare,
    statistic_over_members,
    statistics,
    statistics_text,
)
from tradeflow_core.strategy.results.curves import AccountCurve, CurveGroup, Returns
from tradeflow_core.strategy.results.summary import IN_PERCENT

WITH_UNIT = IN_PERCENT
profits = st.lists(st.integers(-1000, 1000), min_size=30, max_size=200).filter(lambda values: len(set(values)) > 5)


def series(values: list[float], start: str = "2020-01-01") -> pd.Series:
    return pd.Series(values, index=pd.bdate_range(start, periods=len(values)), dtype=float)


def returns(values: list[float]) -> Returns:
    return Returns(series(values), 256.0)


def noise(seed: int, mean: float = 0.0, days: int = 1000, start: str = "2020-01-01") -> AccountCurve:
    values = np.random.default_rng(seed).normal(mean, 1.0, days)
    return AccountCurve(series(values.tolist(), start), series([]), 100.0)


@given(profits)
def test_twice_the_size_doubles_what_has_a_unit_and_nothing_else(values: list[float]) -> None:
    once, twice = statistics(returns(values)), statistics(returns([2 * value for value in values]))
    for name in ALL_STATISTICS:
        assert twice[name] == pytest.approx(once[name] * (2 if name in WITH_UNIT else 1), rel=1e-9, nan_ok=True), name


@given(profits)
def test_the_opposite_position_has_the_opposite_result(values: list[float]) -> None:
    long, short = statistics(returns(values)), statistics(returns([-value for value in values]))
    for name, other in (
        ("mean", "mean"),
        ("sharpe", "sharpe"),
        ("skew", "skew"),
        ("t_stat", "t_stat"),
        ("min", "max"),
        ("avg_gain", "avg_loss"),
    ):
        assert short[name] == pytest.approx(-long[other], nan_ok=True)
    assert short["quant_ratio_lower"] == pytest.approx(long["quant_ratio_upper"], nan_ok=True)
    assert short["p_value"] == pytest.approx(long["p_value"])


@given(profits)
def test_statistics_agree_with_each_other(values: list[float]) -> None:
    found = statistics(returns(values))
    assert found["ann_mean"] == pytest.approx(256 * found["mean"])
    assert found["worst_drawdown"] <= found["avg_drawdown"] <= 0
    assert 0 <= found["time_in_drawdown"] <= 1
    assert 0 <= found["p_value"] <= 1
    assert found["t_stat"] == pytest.approx(found["sharpe"] * math.sqrt(len(values) / 256))


def test_tails_of_a_normal_distribution_are_normal() -> None:
    random = np.random.default_rng(3)
    assert statistics(returns(random.normal(0, 1, 100_000).tolist()))["average_quant_ratio"] == pytest.approx(1.0, abs=0.03)
    assert statistics(returns(random.standard_t(3, 100_000).tolist()))["average_quant_ratio"] > 1.3


def test_downside_is_measured_from_zero_unless_as_in_the_reference() -> None:
    found = [statistics(returns([-1.0, 3.0, -1.0, 3.0]), corrected=corrected)["sortino"] for corrected in (True, False)]
    assert found[0] == pytest.approx(256 * 1.0 / (math.sqrt(0.5) * 16))
    assert math.isnan(found[1])


@pytest.mark.parametrize("values", [[], [0.0], [0.0] * 10, [1.0], [1.0, 1.0], [float("nan")] * 3])
def test_too_little_to_say_is_unknown_and_warns_of_nothing(values: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = statistics(returns(values))
    assert math.isnan(found["sharpe"])
    assert list(found) == list(ALL_STATISTICS)


def test_the_text_has_a_line_for_each_statistic() -> None:
    lines = statistics_text(returns([1.0, -2.0, 3.0, 4.0])).splitlines()
    assert [line.split()[0] for line in lines] == list(TEXT)
    assert lines[0].split() == ["min", "-2"]


def test_equal_weights_give_the_mean_over_members_unless_as_in_the_reference() -> None:
    group = CurveGroup.of({"A": noise(1, 0.1), "B": noise(2, 0.2)}, 100.0)
    right = statistic_over_members(group, "ann_mean", weighting="equal")
    flawed = statistic_over_members(group, "ann_mean", weighting="equal", corrected=False)
    assert right.mean == pytest.approx(np.mean(list(right.by_member.values())))
    assert flawed.mean == pytest.approx(right.mean / 2)


def test_a_longer_history_counts_more() -> None:
    short, long = noise(1, 0.5, days=250, start="2022-01-03"), noise(2, -0.5, days=750, start="2020-01-01")
    over = statistic_over_members(CurveGroup.of({"short": short, "long": long}, 100.0), "ann_mean")
    months = np.array([12, 35])
    wanted = np.average([over.by_member["short"], over.by_member["long"]], weights=months)
    assert over.mean == pytest.approx(wanted)
    assert over.mean < np.mean(list(over.by_member.values()))


def test_statistics_over_members_are_of_the_asked_part_and_frequency() -> None:
    members = {"A": AccountCurve(series([5.0] * 40), series([-1.0, -2.0] * 20), 100.0)}
    group = CurveGroup.of(members, 100.0)
    asked = statistic_over_members(group, "mean", part="costs", frequency="weekly")
    assert asked.by_member["A"] == statistics(members["A"].returns("costs", "percent", "weekly"))["mean"]
    assert statistic_over_members(group, "mean", part="costs", corrected=False).by_member["A"] == pytest.approx(3.5)


def test_members_without_figures_are_left_out_of_the_mean() -> None:
    empty = AccountCurve(series([]), series([]), 100.0)
    over = statistic_over_members(CurveGroup.of({"A": noise(1, 0.1), "none": empty}, 100.0), "ann_mean", weighting="equal")
    assert math.isnan(over.by_member["none"])
    assert over.mean == pytest.approx(over.by_member["A"])


def test_the_better_of_two_curves_is_told_from_the_worse() -> None:
    good, bad = noise(1, 0.3), noise(2, -0.1)
    found = compare(good, bad)
    assert found.difference > 0
    assert found.p_value < 0.001
    assert compare(bad, good).t_stat == pytest.approx(-found.t_stat)


def test_size_does_not_make_a_curve_better() -> None:
    curve = noise(1, 0.1)
    larger = AccountCurve(curve.gross * 7, curve.costs, 100.0)
    assert compare(larger, curve).difference == pytest.approx(0.0, abs=1e-12)


def test_chance_is_not_taken_for_skill() -> None:
    found = [compare(noise(seed), noise(seed + 1000)).p_value for seed in range(200)]
    assert 0.01 < np.mean(np.array(found) < 0.05) < 0.10


def test_a_kind_of_rules_is_the_mean_of_its_curves() -> None:
    trend, carry = [noise(seed, 0.2) for seed in range(4)], [noise(seed + 50, 0.0) for seed in range(4)]
    assert compare(trend, carry).p_value < min(compare(*pair).p_value for pair in zip(trend, carry, strict=True))
    assert compare([trend[0]], trend[0]).difference == pytest.approx(0.0, abs=1e-12)


def test_curves_of_different_times_cannot_be_compared() -> None:
    assert math.isnan(compare(noise(1), noise(2, start="2030-01-01")).p_value)
