"""Portfolio risk, the risk overlay and capital multipliers give the reference's figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import needs_shared
from tests.parity.figures import GOLDEN, read
from tests.parity.market_risk import MarketRisk, market_settings, prices
from tradeflow_core.strategy.config.estimates import RiskOverlay
from tradeflow_core.strategy.positions.multipliers import MULTIPLIERS, capital_multiplier
from tradeflow_core.strategy.positions.risk import (
    PortfolioRisk,
    RiskLimits,
    portfolio_risk,
    portfolio_weights,
    risk_scalar,
    shocked_volatilities,
)

pytestmark = needs_shared("golden", "system_c")

TOLERANCE = 1e-10
MEASURES = {"normal": "normal_risk", "shocked": "shocked_vol_risk", "sum_abs": "sum_abs_risk", "leverage": "leverage"}


@pytest.fixture(scope="module")
def market() -> MarketRisk:
    codes = [code for code in read("system_c", "notional_position").columns if code != "date"]
    return MarketRisk(prices(), sorted(codes), market_settings(GOLDEN / "system_c" / "config_static_no_overlay.yaml"))


@pytest.fixture(scope="module")
def risk(market: MarketRisk) -> PortfolioRisk:
    positions = read("system_c", "notional_position").set_index("date")[market.codes]
    pd.testing.assert_index_equal(pd.DatetimeIndex(positions.index), market.days, check_names=False, exact=False)
    weights = portfolio_weights(positions.to_numpy(), market.contract_values)
    volatilities = market.volatilities
    shocked = shocked_volatilities(volatilities, backfilled=True)
    return portfolio_risk(market.days, weights, volatilities, shocked=shocked, correlations=market.correlations(), lone_asset=False)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_measure_of_risk_equals_the_reference(measure: str, risk: PortfolioRisk) -> None:
    np.testing.assert_allclose(getattr(risk, measure), read("system_c", "risk_overlay")[MEASURES[measure]], rtol=TOLERANCE)


def test_the_risk_scalar_equals_the_reference(risk: PortfolioRisk, market: MarketRisk) -> None:
    overlay = RiskOverlay(**yaml.safe_load((GOLDEN / "system_c" / "risk_overlay.yaml").read_text()))
    ours = risk_scalar(risk, RiskLimits.of(overlay, market.config.percentage_vol_target))
    np.testing.assert_allclose(ours, read("system_c", "risk_overlay")["risk_scalar"], rtol=TOLERANCE)


def test_tighter_limits_give_the_reference_scalar(risk: PortfolioRisk, market: MarketRisk) -> None:
    overlay = RiskOverlay(
        max_risk_fraction_normal_risk=1.2,
        max_risk_fraction_stdev_risk=3.0,
        max_risk_limit_sum_abs_risk=2.5,
        max_risk_leverage=10.0,
    )
    ours = risk_scalar(risk, RiskLimits.of(overlay, market.config.percentage_vol_target))
    np.testing.assert_allclose(ours, read("more_positions", "system_c_tight_overlay_risk_scalar")["risk_scalar"], rtol=TOLERANCE)


@pytest.mark.parametrize("method", MULTIPLIERS)
def test_a_capital_multiplier_equals_the_reference(method: str) -> None:
    percent = read("system_a", "pandl_portfolio_cash_costs").set_index("date")["net_percent"]
    wanted = read("system_a", f"capital_multiplier_{method}").set_index("date")["capital_multiplier"]
    ours = capital_multiplier(method, percent[wanted.index].to_numpy(), corrected=False)
    np.testing.assert_allclose(ours, wanted, rtol=TOLERANCE)


@pytest.mark.parametrize("method", MULTIPLIERS)
def test_the_capital_of_the_day_before_equals_the_reference(method: str) -> None:
    percent = read("system_a", "pandl_portfolio_cash_costs").set_index("date")["net_percent"]
    capital = read("more_positions", "capital_multiplier_pandl").set_index("date")[f"{method}_actual_capital"]
    start = capital.dropna().iloc[0]
    factor = pd.Series(capital_multiplier(method, percent[capital.index].to_numpy(), corrected=False), index=capital.index)
    np.testing.assert_allclose(start * factor.shift(1), capital, rtol=TOLERANCE)
