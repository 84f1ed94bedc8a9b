"""Whole contracts for a strategy with dynamic optimisation, from its stored optimal positions and the positions that it holds.

A result stays in force until the nightly run or the controls in the ledger change. So the step may be repeated while its orders are
being filled, or afterwards, and there is nothing more to trade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.model import OverrideKind
from tradeflow_core.nightly import SavedRun
from tradeflow_core.orders.standing import Standing
from tradeflow_core.strategy.positions import Constraints, Optimised, Outcome, Problem, optimise

Floats = NDArray[np.float64]

FIGURES = {
    "notional_position": "optimal position (too little price history)",
    "contract_value": "price or FX rate",
    "annual_volatility": "volatility",
    "covariance": "correlation with other instruments",
    "trading_cost": "cost of trading",
}
"""What the optimiser needs of an instrument, and the words for it where it is missing."""

ALLOWED = ("no_trade", "reduce_only", "position_limit")
"""Columns that say what the ledger's controls allow."""


def is_dynamic(optimal: pd.DataFrame) -> bool:
    """Whether optimal positions are those of a strategy with dynamic optimisation."""
    return "contract_value" in optimal and bool(optimal["contract_value"].notna().any())


def optimised_positions(optimal: pd.DataFrame, run: SavedRun, standings: Mapping[str, Standing]) -> pd.DataFrame:
    """The optimal positions of a day with the optimiser's result; unchanged where they have a result that is still in force.

    `optimal`: rows of the dataset optimal_positions, index instrument; `run`: the one that made them; `standings`: of at least these
    instruments. The corrected optimiser is used, whatever flaws the strategy's `compat` keeps in a backtest. Added columns:

    - `previous_position`, `optimised_position`: contracts held and to be held; `lower`, `upper`: the latter, as a band;
    - `no_trade`, `reduce_only`, `position_limit` (contracts on either side, missing for none): what was allowed;
    - `previous_weight`, `optimal_weight`, `optimised_weight`, `position_limit_weight`: the same as shares of capital, and
      `lowest_weight`, `highest_weight` (missing for no bound), `start_weight`, `greedy_weight` of the search;
    - of the whole portfolio: `tracking_error_before`, `tracking_error_after` (annual, against the optimal weights), `outcome`;
    - `explanation`: what kept the instrument from being optimised freely, or empty.
    """
    in_order = [standings[str(instrument)] for instrument in optimal.index]
    allowed = _allowed(optimal, in_order)
    if _in_force(optimal, allowed, in_order):
        return optimal
    problem = _problem(optimal, run, allowed, standings=in_order)
    result = optimise(problem, corrected=True)
    return _with_result(optimal, allowed, in_order, problem=problem, result=result)


def _allowed(optimal: pd.DataFrame, standings: Sequence[Standing]) -> pd.DataFrame:
    """The columns `ALLOWED`: from the ledger, and from the strategy where it may only reduce an instrument."""
    restricted = optimal["restricted"].to_numpy(bool)
    columns = {
        "no_trade": pd.array([standing.no_trade for standing in standings], dtype="boolean"),
        "reduce_only": pd.array(
            restricted | np.array([standing.reduce_only for standing in standings], dtype=bool), dtype="boolean"
        ),
        "position_limit": pd.Series([standing.largest for standing in standings], index=optimal.index, dtype="Int64"),
    }
    return pd.DataFrame(columns, index=optimal.index)


def _in_force(optimal: pd.DataFrame, allowed: pd.DataFrame, standings: Sequence[Standing]) -> bool:
    """Whether these rows have a result that was found under the controls in force now, and every position has since moved towards it, or
    towards zero (a fill that reduces risk does not ask for another result)."""
    if "optimised_position" not in optimal or optimal["optimised_position"].isna().any():
        return False
    ends = np.stack([optimal[name].to_numpy(np.int64) for name in ("previous_position", "optimised_position")])
    held = _held(standings)
    between = (held >= np.minimum(ends.min(axis=0), 0)) & (held <= np.maximum(ends.max(axis=0), 0))
    return bool(between.all()) and all(optimal[name].equals(allowed[name]) for name in ALLOWED)


def _held(standings: Sequence[Standing]) -> Floats:
    return np.array([standing.position for standing in standings], dtype=float)


def _problem(optimal: pd.DataFrame, run: SavedRun, allowed: pd.DataFrame, *, standings: Sequence[Standing]) -> Problem:
    settings, instruments = run.config["small_system"], list(optimal.index)
    return Problem(
        names=tuple(instruments),
        optimal=optimal["notional_position"].to_numpy(float),
        value=optimal["contract_value"].to_numpy(float),
        covariance=run.covariance.reindex(index=instruments, columns=instruments).to_numpy(float),
        cost=optimal["trading_cost"].to_numpy(float),
        previous=_held(standings),
        constraints=Constraints(
            no_trade=allowed["no_trade"].to_numpy(bool),
            reduce_only=allowed["reduce_only"].to_numpy(bool),
            long_only=optimal["long_only"].to_numpy(bool),
            maximum=allowed["position_limit"].to_numpy(float, na_value=np.nan),
        ),
        shadow_cost=float(settings["shadow_cost"]),
        tracking_error_buffer=float(settings["tracking_error_buffer"]),
    )


def _with_result(
    optimal: pd.DataFrame, allowed: pd.DataFrame, standings: Sequence[Standing], *, problem: Problem, result: Optimised
) -> pd.DataFrame:
    value, positions = problem.value, result.positions
    bounds = {"lowest_weight": result.lowest, "highest_weight": result.highest}
    return optimal.assign(
        lower=positions.astype(float),
        upper=positions.astype(float),
        previous_position=pd.array([standing.position for standing in standings], dtype="Int64"),
        previous_weight=_held(standings) * value,
        optimal_weight=result.optimal_weight,
        optimised_position=pd.array(positions, dtype="Int64"),
        optimised_weight=positions * value,
        **{name: allowed[name] for name in ALLOWED},
        position_limit_weight=problem.constraints.maximum * np.abs(value),
        **{name: np.where(np.isinf(weights), np.nan, weights) for name, weights in bounds.items()},
        start_weight=result.start,
        greedy_weight=result.greedy,
        tracking_error_before=result.tracking_error_of_previous,
        tracking_error_after=result.tracking_error,
        outcome=f"{result.outcome}: {result.failure}" if result.failed else str(result.outcome),
        explanation=_explanations(optimal, standings, problem, result=result),
    )


def _explanations(optimal: pd.DataFrame, standings: Sequence[Standing], problem: Problem, *, result: Optimised) -> list[str]:
    """A line for each instrument: which figure is missing, which control binds, or why nothing is traded; empty where it was free."""
    is_known = pd.DataFrame({name: optimal[name].notna() for name in FIGURES if name in optimal})
    is_known["covariance"] = ~np.isnan(problem.covariance.diagonal())
    near_enough = f"tracking error {result.tracking_error:.2%} is within the buffer of {problem.tracking_error_buffer:.2%}"
    otherwise = near_enough if result.outcome is Outcome.NEAR_ENOUGH else ""
    lines = []
    for place, (standing, row) in enumerate(zip(standings, is_known.to_dict("records"), strict=True)):
        missing = next((words for name, words in FIGURES.items() if not row[name]), "")
        if missing or result.failed:
            lines.append(f"left alone: {f'no {missing} is known' if missing else result.failure}")
        else:
            limits = _binding_limit(
                standing, restricted=bool(optimal["restricted"].iloc[place]), position=int(result.positions[place])
            )
            lines.append(limits or otherwise)
    return lines


def _binding_limit(standing: Standing, *, restricted: bool, position: int) -> str:
    override = standing.override
    if override.closes or override.kind is OverrideKind.NO_TRADING:
        return f"override {'close' if override.closes else override.kind} ({override.why})"
    if standing.reduce_only:
        return f"it may only be reduced ({override.why})"
    if restricted:
        return "it may only be reduced (the strategy lists it as a bad market or restricted)"
    at_limit = standing.largest is not None and abs(position) >= standing.largest
    return f"the limit of {standing.largest} contracts is reached" if at_limit else ""
