"""The reference's numerical search for the best portfolio of two assets, for many pairs at once.

The reference maximises the Sharpe ratio of two assets by sequential quadratic programming (Kraft 1988) with a tolerance of
1e-5 and gradients by differences, and so stops short of the optimum. With weights that sum to 1 each quadratic programme
has one unknown, the weight that moves from one asset to the other, and has a closed form. This follows the same steps:
unit matrix to begin with, inexact line search, damped BFGS updates, the same tests for the end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tradeflow_core.strategy.common.panel import Floats

TOLERANCE = 1e-5
STEP = float(np.sqrt(np.finfo(float).eps))
MOST_STEPS, MOST_TRIALS = 100, 10
ROOT_TWO = float(np.sqrt(2.0))
Objective = Callable[[Floats, Floats], Floats]


def searched_first_weights(first_mean: Floats, second_mean: float, deviation: float, *, correlation: float) -> Floats:
    """Weight of the first of two assets where the search ends; `first_mean` is an array, both assets have the same `deviation`."""
    mean = np.asarray(first_mean, dtype=float).ravel()
    variance, covariance = deviation**2, deviation**2 * correlation

    def against(one: Floats, other: Floats) -> Floats:
        risk = (one * variance + other * covariance) * one + (one * covariance + other * variance) * other
        return np.asarray(-(one * mean + other * second_mean) / np.sqrt(risk))

    with np.errstate(divide="ignore", invalid="ignore"):
        return _search(against, len(mean)).reshape(np.shape(first_mean))


def _search(against: Objective, count: int) -> Floats:
    one, other = np.full(count, 0.5), np.full(count, 0.5)
    hessian = np.ones(count), np.zeros(count), np.ones(count)
    value, slope = against(one, other), _gradient(against, one, other)
    searching = np.ones(count, dtype=bool)
    for _ in range(MOST_STEPS):
        moved = -(slope[0] - slope[1]) / (hessian[0] + hessian[2] - 2.0 * hessian[1])
        moved = np.clip(moved, np.maximum(-one, other - 1.0), np.minimum(1.0 - one, other))
        gain = (slope[0] - slope[1]) * moved
        searching = searching & (np.abs(gain) >= TOLERANCE)
        if not searching.any():
            break
        step, reached = _line_search(against, one, other, value=value, moved=moved, gain=gain)
        new_slope = _gradient(against, one + step, other - step)
        hessian = _updated(hessian, step, new_slope[0] - slope[0], second=new_slope[1] - slope[1])
        one, other = np.where(searching, one + step, one), np.where(searching, other - step, other)
        searching = searching & (np.abs(reached - value) >= TOLERANCE) & (ROOT_TWO * np.abs(step) >= TOLERANCE)
        value, slope = reached, new_slope
    return one


def _gradient(against: Objective, one: Floats, other: Floats) -> tuple[Floats, Floats]:
    here = against(one, other)
    right = one + np.where(one + STEP > 1.0, -STEP, STEP)
    up = other + np.where(other + STEP > 1.0, -STEP, STEP)
    return (against(right, other) - here) / (right - one), (against(one, up) - here) / (up - other)


def _line_search(
    against: Objective, one: Floats, other: Floats, *, value: Floats, moved: Floats, gain: Floats
) -> tuple[Floats, Floats]:
    """The step of each pair that lowers the objective by a tenth of what its slope promises, and the objective there."""
    step, promised = moved.copy(), gain.copy()
    reached = against(one + step, other - step)
    for _ in range(MOST_TRIALS):
        short = ~(reached - value <= promised / 10.0)
        if not short.any():
            break
        share = np.maximum(promised / (2.0 * (promised - (reached - value))), 0.1)
        step, promised = np.where(short, share * step, step), np.where(short, share * promised, promised)
        reached = np.where(short, against(one + step, other - step), reached)
    return step, reached


def _updated(
    hessian: tuple[Floats, Floats, Floats], step: Floats, first: Floats, *, second: Floats
) -> tuple[Floats, Floats, Floats]:
    """The matrix after a step of (step, -step) that changed the gradient by (first, second): BFGS, damped as Powell has it."""
    a, b, c = hessian
    along_first, along_second = (a - b) * step, (b - c) * step
    seen, expected = (first - second) * step, (along_first - along_second) * step
    damped = seen < 0.2 * expected
    share = np.where(damped, 0.8 * expected / (expected - seen), 1.0)
    first, second = share * first + (1.0 - share) * along_first, share * second + (1.0 - share) * along_second
    seen = np.where(damped, 0.2 * expected, seen)
    return (
        a + first * first / seen - along_first * along_first / expected,
        b + first * second / seen - along_first * along_second / expected,
        c + second * second / seen - along_second * along_second / expected,
    )
