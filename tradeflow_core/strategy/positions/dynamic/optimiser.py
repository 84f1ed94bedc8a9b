"""Whole contracts of one date: bounds, greedy search, then only as much of the trade as the tracking error is worth.

Every figure exists in two modes. As the reference has it, positions are counted in weights, and

- a negative contract value moves a position away from its optimum, and rounding can cost the last contract below a bound;
- an unknown cost makes the whole date fail;
- wanting no contract at all means keeping everything;
- a position beyond its bounds stays where the tracking error is small, or moves only part of the way;
- an instrument without figures is closed.

Corrected, positions are counted in contracts. Nothing is beyond its bounds, whatever the tracking error: what has to be
traded for that is traded first, and the buffer decides on the rest. None wanted is none held. An instrument without
figures keeps its position, and so does one whose cost is unknown, which counts in the tracking error all the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tradeflow_core.strategy.common.panel import Floats, Ints
from tradeflow_core.strategy.positions.dynamic.bounds import Bounds, bounds_of
from tradeflow_core.strategy.positions.dynamic.greedy import greedy
from tradeflow_core.strategy.positions.dynamic.objective import Objective
from tradeflow_core.strategy.positions.dynamic.problem import Bools, Optimised, Outcome, Problem

UNLIMITED_WEIGHT = 999.0


def optimise(problem: Problem, *, corrected: bool) -> Optimised:
    """The positions of one date; `corrected` chooses the mode.

    Where there is no solution the result says why (`failure`) and holds the previous positions.
    """
    valid = _valid(problem, corrected=corrected)
    task = _Task.of(problem, valid, corrected=corrected)
    blank = _blank(problem, valid, task)
    failure = _wrong_previous(problem) if corrected else ""
    return replace(blank, outcome=Outcome.FAILED, failure=failure) if failure else _solved(problem, task, blank)


def _valid(problem: Problem, *, corrected: bool) -> Bools:
    """Instruments with the figures that the tracking error needs."""
    if corrected:
        numbers = np.isfinite(problem.optimal) & np.isfinite(problem.value) & (problem.value != 0)
        return numbers & np.isfinite(problem.covariance.diagonal())
    without_risk = np.isnan(problem.covariance)
    no_row = without_risk.all(axis=1) if without_risk.any() else np.zeros(len(problem.names), dtype=bool)
    return ~(no_row | np.isnan(problem.optimal * problem.value) | np.isnan(problem.value))


def _wrong_previous(problem: Problem) -> str:
    if problem.previous is None:
        return ""
    broken = np.flatnonzero(np.nan_to_num(problem.previous) % 1 != 0)
    parts = (f"{problem.names[place]} ({problem.previous[place]})" for place in broken)
    return f"previous positions are not whole contracts: {', '.join(parts)}" if len(broken) else ""


@dataclass(frozen=True, eq=False)
class _Task:
    """The valid instruments. Positions count in units: `unit` is the weight of one, `contract` the units of one contract.

    `held` is None where nothing is known of it; `kept` is what is held after the trades that the bounds demand.
    """

    names: tuple[str, ...]
    objective: Objective
    bounds: Bounds
    unit: Floats
    contract: Floats
    held: Floats | None
    kept: Floats | None
    buffer: float
    corrected: bool

    @staticmethod
    def of(problem: Problem, valid: Bools, *, corrected: bool) -> _Task:
        """In contracts if `corrected`, else in weights."""
        everything = bool(valid.all())
        chosen = slice(None) if everything else valid
        value, wanted = problem.value[chosen], problem.optimal[chosen]
        covariance = problem.covariance if everything else problem.covariance[valid][:, valid]
        unit, contract = (value, np.ones(len(value))) if corrected else (np.ones(len(value)), value)
        held = None if problem.previous is None else np.nan_to_num(problem.previous[chosen] * contract)
        cost, constraints = problem.cost[chosen], problem.constraints if everything else problem.constraints.of(valid)
        most = np.abs(constraints.maximum * contract)
        if corrected:
            unknown = ~np.isfinite(cost)
            cost, constraints = np.where(unknown, 0.0, cost), replace(constraints, no_trade=constraints.no_trade | unknown)
            most = np.floor(most)
        unlimited = math.inf if corrected else UNLIMITED_WEIGHT
        bounds = bounds_of(held, wanted * contract, most, constraints=constraints, unlimited=unlimited, corrected=corrected)
        weights = None if held is None else held * unit
        objective = Objective(covariance, wanted * value, weights, cost, problem.shadow_cost, corrected)
        kept = held if held is None or not corrected else np.minimum(np.maximum(held, bounds.lowest), bounds.highest)
        names = problem.names if everything else tuple(np.array(problem.names)[valid].tolist())
        return _Task(names, objective, bounds, unit, contract, held, kept, problem.tracking_error_buffer, corrected)

    def tracking_error(self, position: Floats | None) -> float:
        """Against the optimum; missing without a position."""
        return math.nan if position is None else self.objective.tracking_error(position * self.unit, self.objective.optimum)


def _solved(problem: Problem, task: _Task, blank: Optimised) -> Optimised:
    if task.kept is not None and task.tracking_error(task.kept) < task.buffer:
        return _result(task, blank, task.kept, outcome=Outcome.NEAR_ENOUGH)
    found = greedy(task.objective, task.bounds, task.unit, contract=task.contract, ties=task.corrected)
    tried = replace(blank, greedy=_spread(blank.valid, found.positions * task.unit), steps=found.steps)
    if np.isnan(found.positions).any():
        return replace(tried, outcome=Outcome.FAILED, failure=_unsolvable(task))
    if not task.corrected and not found.positions.any():
        if task.held is None:
            failure = "no contract is wanted, and there are no previous positions to keep"
            return replace(tried, outcome=Outcome.FAILED, failure=failure)
        return _result(task, tried, task.held, outcome=Outcome.NOTHING_WANTED)
    return _result(task, tried, _slowed(task, found.positions), outcome=Outcome.OPTIMISED)


def _slowed(task: _Task, wanted: Floats) -> Floats:
    """The part of the trades that is worth making: none within the buffer, nearly all far from it."""
    if task.kept is None:
        return wanted
    distance = task.objective.tracking_error(task.kept * task.unit, wanted * task.unit)
    share = max((distance - task.buffer) / distance, 0.0) if distance > 0 else 0.0
    with np.errstate(invalid="ignore"):
        return np.asarray(task.kept + np.round(share * (wanted - task.kept) / task.contract) * task.contract)


def _unsolvable(task: _Task) -> str:
    covariance, cost = task.objective.covariance, task.objective.cost
    for first, second in np.argwhere(np.isnan(covariance))[:1]:
        return f"the covariance of {task.names[first]} and {task.names[second]} is missing"
    if task.held is not None and np.isnan(cost).any():
        return f"the cost of trading is missing for {', '.join(np.array(task.names)[np.isnan(cost)])}"
    return "the covariance matrix gives a portfolio a negative variance"


def _result(task: _Task, so_far: Optimised, position: Floats, *, outcome: Outcome) -> Optimised:
    positions = so_far.positions.copy() if task.corrected else np.zeros(len(so_far.valid), dtype=np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        positions[so_far.valid] = np.nan_to_num(np.round(position / task.contract), posinf=0.0, neginf=0.0)
    return replace(
        so_far,
        positions=positions,
        outcome=outcome,
        tracking_error=task.tracking_error(position),
        cost=task.objective.trading_cost(position * task.unit),
    )


def _blank(problem: Problem, valid: Bools, task: _Task) -> Optimised:
    """What is known before the search, with the previous positions."""
    ends = np.minimum(task.bounds.lowest * task.unit, task.bounds.highest * task.unit)
    other_ends = np.maximum(task.bounds.lowest * task.unit, task.bounds.highest * task.unit)
    return Optimised(
        positions=_whole(problem),
        outcome=Outcome.OPTIMISED,
        valid=valid,
        optimal_weight=_spread(valid, task.objective.optimum),
        lowest=_spread(valid, ends),
        highest=_spread(valid, other_ends),
        start=_spread(valid, task.bounds.start * task.unit),
        direction=_spread(valid, task.bounds.direction * np.sign(task.unit)),
        greedy=np.full(len(valid), np.nan),
        steps=0,
        tracking_error_of_previous=task.tracking_error(task.held),
        tracking_error=math.nan,
        cost=math.nan,
    )


def _whole(problem: Problem) -> Ints:
    if problem.previous is None:
        return np.zeros(len(problem.names), dtype=np.int64)
    return np.round(np.nan_to_num(problem.previous)).astype(np.int64)


def _spread(valid: Bools, values: Floats) -> Floats:
    full = np.full(len(valid), np.nan)
    full[valid] = values
    return full
