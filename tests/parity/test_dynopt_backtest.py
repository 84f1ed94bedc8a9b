"""The integer optimiser gives the reference's positions in odd cases and through a backtest."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from tests.conftest import needs_shared
from tests.parity.figures import GOLDEN, read
from tests.parity.market_risk import MarketRisk, market_settings, prices
from tests.parity.test_dynopt import problem
from tradeflow_core.strategy import BacktestData
from tradeflow_core.strategy.positions.dynamic import Constraints, OptimiserInputs, Problem, optimise, optimise_over_time
from tradeflow_core.strategy.positions.risk import daily_covariances

pytestmark = needs_shared("golden", "dynopt")


@cache
def recorded(name: str) -> pd.DataFrame:
    return read("dynopt", name)


def odd_cases() -> dict[str, pd.DataFrame]:
    return dict(iter(read("more_positions", "dynopt_edge_cases").groupby("case")))


def odd_problem(name: str) -> tuple[Problem, pd.DataFrame]:
    assets = odd_cases()[name]
    case = assets.iloc[0]
    correlation = np.where(np.eye(len(assets)), 1.0, case["corr"])
    return problem(assets, case["vol"] ** 2 * correlation, case), assets


@pytest.mark.parametrize("name", odd_cases() if (GOLDEN / "more_positions").exists() else [])
def test_an_odd_case_equals_the_reference_failures_included(name: str) -> None:
    given, assets = odd_problem(name)
    result = optimise(given, corrected=False)
    fails = assets["status"].iloc[0].startswith("fails")
    assert result.failed == fails
    assert bool(result.failure) == fails
    if not fails:
        np.testing.assert_array_equal(result.positions, assets["optimised_position"])


@pytest.mark.parametrize("name", odd_cases() if (GOLDEN / "more_positions").exists() else [])
def test_no_odd_case_fails_or_breaks_a_limit_when_corrected(name: str) -> None:
    given, assets = odd_problem(name)
    result = optimise(given, corrected=True)
    assert not result.failed
    assert (np.abs(result.positions) <= assets["max_position"].fillna(np.inf)).all()


def with_extra_markets() -> BacktestData:
    """The recorded prices and those of two more markets, which lie beside the figures."""
    data, extra = prices(), ("EUR", "KR10")
    adjusted = read("more_positions", "dynopt_backtest_input_adjusted_prices_EUR_KR10").set_index("date")
    multiple = read("more_positions", "dynopt_backtest_input_multiple_prices_EUR_KR10").set_index("date")
    own = {code: adjusted.loc[adjusted["instrument"] == code, "price"] for code in extra}
    tables = {code: multiple[multiple["instrument"] == code].drop(columns="instrument") for code in extra}
    return BacktestData.from_frames(
        {**data.multiple_prices, **tables}, data.fx, data.instruments, adjusted_prices={**data.adjusted_prices, **own}
    )


def backtest_figures(name: str) -> pd.DataFrame:
    table = recorded(f"backtest_{name}").set_index("date")
    return table[sorted(table.columns)]


@pytest.fixture(scope="module")
def market() -> MarketRisk:
    codes = list(backtest_figures("notional_positions").columns)
    return MarketRisk(with_extra_markets(), codes, market_settings(GOLDEN / "dynopt" / "backtest_config.yaml"))


def test_risk_figures_of_the_backtest_equal_the_reference(market: MarketRisk) -> None:
    np.testing.assert_allclose(market.volatilities, backtest_figures("annualised_perc_vol"), rtol=1e-10)
    values = pd.DataFrame(market.contract_values).ffill().bfill()
    np.testing.assert_allclose(values, backtest_figures("per_contract_value"), rtol=1e-12)
    matrices = dict(market.correlations())
    for since, entries in recorded("backtest_correlations_every8th").groupby("period_start"):
        wanted = entries.pivot(index="a", columns="b", values="corr").loc[market.codes, market.codes]
        np.testing.assert_allclose(matrices[since], wanted, rtol=1e-10, atol=1e-12)


def test_positions_of_the_backtest_equal_the_reference(market: MarketRisk) -> None:
    wanted = backtest_figures("notional_positions").ffill()
    cost = recorded("backtest_costs").set_index("instrument")["cost_per_notional_weight"][market.codes]
    volatilities = backtest_figures("annualised_perc_vol").to_numpy()
    small = market.config.small_system
    inputs = OptimiserInputs(
        names=tuple(market.codes),
        optimal=wanted.to_numpy(),
        value=backtest_figures("per_contract_value").to_numpy(),
        cost=backtest_figures("cost_deflator").to_numpy() * cost.to_numpy(),
        constraints=Constraints.none(len(market.codes)),
        shadow_cost=small.shadow_cost,
        tracking_error_buffer=small.tracking_error_buffer,
    )
    shrinkage = small.shrink_instrument_returns_correlation
    covariances = daily_covariances(
        pd.DatetimeIndex(wanted.index), volatilities, market.correlations(), shrinkage=shrinkage, lone_asset=False
    )
    result = optimise_over_time(inputs, covariances, corrected=False)
    assert not result.failures
    np.testing.assert_array_equal(result.positions, backtest_figures("optimised_positions"))
