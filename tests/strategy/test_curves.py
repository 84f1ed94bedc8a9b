"""Account curves: sums by period, percents of capital, groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from tests.strategy.markets import market
from tests.strategy.test_backtest import strategy
from tradeflow_core.strategy import Backtest, run_backtest
from tradeflow_core.strategy.results.curves import (
    PARTS,
    PERIODS_PER_YEAR,
    AccountCurve,
    CurveGroup,
    Frequency,
    Returns,
    portfolio_curve,
)

FREQUENCIES: tuple[Frequency, ...] = tuple(PERIODS_PER_YEAR)
profits = st.lists(st.integers(-1000, 1000), min_size=1, max_size=400)


def series(values: list[float], start: str = "2020-01-01", frequency: str = "B") -> pd.Series:
    return pd.Series(values, index=pd.date_range(start, periods=len(values), freq=frequency), dtype=float)


def curve(gross: list[float], costs: list[float] | None = None, capital: float | pd.Series = 1000.0) -> AccountCurve:
    return AccountCurve(series(gross), series(costs or []), capital)


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    return run_backtest(strategy(), market())


@pytest.fixture(scope="module")
def portfolio(backtest: Backtest) -> CurveGroup:
    return portfolio_curve(backtest.accounts)


@pytest.mark.parametrize("frequency", FREQUENCIES)
@given(profits)
def test_nothing_is_lost_however_periods_are_chosen(frequency: Frequency, values: list[float]) -> None:
    for part, total in (("gross", sum(values)), ("net", sum(values) - len(values))):
        returns = curve(values, [-1.0] * len(values)).returns(part, "percent", frequency)  # type: ignore[arg-type]
        assert returns.values.sum() == pytest.approx(total / 10.0)
        assert returns.cumulative.iloc[-1] == pytest.approx(total / 10.0)


def test_a_weekend_belongs_to_its_friday_by_day_but_to_its_own_month() -> None:
    friday, saturday = pd.Timestamp("2020-01-31"), pd.Timestamp("2020-02-01")
    charged = AccountCurve(series([0.0], "2020-01-31"), pd.Series([-5.0], index=[saturday]), 1000.0)
    assert charged.returns("net", "money").values.to_dict() == {friday: -5.0}
    assert charged.returns("net", "money", "monthly").values.tolist() == [0.0, -5.0]


def test_a_week_without_profit_counts_as_zero() -> None:
    gappy = AccountCurve(pd.Series([1.0, 2.0], index=pd.to_datetime(["2020-01-06", "2020-01-20"])), series([]), 100.0)
    assert gappy.returns(frequency="weekly").values.tolist() == [1.0, 0.0, 2.0]


def test_percents_are_of_the_capital_of_the_day() -> None:
    capital = pd.Series([1000.0, 500.0], index=pd.to_datetime(["2019-12-01", "2020-01-02"]))
    assert curve([10.0, 10.0], capital=capital).returns().values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("frequency", ["weekly", "monthly", "annual"])
@given(values=profits)
def test_capital_at_bins_loses_what_came_before_the_first_of_them(frequency: Frequency, values: list[float]) -> None:
    right = curve(values).returns("net", "percent", frequency).values
    flawed = curve(values).returns("net", "percent", frequency, capital_at_bins=True).values
    assert flawed.iloc[1:].tolist() == right.iloc[1:].tolist()
    on_the_label = series(values)[series(values).index == right.index[0]].sum()
    assert flawed.iloc[0] == pytest.approx(on_the_label / 10.0)


def test_costs_on_one_side_only_still_make_net() -> None:
    ends_early = AccountCurve(series([5.0, 5.0, 5.0]), series([-1.0], "2020-01-02"), 100.0)
    assert ends_early.net.tolist() == [5.0, 4.0, 5.0]
    assert len(ends_early.returns("costs").values) == 1


@given(profits)
def test_a_drawdown_is_never_above_zero_and_ends_at_a_new_high(values: list[float]) -> None:
    returns = curve(values).returns()
    drawdown = returns.drawdown()
    assert (drawdown <= 0).all()
    assert returns.cumulative.max() - returns.cumulative.iloc[-1] == pytest.approx(-returns.drawdown(corrected=False).iloc[-1])


def test_a_loss_on_the_first_day_is_a_drawdown_unless_as_in_the_reference() -> None:
    returns = curve([-10.0, 0.0]).returns()
    assert returns.drawdown().tolist() == [-1.0, -1.0]
    assert returns.drawdown(corrected=False).tolist() == [0.0, 0.0]


def test_the_rolling_standard_deviation_is_that_of_a_year() -> None:
    random = np.random.default_rng(1).normal(0, 1, 5000)
    assert Returns(series(random.tolist()), 256.0).rolling_annual_std(1000).median() == pytest.approx(16.0, rel=0.02)


def test_bare_returns_earn_their_sum_the_first_one_included() -> None:
    bare = AccountCurve.of_returns(series([1.0, np.nan, 2.0]), 100.0, costs=series([-0.5]))
    assert bare.returns("gross", "money").values.tolist() == [1.0, 0.0, 2.0]
    assert bare.returns("net", "money").values.sum() == 2.5


def test_instruments_and_sectors_add_up_to_the_portfolio(backtest: Backtest, portfolio: CurveGroup) -> None:
    by_sector = portfolio.grouped({"A": "Metals", "B": "Metals", "C": "Energy"})
    assert list(by_sector.members) == ["Energy", "Metals"]
    for part in PARTS:
        whole = portfolio.returns(part, "money").values
        for group in (portfolio, by_sector):
            parts = group.table(part, "money").sum(axis=1).reindex(whole.index).fillna(0.0)
            pd.testing.assert_series_equal(parts, whole, check_names=False, check_freq=False)


def test_the_curve_is_that_of_the_accounts(backtest: Backtest, portfolio: CurveGroup) -> None:
    total = backtest.stage("portfolio_pandl")
    for part in PARTS:
        ours = portfolio.returns(part, "money").values
        pd.testing.assert_series_equal(ours, total[part].dropna(), check_names=False, check_freq=False)


def test_a_table_of_profit_by_name_becomes_the_same_curves(backtest: Backtest, portfolio: CurveGroup) -> None:
    from_table = CurveGroup.of_table(backtest.stage("instrument_pandl"), portfolio.capital)
    pd.testing.assert_frame_equal(from_table.table(), portfolio.table(), check_freq=False)


def test_a_portfolio_of_nothing_has_no_returns() -> None:
    nothing = CurveGroup.of({}, 1000.0)
    for frequency in FREQUENCIES:
        assert nothing.returns(frequency=frequency, capital_at_bins=True).values.empty
