"""What the optimiser of one date is given and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tradeflow_core.strategy.common.panel import Floats, Ints

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Constraints:
    """What may be done with each instrument, in the order of the problem.

    `no_trade`: the position stays as it is, whatever else is said. `reduce_only`: it may come closer to 0, never grow or
    change its side. `long_only`: never short. `maximum`: most contracts on either side; missing for no limit.
    """

    no_trade: Bools
    reduce_only: Bools
    long_only: Bools
    maximum: Floats

    @staticmethod
    def none(count: int) -> Constraints:
        """No constraint on any of `count` instruments."""
        free = np.zeros(count, dtype=bool)
        return Constraints(free, free, free, np.full(count, np.nan))

    def of(self, chosen: Bools) -> Constraints:
        """The constraints of some of the instruments."""
        return Constraints(self.no_trade[chosen], self.reduce_only[chosen], self.long_only[chosen], self.maximum[chosen])


@dataclass(frozen=True, eq=False)
class Problem:
    """One date. Arrays have one figure per instrument, in the order of `names`; missing figures are NaN.

    `optimal`: contracts wanted, unrounded. `value`: of one contract, as a share of capital. `covariance`: annual, of
    percentage returns, (instruments, instruments). `cost`: of trading a weight of 1, as a share of capital. `previous`:
    contracts held; None where nothing is known of it, missing for an instrument without position. `shadow_cost`: what
    costs count against a year's tracking error. `tracking_error_buffer`: the annual tracking error that is not worth a trade.
    Raises ValueError where shapes differ.
    """

    names: tuple[str, ...]
    optimal: Floats
    value: Floats
    covariance: Floats
    cost: Floats
    previous: Floats | None
    constraints: Constraints
    shadow_cost: float
    tracking_error_buffer: float

    def __post_init__(self) -> None:
        count, limits = len(self.names), self.constraints
        given = [self.optimal, self.value, self.cost, limits.no_trade, limits.reduce_only, limits.long_only, limits.maximum]
        if self.previous is not None:
            given.append(self.previous)
        if self.covariance.shape != (count, count) or any(array.shape != (count,) for array in given):
            raise ValueError(f"every array must have one figure for each of the {count} instruments")


class Outcome(StrEnum):
    """How the positions of a date came about."""

    OPTIMISED = "optimised"
    NEAR_ENOUGH = "tracking error below the buffer"
    NOTHING_WANTED = "no contract wanted, what is held is kept"
    FAILED = "failed, what is held is kept"


@dataclass(frozen=True, eq=False)
class Optimised:
    """Positions of one date and how they came about, arrays in the order of the problem.

    `positions`: whole contracts. `valid`: instruments with all figures needed. Weights are shares of capital, missing
    where not valid: `optimal_weight`; `lowest` and `highest` allowed; `start` and `greedy`, the ends of the search;
    `direction` of its steps, +1 or -1. `greedy` is missing altogether where there was no search. `steps`: contracts
    added by the search. Tracking errors are annual, against the optimum: of what was held (missing without it) and of
    the result; `cost`: shadow cost of the trades. `failure`: why there is no solution, empty when there is one.
    """

    positions: Ints
    outcome: Outcome
    valid: Bools
    optimal_weight: Floats
    lowest: Floats
    highest: Floats
    start: Floats
    direction: Floats
    greedy: Floats
    steps: int
    tracking_error_of_previous: float
    tracking_error: float
    cost: float
    failure: str = ""

    @property
    def failed(self) -> bool:
        """True where there was no solution and the previous positions stand."""
        return self.outcome is Outcome.FAILED
