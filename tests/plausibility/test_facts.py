"""What tables say of an instrument is held against its prices and against the packaged tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tradeflow_core.instruments import Costs, load_instruments
from tradeflow_core.plausibility import doubtful_facts

CORN = load_instruments()["CORN"]
PRICES = pd.Series(450 + 0.25 * np.cumsum(np.random.default_rng(1).integers(-8, 9, 2000)))


def kinds(spread: float, prices: pd.Series = PRICES) -> list[str]:
    """Of an instrument that the packaged tables do not know."""
    found = doubtful_facts(replace(CORN, code="MAIZE", costs=Costs(spread_cost=spread, per_block=2.0)), prices, None)
    return [kind for kind, _ in found]


def test_a_spread_far_below_the_smallest_step_of_the_price_is_odd() -> None:
    assert kinds(0.125) == kinds(0.25) == kinds(1.0) == []
    assert kinds(0.00125) == ["odd spread cost"]


def test_prices_that_move_by_any_amount_have_no_smallest_step() -> None:
    assert kinds(0.00125, PRICES + np.random.default_rng(2).normal(0, 1, len(PRICES))) == []
    assert kinds(0.00125, PRICES * 0 + 450) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"point_size": CORN.point_size * 10}, "point size, 500, is about 10 times too high"),
        ({"point_size": CORN.point_size / 100}, "about 100 times too low"),
        ({"currency": "EUR"}, "currency is EUR here, and USD"),
        ({"costs": replace(CORN.costs, spread_cost=CORN.costs.spread_cost * 100)}, "spread cost"),
        ({"costs": replace(CORN.costs, per_block=CORN.costs.per_block * 10)}, "commission of a contract"),
    ],
)
def test_facts_that_differ_from_the_packaged_tables_are_named(changed: dict[str, object], words: str) -> None:
    (found,) = doubtful_facts(replace(CORN, **changed), PRICES, CORN)
    assert found[0] == "other facts than known" and words in found[1]


def test_costs_of_another_measurement_are_no_doubt() -> None:
    cheaper = replace(CORN, costs=replace(CORN.costs, spread_cost=CORN.costs.spread_cost * 2))
    assert list(doubtful_facts(cheaper, PRICES, CORN)) == []
