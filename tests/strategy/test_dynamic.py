"""The integer optimiser keeps to what it is told, and its quick search finds what a plain one finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tradeflow_core.strategy.positions.dynamic import Constraints, OptimiserInputs, Outcome, Problem, optimise, optimise_over_time
from tradeflow_core.strategy.positions.dynamic.problem import Optimised


def problem(seed: int, count: int, *, known_previous: bool) -> Problem:
    """A date with anything that can occur: gaps, negative prices, limits, positions beyond them."""
    random = np.random.default_rng(seed)

    def sometimes(values: np.ndarray, share: float, other: float) -> np.ndarray:
        return np.where(random.random(count) < share, other, values)

    factors = random.normal(0, 1, (count, 3))
    covariance = factors @ factors.T * 0.01 + np.diag(random.uniform(0.005, 0.05, count))
    gap = random.random(count) < 0.1
    covariance[gap] = covariance[:, gap] = np.nan
    constraints = Constraints(
        no_trade=random.random(count) < 0.15,
        reduce_only=random.random(count) < 0.2,
        long_only=random.random(count) < 0.2,
        maximum=sometimes(np.full(count, np.nan), 0.4, random.integers(0, 12) / 2.0),
    )
    sign = np.where(random.random(count) < 0.15, -1.0, 1.0)
    return Problem(
        names=tuple(f"M{place}" for place in range(count)),
        optimal=sometimes(random.normal(0, 4, count), 0.1, np.nan),
        value=sometimes(sign * random.uniform(0.01, 0.4, count), 0.05, np.nan),
        covariance=covariance,
        cost=sometimes(random.uniform(1e-6, 3e-4, count), 0.1, np.nan),
        previous=sometimes(np.round(random.normal(0, 4, count)), 0.1, np.nan) if known_previous else None,
        constraints=constraints,
        shadow_cost=float(random.choice([0.0, 10.0, 100.0])),
        tracking_error_buffer=float(random.choice([0.0, 0.01, 0.05, 0.3])),
    )


problems = st.builds(problem, st.integers(0, 2**32 - 1), st.integers(1, 8), known_previous=st.booleans())
with_previous = st.builds(problem, st.integers(0, 2**32 - 1), st.integers(1, 8), known_previous=st.just(True))


def held_before(given: Problem) -> np.ndarray:
    return np.zeros(len(given.names)) if given.previous is None else np.nan_to_num(given.previous)


def tradeable(given: Problem) -> np.ndarray:
    return np.isfinite(given.optimal * given.value * given.cost) & np.isfinite(given.covariance.diagonal())


@settings(max_examples=300, deadline=None)
@given(problems)
def test_positions_lie_within_their_limits_whatever_was_held(given: Problem) -> None:
    result, limits = optimise(given, corrected=True), given.constraints
    assert not result.failed
    free = tradeable(given) & ~limits.no_trade
    assert (result.positions >= 0)[free & limits.long_only].all()
    limited = free & ~np.isnan(limits.maximum)
    assert (np.abs(result.positions) <= limits.maximum)[limited].all()


@settings(max_examples=300, deadline=None)
@given(problems)
def test_what_cannot_or_must_not_be_traded_keeps_its_position(given: Problem) -> None:
    result = optimise(given, corrected=True)
    untouched = ~tradeable(given) | given.constraints.no_trade
    assert (result.positions == held_before(given))[untouched].all()


@settings(max_examples=300, deadline=None)
@given(problems)
def test_reduce_only_positions_neither_grow_nor_change_side(given: Problem) -> None:
    result, held = optimise(given, corrected=True), held_before(given)
    closing = given.constraints.reduce_only
    assert (np.abs(result.positions) <= np.abs(held))[closing].all()
    assert (result.positions * held >= 0)[closing].all()


def objective(given: Problem, weights: np.ndarray, valid: np.ndarray) -> float:
    """As it is defined, over the valid instruments."""
    value, cost = given.value[valid], np.nan_to_num(given.cost[valid])
    gap = weights - given.optimal[valid] * value
    trades = np.zeros(len(gap)) if given.previous is None else weights - np.nan_to_num(given.previous[valid]) * value
    return float(np.sqrt(gap @ given.covariance[np.ix_(valid, valid)] @ gap) + given.shadow_cost * np.abs(cost * trades).sum())


@settings(max_examples=200, deadline=None)
@given(problems, st.booleans())
def test_the_search_never_ends_worse_than_it_starts(given: Problem, corrected: bool) -> None:
    result = optimise(given if corrected else replace(given, cost=np.nan_to_num(given.cost)), corrected=corrected)
    if result.outcome is Outcome.OPTIMISED:
        ends = (objective(given, weights[result.valid], result.valid) for weights in (result.greedy, result.start))
        assert next(ends) <= next(ends) + 1e-12


def plain_search(given: Problem, result: Optimised, *, corrected: bool) -> np.ndarray:
    """The search as it is described: every next contract is tried, the best is taken, until none is better."""
    valid = result.valid
    value, low, high = given.value[valid], result.lowest[valid], result.highest[valid]
    up = result.direction[valid] > 0
    step = np.where(up, 1, -1) * (np.abs(value) if corrected else value)
    slack = 1e-9 if corrected else 0.0
    weights, best = result.start[valid].copy(), objective(given, result.start[valid], valid)
    while True:
        chosen, now = -1, best
        for place in range(len(weights)):
            following = weights[place] + step[place]
            if following > high[place] + slack if up[place] else following < low[place] - slack:
                continue
            trial = weights.copy()
            trial[place] = following
            reached = objective(given, trial, valid)
            if reached < best - slack * 1e-3:
                best, chosen = reached, place
        if chosen < 0:
            return weights
        assert best < now
        weights[chosen] += step[chosen]


@settings(max_examples=150, deadline=None)
@given(problems, st.booleans())
def test_the_quick_search_ends_where_the_plain_one_ends(given: Problem, corrected: bool) -> None:
    given = given if corrected else replace(given, cost=np.nan_to_num(given.cost))
    result = optimise(given, corrected=corrected)
    if not np.isnan(result.greedy).all():
        np.testing.assert_allclose(result.greedy[result.valid], plain_search(given, result, corrected=corrected), atol=1e-9)


def twins(seed: int, pairs: int) -> Problem:
    """Markets in pairs that are alike in everything: steps are equal, but for rounding, all the time."""
    random = np.random.default_rng(seed)
    mixing = np.repeat(random.integers(-2, 3, (pairs, 2)), 2, axis=0) / 7.0
    given = problem(seed, 2 * pairs, known_previous=True)
    return replace(
        given,
        optimal=np.repeat(random.integers(-6, 7, pairs), 2) / 2.0,
        value=np.repeat(random.choice([0.1, 0.3], pairs), 2),
        covariance=mixing @ mixing.T + np.eye(2 * pairs) * 0.03,
        cost=np.full(2 * pairs, 1e-4),
        previous=np.repeat(random.integers(-2, 3, pairs), 2).astype(float),
        constraints=Constraints.none(2 * pairs),
        tracking_error_buffer=0.0,
    )


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_of_equal_steps_the_first_is_taken(seed: int, pairs: int, corrected: bool) -> None:
    given = twins(seed, pairs)
    result = optimise(given, corrected=corrected)
    if not np.isnan(result.greedy).all():
        np.testing.assert_allclose(result.greedy, plain_search(given, result, corrected=corrected), atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_search_of_many_contracts_ends_where_the_plain_one_ends(seed: int) -> None:
    given = replace(
        problem(seed, 6, known_previous=True), constraints=Constraints.none(6), shadow_cost=1.0, tracking_error_buffer=0.0
    )
    given = replace(given, optimal=given.optimal * 12)
    result = optimise(given, corrected=True)
    np.testing.assert_allclose(result.greedy[result.valid], plain_search(given, result, corrected=True), atol=1e-9)


def chosen(given: Problem, order: np.ndarray) -> Problem:
    """The same instruments in another order, or some of them."""
    limits = given.constraints
    return replace(
        given,
        names=tuple(given.names[place] for place in order),
        optimal=given.optimal[order],
        value=given.value[order],
        covariance=given.covariance[np.ix_(order, order)],
        cost=given.cost[order],
        previous=None if given.previous is None else given.previous[order],
        constraints=Constraints(
            *(array[order] for array in (limits.no_trade, limits.reduce_only, limits.long_only, limits.maximum))
        ),
    )


@settings(max_examples=200, deadline=None)
@given(problems, st.randoms(use_true_random=False))
def test_the_order_of_the_instruments_makes_no_difference(given: Problem, random: object) -> None:
    order = np.arange(len(given.names))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = optimise(chosen(given, order), corrected=True)
    assert (shuffled.positions == optimise(given, corrected=True).positions[order]).all()


@settings(max_examples=200, deadline=None)
@given(problems)
def test_an_instrument_without_figures_makes_no_difference_to_the_others(given: Problem) -> None:
    known = np.flatnonzero(np.isfinite(given.optimal * given.value) & np.isfinite(given.covariance.diagonal()))
    alone = optimise(chosen(given, known), corrected=True)
    assert (alone.positions == optimise(given, corrected=True).positions[known]).all()


@settings(max_examples=100, deadline=None)
@given(with_previous)
def test_nothing_is_traded_while_what_is_held_is_near_enough(given: Problem) -> None:
    free = replace(given, constraints=Constraints.none(len(given.names)), tracking_error_buffer=10.0)
    result = optimise(free, corrected=True)
    assert result.outcome is Outcome.NEAR_ENOUGH
    assert (result.positions == held_before(given)).all()


@settings(max_examples=100, deadline=None)
@given(with_previous)
def test_a_wider_buffer_never_trades_more(given: Problem) -> None:
    held = held_before(given)
    free = replace(given, constraints=Constraints.none(len(given.names)))
    traded = [
        np.abs(optimise(replace(free, tracking_error_buffer=width), corrected=True).positions - held)
        for width in (0.0, 0.02, 0.1)
    ]
    assert (traded[0] >= traded[1]).all() and (traded[1] >= traded[2]).all()


def small(**changes: object) -> Problem:
    """Two similar markets, nothing held, 3 and 2 contracts wanted."""
    covariance = 0.04 * np.array([[1.0, 0.3], [0.3, 1.0]])
    plain = Problem(
        ("CORN", "GOLD"),
        np.array([3.0, 2.0]),
        np.full(2, 0.1),
        covariance,
        np.full(2, 1e-5),
        np.zeros(2),
        Constraints.none(2),
        10.0,
        0.001,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_cap_is_reached_to_the_last_contract() -> None:
    capped = replace(Constraints.none(2), maximum=np.array([6.0, np.nan]))
    wanted = small(optimal=np.array([8.0, 2.0]), value=np.array([0.01, 0.1]), constraints=capped, tracking_error_buffer=0.0)
    assert optimise(wanted, corrected=True).positions[0] == 6


def test_a_market_with_a_negative_price_is_bought_when_contracts_are_wanted() -> None:
    assert optimise(small(value=np.array([-0.1, 0.1])), corrected=True).positions[0] > 0


def test_wanting_nothing_closes_what_is_held() -> None:
    wanted = small(optimal=np.zeros(2), previous=np.array([2.0, 1.0]), tracking_error_buffer=0.0)
    assert optimise(wanted, corrected=True).positions.tolist() == [0, 0]


FAILURES = {
    "the covariance of CORN and GOLD is missing": {"covariance": np.array([[0.04, np.nan], [np.nan, 0.04]])},
    "the covariance matrix gives a portfolio a negative variance": {"covariance": np.array([[0.04, 0.2], [0.2, 0.04]])},
    "previous positions are not whole contracts: GOLD (0.5)": {"previous": np.array([2.0, 0.5])},
}


@pytest.mark.parametrize("reason", FAILURES)
def test_a_failure_says_why_and_keeps_what_is_held(reason: str) -> None:
    result = optimise(
        small(**{"previous": np.array([2.0, -1.0]), "optimal": np.array([5.0, -6.0]), **FAILURES[reason]}), corrected=True
    )
    assert result.failed and result.failure == reason
    assert result.positions[0] == 2


def test_figures_of_another_number_of_instruments_are_refused() -> None:
    with pytest.raises(ValueError, match="each of the 2 instruments"):
        small(optimal=np.zeros(3))


def history(seed: int, dates: int) -> tuple[OptimiserInputs, list[np.ndarray]]:
    days = [problem(seed + day, 5, known_previous=True) for day in range(dates)]
    first = days[0]
    tables = [np.array([getattr(day, name) for day in days]) for name in ("optimal", "value", "cost")]
    inputs = OptimiserInputs(
        first.names, tables[0], tables[1], tables[2], first.constraints, first.shadow_cost, first.tracking_error_buffer
    )
    return inputs, [day.covariance for day in days]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_each_date_starts_from_the_positions_of_the_date_before(seed: int, corrected: bool) -> None:
    inputs, covariances = history(seed, 6)
    result = optimise_over_time(inputs, iter(covariances), corrected=corrected)
    held = np.zeros(5)
    for row, covariance in enumerate(covariances):
        figures = (inputs.optimal[row], inputs.value[row], covariance, inputs.cost[row], held, inputs.constraints)
        day = optimise(Problem(inputs.names, *figures, inputs.shadow_cost, inputs.tracking_error_buffer), corrected=corrected)
        assert (result.positions[row] == day.positions).all()
        assert result.failures.get(row, "") == day.failure
        held = day.positions.astype(float)


def test_a_date_that_fails_keeps_the_positions_of_the_date_before() -> None:
    inputs, _ = history(3, 4)
    inputs = replace(inputs, constraints=Constraints.none(5), cost=np.nan_to_num(inputs.cost), value=np.full((4, 5), 0.1))
    inputs = replace(inputs, optimal=np.array([[3.0], [5.0], [9.0], [9.0]]) * np.ones(5))
    regular = np.diag(np.full(5, 0.04))
    broken = regular.copy()
    broken[0, 1] = broken[1, 0] = np.nan
    result = optimise_over_time(inputs, [regular, regular, broken, regular], corrected=True)
    assert list(result.failures) == [2]
    assert (result.positions[2] == result.positions[1]).all()
    assert (result.positions[3] != result.positions[2]).any()
