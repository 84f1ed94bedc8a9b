"""Why a position changed: contributions that add up, whatever changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from tests.strategy.markets import market, up_to
from tradeflow_core.nightly import CAP, FACTORS, MULTIPLIER, Explanation, explain, open_run, save_day
from tradeflow_core.nightly.explanation import shapley
from tradeflow_core.store import Store
from tradeflow_core.strategy import BacktestData, load_strategy, packaged_strategies, run_backtest

DAY, NOON = date(2012, 9, 10), datetime(2012, 9, 10, 12, 0, tzinfo=UTC)
NUMBERS = st.floats(-100, 100) | st.sampled_from([0.0, 1.0, -1.0])


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9).flatmap(lambda count: arrays.arrays(float, (2, 3, count), elements=NUMBERS)))
def test_contributions_add_up_to_the_change_of_the_product(ends: np.ndarray) -> None:
    before, after = ends
    change = after.prod(axis=-1) - before.prod(axis=-1)
    size = np.maximum(np.abs(before), np.abs(after)).prod(axis=-1)
    np.testing.assert_allclose(shapley(before, after).sum(axis=-1), change, rtol=0, atol=1e-12 * (1 + size.max()) * before.size)


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(float, (2, 4), elements=NUMBERS))
def test_a_contribution_is_the_average_over_all_orders_of_change(ends: np.ndarray) -> None:
    before, after = ends
    expected = np.zeros(4)
    for order in permutations(range(4)):
        now = before.copy()
        for place in order:
            product = now.prod()
            now[place] = after[place]
            expected[place] += (now.prod() - product) / factorial(4)
    np.testing.assert_allclose(shapley(before, after), expected, rtol=1e-9, atol=1e-6)


@given(arrays.arrays(float, (2, 5), elements=NUMBERS), st.integers(0, 4))
def test_a_factor_that_did_not_change_contributes_nothing(ends: np.ndarray, place: int) -> None:
    ends[1, place] = ends[0, place]
    assert shapley(ends[0], ends[1])[place] == 0.0


@pytest.fixture(scope="module")
def data() -> BacktestData:
    return market(currency="EUR")


BASE: dict[str, Any] = {
    "trading_rules": {"long": {"function": "long_bias"}, "short": {"function": "short_bias"}},
    "forecast_weights": {"long": 0.7, "short": 0.3},
}
"""Rules that look neither at prices nor at volatility."""


class Book:
    """Runs of a strategy on consecutive days."""

    def __init__(self, folder: Path, data: BacktestData) -> None:
        self.store, self.data, self.count = Store(str(folder)), data, 0

    def save(self, days: Any = 700, **changes: Any) -> None:
        config = load_strategy(packaged_strategies()["static_trend_carry"], changes)
        save_day(self.store, run_backtest(config, up_to(self.data, days)), "mine", day=DAY + timedelta(days=self.count), time=NOON)
        self.count += 1

    def explained(self) -> Explanation:
        return explain(open_run(self.store, "mine", DAY), open_run(self.store, "mine"))


@pytest.fixture
def book(tmp_path: Path, data: BacktestData) -> Book:
    return Book(tmp_path, data)


def assert_adds_up(found: Explanation) -> None:
    table = found.positions
    np.testing.assert_allclose(table[list(FACTORS)].sum(axis=1), table["change"], atol=1e-9)
    np.testing.assert_allclose(table["change"], table["after"].fillna(0.0) - table["before"].fillna(0.0), atol=1e-12)
    np.testing.assert_allclose(table["change"] + table["rounding"], table["held_change"], atol=1e-9)
    by_rule = found.rules[["by_forecast", "by_weight"]].sum(axis=1).groupby("instrument").sum()
    np.testing.assert_allclose(by_rule[table.index], table["forecast"], atol=1e-9)


def test_some_days_later_prices_have_moved_forecast_volatility_and_rate(book: Book) -> None:
    book.save(690)
    book.save(700)
    found = book.explained()
    assert_adds_up(found)
    moved = found.positions[["forecast", "volatility", "fx"]].abs()
    assert (moved > 0).all(axis=None)
    for factor, stage in (("volatility", "daily_returns_volatility"), ("fx", "fx"), ("forecast", "combined_forecast")):
        for side, run in (("before", found.before), ("after", found.after)):
            np.testing.assert_allclose(found.factors[factor][side], run.optimal[stage], rtol=1e-12)
    louder = found.factors["volatility"]["after"] > found.factors["volatility"]["before"]
    long = found.positions["before"].sort_index() > 0
    assert ((found.positions["volatility"].sort_index() < 0) == (louder == long)).all()
    np.testing.assert_allclose(found.positions[["price", "capital", "diversification", "risk_overlay", "rest"]], 0.0, atol=1e-9)
    assert found.settings.empty


@pytest.mark.parametrize(
    ("changes", "factor"),
    [
        ({"notional_trading_capital": 1_500_000}, "capital"),
        ({"instrument_div_multiplier": 1.5}, "diversification"),
        ({"instrument_weights": {"A": 0.2, "B": 0.3, "C": 0.5}}, "instrument_weight"),
        ({"forecast_weights": {"long": 0.9, "short": 0.1}}, "forecast"),
        ({"volatility_calculation.days": 10}, "volatility"),
        ({"base_currency": "EUR"}, "fx"),
        ({"percentage_vol_target": 30}, "rest"),
    ],
)
def test_what_alone_was_changed_explains_the_whole_change(book: Book, changes: dict[str, Any], factor: str) -> None:
    book.save(**BASE)
    book.save(**{**BASE, **changes})
    found = book.explained()
    assert_adds_up(found)
    assert (found.positions[factor] != 0.0).all()
    others = found.positions[[name for name in FACTORS if name != factor]]
    np.testing.assert_allclose(others, 0.0, atol=1e-9)
    told = set(found.settings.index)
    assert told == {key for key in told if any(key.startswith(change.partition(".")[0]) for change in changes)}


def test_with_risk_in_percents_of_a_negative_price_the_price_turns_the_position(tmp_path: Path, data: BacktestData) -> None:
    shifted = {
        code: table.assign(**{name: table[name] - 400 for name in ("PRICE", "CARRY", "FORWARD")})
        for code, table in data.multiple_prices.items()
    }
    book = Book(tmp_path, BacktestData.from_frames(shifted, data.fx, data.instruments))
    book.save(690, compat="pst")
    book.save(700, compat="pst")
    found = book.explained()
    assert_adds_up(found)
    assert (found.factors[["price"]] == -1.0).all(axis=None)
    assert (found.positions["price"] == 0.0).all()


def test_a_position_that_turns_from_long_to_short_adds_up(book: Book) -> None:
    book.save()
    book.save(**{f"trading_rules.{rule}.forecast_scalar": -3.0 for rule in ("ewmac8_32", "ewmac64_256", "carry")})
    found = book.explained()
    assert (np.sign(found.positions["before"]) != np.sign(found.positions["after"])).any()
    assert_adds_up(found)


def test_positions_that_become_zero_or_come_from_it_add_up(book: Book) -> None:
    book.save(long_only_instruments=["A", "B", "C"])
    book.save(use_attenuation=[])
    found = book.explained()
    assert_adds_up(found)
    zero = found.positions["before"] == 0.0
    assert zero.any()
    assert (found.positions.loc[zero, "rest"].abs() > 0).all()


def test_an_instrument_that_came_or_went_is_the_rest(book: Book) -> None:
    book.save(instruments=["A", "B"])
    book.save(instruments=["B", "C"])
    found = book.explained()
    assert_adds_up(found)
    assert found.positions["before"].isna()["C"] and found.positions["after"].isna()["A"]
    assert found.positions.loc[["A", "C"], [name for name in FACTORS if name != "rest"]].eq(0.0).all(axis=None)
    assert found.sentence("A").startswith(f"A {found.positions['before']['A']:.1f} -> no contracts: rest ")


def test_the_risk_overlay_is_a_factor_of_its_own(book: Book) -> None:
    strict = {
        "max_risk_fraction_normal_risk": 0.2,
        "max_risk_fraction_stdev_risk": 9,
        "max_risk_limit_sum_abs_risk": 9,
        "max_risk_leverage": 99,
    }
    book.save(risk_overlay={**strict, "max_risk_fraction_normal_risk": 99})
    book.save(risk_overlay=strict)
    found = book.explained()
    assert_adds_up(found)
    np.testing.assert_allclose(found.positions["risk_overlay"], found.positions["change"])
    assert (found.factors["risk_overlay"]["after"] < 1).all()


def test_a_change_of_one_rule_is_told_as_that_rules(book: Book) -> None:
    book.save()
    book.save(**{"trading_rules.carry.forecast_scalar": 10})
    found = book.explained()
    assert_adds_up(found)
    lines = found.rules.loc["A"]
    assert lines["by_forecast"]["carry"] != 0.0
    others = pd.DataFrame(lines).drop(index=["carry", CAP])
    assert (others[["by_forecast", "by_weight"]] == 0.0).all(axis=None)
    assert lines["weight_before"][MULTIPLIER] == pytest.approx(1.3)
    assert "forecast (most by carry)" in found.sentence("A")


def test_the_largest_change_comes_first_and_is_told_in_a_sentence(book: Book) -> None:
    book.save(690)
    book.save(700)
    found = book.explained()
    assert found.positions["change"].abs().is_monotonic_decreasing
    code = found.positions.index[0]
    row = found.positions.loc[code]
    assert found.sentence(code).startswith(f"{code} {row['before']:.1f} -> {row['after']:.1f} contracts: ")


def test_two_runs_of_the_same_day_are_the_same(book: Book) -> None:
    book.save()
    book.save()
    found = book.explained()
    assert (found.positions[["change", *FACTORS]] == 0.0).all(axis=None)
    assert found.sentence("A").endswith("contracts: unchanged")
    assert isinstance(found.rules.index, pd.MultiIndex)
