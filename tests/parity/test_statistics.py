"""Account curves, statistics, turnovers, costs and simulated orders give the reference's figures, to 1e-8."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import SHARED, needs_shared
from tradeflow_core.instruments import Costs
from tradeflow_core.strategy import Backtest, BacktestData, StrategyConfig, load_strategy, run_backtest
from tradeflow_core.strategy.results.curve_statistics import ALL_STATISTICS, statistic_over_members, statistics, statistics_text
from tradeflow_core.strategy.results.curves import CurveGroup, Frequency, Part, portfolio_curve
from tradeflow_core.strategy.results.order_simulators import simulated_curve, trade
from tradeflow_core.strategy.results.turnovers import turnover_table

pytestmark = [needs_shared("golden", "system_a"), needs_shared("golden", "more_positions")]

TOLERANCE = 1e-8
# A week whose profits and losses cancel is a gain, a loss or neither by the rounding of its percentages.
BY_ROUNDING = (
    "avg_loss",
    "avg_gain",
    "gaintolossratio",
    "hitrate",
    "sortino",
    "quant_ratio_lower",
    "quant_ratio_upper",
    "average_quant_ratio",
)


def golden(name: str, index: str = "date", folder: str = "more_positions") -> pd.DataFrame:
    return pd.read_parquet(SHARED / "golden" / folder / f"{name}.parquet").set_index(index)


def assert_equal(ours: pd.Series, theirs: pd.Series) -> None:
    """Same dates, same missing values, same figures to the tolerance, of each or of a millionth of the largest."""
    assert ours.index.equals(theirs.index)
    largest = np.nanmax(np.abs(theirs)) if theirs.notna().any() else 0.0
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE * 1e-6 * largest)


@pytest.fixture(scope="module")
def data() -> BacktestData:
    return BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")


@pytest.fixture(scope="module")
def config() -> StrategyConfig:
    return load_strategy(SHARED / "golden" / "system_a" / "futuresconfig.yaml")


@pytest.fixture(scope="module")
def backtest(config: StrategyConfig, data: BacktestData) -> Backtest:
    return run_backtest(config, data)


@pytest.fixture(scope="module")
def portfolio(backtest: Backtest) -> CurveGroup:
    return portfolio_curve(backtest.accounts)


def changed(config: StrategyConfig, **settings: Any) -> StrategyConfig:
    return StrategyConfig.model_validate({**config.model_dump(), **settings})


@pytest.mark.parametrize("column", ["curve", "drawdown", "rolling_ann_std"])
def test_the_curve_and_what_is_drawn_of_it_equal_the_reference(column: str, portfolio: CurveGroup) -> None:
    net = portfolio.returns()
    ours = {"curve": net.cumulative, "drawdown": net.drawdown(corrected=False), "rolling_ann_std": net.rolling_annual_std()}
    assert_equal(ours[column], golden("system_a_portfolio_curves")[column])


@pytest.mark.parametrize("frequency", ["weekly", "monthly", "annual"])
def test_percents_by_period_equal_the_reference(frequency: Frequency, portfolio: CurveGroup) -> None:
    assert_equal(
        portfolio.returns(frequency=frequency).values, golden(f"system_a_portfolio_net_percent_{frequency}")["net_percent"]
    )


@pytest.mark.parametrize("frequency", ["daily", "weekly", "monthly", "annual"])
@pytest.mark.parametrize("part", ["gross", "costs", "net"])
@pytest.mark.parametrize("unit", ["percent", "money"])
def test_every_statistic_equals_the_reference(unit: Any, part: Part, frequency: Frequency, *, portfolio: CurveGroup) -> None:
    table = golden("system_a_portfolio_statistics", index="statistic")
    theirs = table[(table["frequency"] == frequency) & (table["curve"] == part) & (table["percent"] == (unit == "percent"))][
        "value"
    ]
    assert set(theirs.index) == set(ALL_STATISTICS)
    ours = pd.Series(statistics(portfolio.returns(part, unit, frequency, capital_at_bins=True), corrected=False))[theirs.index]
    tolerance = [1e-3 if (frequency, unit) == ("weekly", "percent") and name in BY_ROUNDING else TOLERANCE for name in ours.index]
    assert (ours.isna() == theirs.isna()).all()
    wrong = ((ours - theirs).abs() > np.array(tolerance) * theirs.abs()) & theirs.notna()
    assert not wrong.any(), pd.DataFrame({"ours": ours, "theirs": theirs})[wrong]


@pytest.mark.parametrize("costs", ["cash_costs", "SR_costs"])
def test_the_text_of_statistics_is_that_of_the_reference(costs: str, config: StrategyConfig, data: BacktestData) -> None:
    theirs = golden("pandl_stats_text", index="which", folder="system_a").loc[costs]
    backtest = run_backtest(changed(config, use_SR_costs=costs == "SR_costs"), data)
    lines = statistics_text(portfolio_curve(backtest.accounts).returns(), corrected=False).splitlines()
    assert [line.split() for line in lines] == [[name, str(value)] for name, value in theirs.items()]


@pytest.mark.parametrize("statistic", ["sharpe", "ann_mean", "ann_std"])
def test_statistics_over_instruments_equal_the_reference(statistic: str, portfolio: CurveGroup) -> None:
    theirs = golden("system_a_stats_dict", index="item")[statistic]
    by_time, equal = (
        statistic_over_members(portfolio, statistic, weighting=weighting, corrected=False)
        for weighting in ("timeweighted", "equal")
    )
    ours = by_time.by_member | {
        "_mean_timeweighted": by_time.mean,
        "_std": by_time.std,
        "_tstat": by_time.t_stat,
        "_mean_equal": equal.mean,
    }
    np.testing.assert_allclose(pd.Series(ours)[theirs.index], theirs, rtol=TOLERANCE)


def test_turnovers_and_their_costs_equal_the_reference(backtest: Backtest) -> None:
    table = turnover_table(backtest)
    theirs = golden("turnovers", index="instrument", folder="system_a").loc[table.index]
    for ours, name in (
        ("turnover", "instrument_turnover"),
        ("subsystem_turnover",) * 2,
        ("SR_cost_per_year", "SR_cost_given_turnover"),
    ):
        np.testing.assert_allclose(table[ours], theirs[name], rtol=TOLERANCE)
    at_portfolio = golden("system_a_turnover_portfolio_level", index="instrument")["turnover_at_portfolio_level"]
    np.testing.assert_allclose(table["portfolio_turnover"], at_portfolio[table.index], rtol=TOLERANCE)
    np.testing.assert_allclose(table["portfolio_turnover"].sum(), at_portfolio["_total"], rtol=TOLERANCE)


@pytest.mark.parametrize("part", ["gross", "costs", "net"])
def test_fills_at_the_close_of_the_decision_equal_the_reference(part: str, backtest: Backtest) -> None:
    assert_equal(replace(backtest.accounts, delayed=False).total[part], golden("system_a_portfolio_no_delay")[part])


COMMISSIONS = {
    "pct": Costs(spread_cost=0.5, percentage=0.0002),
    "pertrade": Costs(spread_cost=0.5, per_trade=7.0),
    "mix": Costs(spread_cost=0.5, per_block=2.0, per_trade=5.0, percentage=0.00005),
}


@pytest.mark.parametrize("rolls", [0.5, 1.0])
@pytest.mark.parametrize("deflated", [True, False])
@pytest.mark.parametrize("kind", COMMISSIONS)
def test_every_kind_of_commission_costs_what_the_reference_charges(
    kind: str, *, deflated: bool, rolls: float, backtest: Backtest, data: BacktestData
) -> None:
    eurostx = replace(data.instrument("EUROSTX"), costs=COMMISSIONS[kind])
    costly = run_backtest(
        changed(backtest.config, vol_normalise_currency_costs=deflated, multiply_roll_costs_by=rolls),
        replace(data, instruments={**data.instruments, "EUROSTX": eurostx}),
    )
    accounts = replace(backtest.accounts, sizing=costly.sizing, section=costly.trading)
    table = golden("costs_EUROSTX_synthetic")
    theirs = table[(table["costs_kind"] == kind) & (table["vol_normalise"] == deflated) & (table["multiply_roll"] == rolls)]
    ours = accounts.by_instrument["EUROSTX"].loc[theirs.index]
    for part in ("gross", "costs", "net"):
        assert_equal(ours[part], theirs[part])


@pytest.fixture(scope="module")
def two_markets(config: StrategyConfig, data: BacktestData) -> Backtest:
    half_each = {"CORN": 0.5, "EUROSTX": 0.5}
    return run_backtest(changed(config, start_date="2015-01-01", instruments=None, instrument_weights=half_each), data)


@pytest.mark.parametrize("code", ["CORN", "EUROSTX"])
def test_daily_market_orders_earn_what_they_do_in_the_reference(code: str, two_markets: Backtest) -> None:
    theirs = golden(f"order_simulator_daily_market_{code}")
    dates = theirs.index
    wanted = two_markets.stage("notional_position")[code].loc[dates]
    assert_equal(wanted, theirs["optimal"])
    price = two_markets.stage("daily_price")[code].reindex(dates)
    assert_equal(trade(wanted, price).position, theirs["positions"])
    late_rolls = simulated_curve(two_markets, code, "daily_market", lagged="rolls").returns("net", "money").values
    assert_equal(late_rolls, theirs["first"])
    late = simulated_curve(two_markets, code, "daily_market", lagged="all")
    for part in ("gross", "costs", "net"):
        assert_equal(late.returns(part, "money").values.reindex(dates), theirs[part])
