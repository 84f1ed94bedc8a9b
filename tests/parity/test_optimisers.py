"""Weights of 40 random sets of estimates by every method, their clusters and multipliers, equal the reference's.

Weights found by a numerical search agree closely when the same search is used; the exact optimum lies where the search would
have gone on to, some thousandths away.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from tests.parity.proof import Answers, reads, uses
from tests.parity.test_estimation import EXACT, SEARCHED, SOLVERS, TOLERANCE, matrix
from tradeflow_core.strategy.config.compat import Solver
from tradeflow_core.strategy.config.estimates import WeightEstimate
from tradeflow_core.strategy.estimation import Correlation, Estimates, diversification_multiplier, optimal_weights, two_clusters

ASSETS, CORRELATION = "reference_cases/optimisation/assets", "reference_cases/optimisation/correlation"

METHODS: dict[str, tuple[WeightEstimate, float, float]] = {
    "w_handcraft_equalSR": (WeightEstimate(equalise_SR=True), TOLERANCE, TOLERANCE),
    "w_handcraft_SRadj": (WeightEstimate(), SEARCHED, EXACT),
    "w_shrinkage_.9_.5": (WeightEstimate(method="shrinkage"), SEARCHED, EXACT),
    "w_one_period_eqvol": (WeightEstimate(method="one_period"), SEARCHED, EXACT),
    "w_equal_weights": (WeightEstimate(method="equal_weights"), TOLERANCE, TOLERANCE),
}
"""Settings, and how far a weight may be away: by the reference's search, and from the exact optimum."""


def cases(answers: Answers) -> Iterator[tuple[Estimates, pd.DataFrame]]:
    """Each set of estimates with the answers to it."""
    long = answers.table(CORRELATION)
    for case, table in answers.table(ASSETS).groupby("case"):
        correlation = Correlation(tuple(table["asset"]), matrix(long[long["case"] == case]).to_numpy())
        years = table["data_length_weeks"].iloc[0] / (365.25 / 7)
        yield Estimates(correlation, table["mean"].to_numpy(), table["stdev"].to_numpy(), years), table


@uses(CORRELATION)
@reads(ASSETS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("method", METHODS)
def test_optimal_weights_equal_the_reference(method: str, solver: Solver, answers: Answers) -> None:
    settings, searched, exact = METHODS[method]
    for estimates, table in cases(answers):
        weights = optimal_weights(estimates, settings, solver)
        answers.near(ASSETS, weights, table[method], searched if solver == "slsqp" else exact, measure="whole")


@uses(CORRELATION)
@reads(ASSETS)
def test_first_splits_and_multipliers_of_equal_weights_equal_the_reference(answers: Answers) -> None:
    for estimates, table in cases(answers):
        size = len(table)
        multiplier = diversification_multiplier(estimates.correlation.values, np.full(size, 1 / size), 2.5)
        answers.near(ASSETS, [multiplier] * size, table["div_mult_equal_weights"])
        if size > 2:
            second = [place in two_clusters(estimates.correlation)[1] for place in range(size)]
            answers.equal(ASSETS, second, table["cluster"] != table["cluster"].iloc[0])
