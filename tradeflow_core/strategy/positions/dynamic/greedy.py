"""The greedy search: one contract at a time, each time the one that lowers the objective most, until none does.

The objective after a step from weights w, with gap g to the optimum and steps s, follows from the variance at hand:
g'Sg + 2 s_i (Sg)_i + s_i^2 S_ii. So trying all instruments is a handful of vector operations, and a step taken changes
each trial by a fixed number, 2 s_i s_j S_ij. These running figures drift by rounding. A decision that is closer than
the drift can be is made by the objective itself; the result is that of evaluating the objective at every trial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.positions.dynamic.bounds import Bounds
from tradeflow_core.strategy.positions.dynamic.objective import ROUNDING, Objective

STEPS_BETWEEN_REFRESHES = 32
STOP, FAIL = -1, -2


@dataclass(frozen=True, eq=False)
class Found:
    """Positions at the end of the search (missing altogether where the objective could not be had), contracts added."""

    positions: Floats
    steps: int


def greedy(objective: Objective, bounds: Bounds, unit: Floats, *, contract: Floats, ties: bool) -> Found:
    """Search from the start of `bounds`.

    Positions and bounds count in units: `unit` is the weight of one, `contract` the units of one contract. An instrument
    whose next contract would pass its bound is left alone from then on. Of equal steps the first is taken; `ties`: equal
    means equal but for rounding, so that a result does not hang on the order in which a processor adds.
    """
    search = _Search(objective, bounds, unit, contract=contract, ties=ties)
    found = search.run() if len(unit) else True
    return Found(search.position if found else np.full(len(unit), np.nan), search.steps)


class _Search:
    """`change`: of the variance by each step, infinite for an instrument at its bound; `price`: of each step, in shadow cost."""

    def __init__(self, objective: Objective, bounds: Bounds, unit: Floats, *, contract: Floats, ties: bool) -> None:
        self.objective, self.unit = objective, unit
        self.position, self.steps = bounds.start.copy(), 0
        self.increment = contract * bounds.direction
        self.stride = self.increment * unit
        self.up, self.limit = bounds.direction > 0, np.where(bounds.direction > 0, bounds.highest, bounds.lowest)
        self.interaction = objective.covariance * (2.0 * self.stride)[:, None]
        self.interaction *= self.stride
        self.own_change = 0.5 * self.interaction.diagonal()
        self.change, self.price = np.empty(len(unit)), np.zeros(len(unit))
        self.trial, self.trial_variance = np.empty(len(unit)), np.empty(len(unit))
        self.indifference = ROUNDING * objective.value(self.position * unit) if ties else 0.0

    def run(self) -> bool:
        """Walk to the end; False where the objective could not be had."""
        with np.errstate(invalid="ignore"):
            taken = 0
            while taken >= 0:
                if self.steps % STEPS_BETWEEN_REFRESHES == 0:
                    self._refresh()
                taken = self._next()
                if taken >= 0:
                    self._take(taken)
        return taken == STOP

    def _refresh(self) -> None:
        """Running figures anew from the positions, and how far they can be off until the next time."""
        objective, weights = self.objective, self.position * self.unit
        gap = weights - objective.optimum
        slope = objective.covariance @ gap
        self.variance = float(gap @ slope)
        np.multiply(2.0 * self.stride, slope, out=self.change)
        self.change += self.own_change
        following = self.position + self.increment
        self.change[np.where(self.up, following > self.limit, following < self.limit)] = np.inf
        if objective.held is not None:
            unit_price, away = objective.shadow_cost * np.abs(objective.cost), weights - objective.held
            np.multiply(unit_price, np.abs(away + self.stride) - np.abs(away), out=self.price)
        size = objective.size(gap) + STEPS_BETWEEN_REFRESHES * math.sqrt(np.abs(self.own_change).max())
        self.drift = ROUNDING * size**2
        self.cost_drift = ROUNDING * (objective.trading_cost(weights) + size) + self.indifference

    def _next(self) -> int:
        """The instrument of the next step, STOP or FAIL."""
        trial, variance = self.trial, self.variance
        np.add(self.change, variance, out=self.trial_variance)
        np.sqrt(self.trial_variance, out=trial)
        np.add(trial, self.price, out=trial)
        first = int(trial.argmin())
        lowest = trial.item(first)
        trial[first] = np.inf
        second = trial.item(trial.argmin())
        trial[first] = lowest
        now = math.sqrt(max(variance, 0.0))
        doubt = self._doubt()
        if lowest < now - doubt and lowest < second - doubt:
            return first
        if lowest > now + doubt:
            return STOP
        bar = (lowest if lowest < now else now) + doubt
        near = ~(trial > bar) | (self.trial_variance <= self.drift)
        return self._evaluated(np.flatnonzero(near).tolist())

    def _doubt(self) -> float:
        """How far two trials must be apart to tell which is lower."""
        least = min(self.trial_variance.item(self.trial_variance.argmin()), self.variance)
        if least > self.drift:
            return 2.0 * self.drift / math.sqrt(least) + self.cost_drift
        return 4.0 * math.sqrt(self.drift) + self.cost_drift

    def _evaluated(self, candidates: list[int]) -> int:
        """The decision among candidates by the objective itself."""
        best, chosen = self.objective.value(self.position * self.unit), STOP
        if math.isnan(best):
            return FAIL
        for candidate in candidates:
            position = self.position.copy()
            position[candidate] += self.increment[candidate]
            value = self.objective.value(position * self.unit)
            if math.isnan(value):
                return FAIL
            if value < best - self.indifference:
                best, chosen = value, candidate
        return chosen

    def _take(self, taken: int) -> None:
        self.steps += 1
        self.variance += self.change.item(taken)
        self.change += self.interaction[taken]
        increment = self.increment.item(taken)
        position = self.position.item(taken) + increment
        self.position[taken] = position
        following, limit = position + increment, self.limit.item(taken)
        if following > limit if self.up.item(taken) else following < limit:
            self.change[taken] = np.inf
        held = self.objective.held
        if held is not None:
            unit_price = self.objective.shadow_cost * abs(self.objective.cost.item(taken))
            away, stride = position * self.unit.item(taken) - held.item(taken), self.stride.item(taken)
            self.price[taken] = unit_price * (abs(away + stride) - abs(away))
