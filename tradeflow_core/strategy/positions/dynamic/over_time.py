"""The optimiser over a backtest: each date starts from the positions of the date before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tradeflow_core.strategy.common.panel import Floats, Ints
from tradeflow_core.strategy.positions.dynamic.optimiser import optimise
from tradeflow_core.strategy.positions.dynamic.problem import Constraints, Outcome, Problem


@dataclass(frozen=True, eq=False)
class OptimiserInputs:
    """As `Problem`, with tables (dates, instruments) of `optimal`, `value` and `cost`."""

    names: tuple[str, ...]
    optimal: Floats
    value: Floats
    cost: Floats
    constraints: Constraints
    shadow_cost: float
    tracking_error_buffer: float


@dataclass(frozen=True, eq=False)
class OptimisedHistory:
    """`positions`: whole contracts, (dates, instruments). The other figures, one a date, are those of `Optimised`.

    `failures`: why a date has no solution, by its row; it keeps the positions of the date before.
    """

    positions: Ints
    outcomes: tuple[Outcome, ...]
    steps: Ints
    tracking_error_of_previous: Floats
    tracking_error: Floats
    cost: Floats
    failures: dict[int, str]


def optimise_over_time(inputs: OptimiserInputs, covariances: Iterable[Floats], *, corrected: bool) -> OptimisedHistory:
    """Optimised positions date by date, beginning without any.

    `covariances`: one matrix (instruments, instruments) a date, in order; each is dropped when its date is done. Raises
    ValueError where there are more or fewer of them than dates.
    """
    dates, count = inputs.optimal.shape
    positions = np.zeros((dates, count), dtype=np.int64)
    figures = np.empty((dates, 3))
    steps = np.zeros(dates, dtype=np.int64)
    outcomes: list[Outcome] = []
    failures: dict[int, str] = {}
    held = np.zeros(count)
    for row, covariance in zip(range(dates), covariances, strict=True):
        problem = Problem(
            names=inputs.names,
            optimal=inputs.optimal[row],
            value=inputs.value[row],
            covariance=covariance,
            cost=inputs.cost[row],
            previous=held,
            constraints=inputs.constraints,
            shadow_cost=inputs.shadow_cost,
            tracking_error_buffer=inputs.tracking_error_buffer,
        )
        with np.errstate(invalid="ignore"):  # the infinite covariance of a price of 0, which the reference does not set aside
            result = optimise(problem, corrected=corrected)
        positions[row], steps[row] = result.positions, result.steps
        figures[row] = result.tracking_error_of_previous, result.tracking_error, result.cost
        outcomes.append(result.outcome)
        if result.failed:
            failures[row] = result.failure
        held = result.positions.astype(float)
    return OptimisedHistory(positions, tuple(outcomes), steps, figures[:, 0], figures[:, 1], figures[:, 2], failures)
