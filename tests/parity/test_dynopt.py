"""The integer optimiser gives the reference's positions on 60 random cases, in whatever order the instruments come."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tests.parity.proof import Answers, reads, uses
from tradeflow_core.strategy.positions.dynamic import Constraints, Problem, optimise

ASSETS, CASES, COVARIANCE = (f"reference_cases/dynopt/{name}" for name in ("assets", "cases", "covariance"))

PER_ASSET = {
    "start": "start_weight",
    "lowest": "minimum_weight",
    "highest": "maximum_weight",
    "direction": "direction",
    "greedy": "greedy_weight_before_speed_control",
}
PER_CASE = {
    "tracking_error_of_previous": "tracking_error_of_prior",
    "tracking_error": "final_tracking_error",
    "cost": "final_cost",
}


def problem(assets: pd.DataFrame, covariance: np.ndarray, case: pd.Series) -> Problem:
    def floats(column: str) -> np.ndarray:
        return assets[column].to_numpy(dtype=float)

    flags = [
        assets[name].to_numpy(bool) if name in assets else np.zeros(len(assets), bool)
        for name in ("no_trade", "reduce_only", "long_only")
    ]
    return Problem(
        names=tuple(assets["asset"]),
        optimal=floats("contracts_optimal"),
        value=floats("per_contract_value"),
        covariance=covariance,
        cost=floats("cost"),
        previous=floats("previous_position") if case["has_previous"] else None,
        constraints=Constraints(flags[0], flags[1], flags[2], floats("max_position")),
        shadow_cost=float(case["shadow_cost"]),
        tracking_error_buffer=float(case["tracking_error_buffer"]),
    )


def cases(answers: Answers, backwards: bool = False) -> Iterator[tuple[Problem, pd.DataFrame, pd.Series]]:
    """Each case: the problem, its assets with the answers (`backwards`: last asset first), and what belongs to the case."""
    by_case, covariances = answers.table(CASES).set_index("case"), answers.table(COVARIANCE)
    for number, assets in answers.table(ASSETS).groupby("case"):
        ordered = assets[::-1] if backwards else assets
        matrix = covariances[covariances["case"] == number].pivot(index="a", columns="b", values="cov")
        matrix = matrix.loc[ordered["asset"], ordered["asset"]]
        yield problem(ordered, matrix.to_numpy(), by_case.loc[number]), ordered, by_case.loc[number]


@uses(COVARIANCE)
@reads(ASSETS, CASES)
def test_positions_and_what_led_to_them_equal_the_reference(answers: Answers) -> None:
    for given, assets, case in cases(answers):
        result = optimise(given, corrected=False)
        answers.equal(ASSETS, result.positions, assets["optimised_position"])
        answers.equal(ASSETS, result.valid, assets["valid"])
        answers.equal(CASES, ["fails" if result.failed else "ok"], [case["status"]])
        for ours, theirs in PER_ASSET.items():
            answers.near(ASSETS, getattr(result, ours), assets[theirs], 1e-12, absolute=1e-14)
        for ours, theirs in PER_CASE.items():
            answers.near(CASES, [getattr(result, ours)], [case[theirs]], 1e-10, absolute=1e-14)


@uses(COVARIANCE)
@reads(ASSETS, CASES)
def test_the_order_of_the_instruments_does_not_matter(answers: Answers) -> None:
    """Nor does it to the reference, which was asked in both orders."""
    forwards = [optimise(given, corrected=False) for given, _, _ in cases(answers)]
    for there, (given, assets, case) in zip(forwards, cases(answers, backwards=True), strict=True):
        back = optimise(given, corrected=False)
        answers.equal(ASSETS, back.positions, assets["optimised_position"])
        answers.equal(CASES, [str((back.positions != there.positions[::-1]).any())], [case["order_sensitive"]])
