"""Each known flaw of prices, carry, factors and rules is corrected at its place, and only where the strategy says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.strategy.corrections import shows
from tests.strategy.uneven_markets import (
    RULE_DATA,
    fixed_prices,
    strategy,
    three_markets,
    uneven,
    uneven_markets,
    with_prices,
)
from tradeflow_core.strategy import BacktestData
from tradeflow_core.strategy.inputs.raw_data import RawData
from tradeflow_core.strategy.rules import RULES


def one(correction: str, data: BacktestData | None = None) -> tuple[RawData, RawData]:
    """The reference's figures, and those with one correction."""
    markets = data or three_markets()
    return strategy(markets, "pst").raw_data, strategy(markets, [correction]).raw_data


@shows("previous_price")
def test_percentages_are_of_the_price_of_the_day_before() -> None:
    pst, corrected = one("previous_price")
    changes, price = pst.daily_returns.values, pst.daily_denominator_price.values
    pd.testing.assert_frame_equal(pst.daily_percentage_returns.values, changes / price)
    pd.testing.assert_frame_equal(corrected.daily_percentage_returns.values, changes / price.shift(1))


@shows("no_backfill")
def test_volatility_is_filled_backwards_only_if_asked_and_not_corrected() -> None:
    asked = {"volatility_calculation": {"backfill": True}}
    missing = {
        str(compat): strategy(three_markets(), compat, **asked).raw_data.daily_returns_volatility.values.isna().sum().sum()
        for compat in ("pst", ["no_backfill"])
    }
    assert list(missing.values()) == [0, 30]


@shows("carry_by_date")
@pytest.mark.parametrize(
    ("ids", "years"),
    [
        ((20240300, 20240600), {"pst": 0.25, "by_date": 92 / 365.25}),
        ((20241200, 20250300), {"pst": 0.25, "by_date": 90 / 365.25}),
        ((20240315, 20240300), {"pst": -0.15 / 12, "by_date": -14 / 365.25}),
        ((20240315, 20240316), {"pst": 1 / 365.25, "by_date": 1 / 365.25}),
        (("20240300", "20240900"), {"pst": 0.5, "by_date": 184 / 365.25}),
        ((20240300, 20241300), {"pst": 10 / 12, "by_date": np.nan}),
        ((20240300, np.nan), {"pst": np.nan, "by_date": np.nan}),
        ((20240300, 0), {"pst": np.nan, "by_date": np.nan}),
        (("20240300", None), {"pst": np.nan, "by_date": np.nan}),
    ],
)
def test_the_time_between_contracts_is_counted_in_months_or_days(ids: tuple[Any, Any], years: dict[str, float]) -> None:
    plain = fixed_prices(three_markets())
    table = plain.multiple_prices["A"].assign(PRICE_CONTRACT=ids[0], CARRY_CONTRACT=ids[1])
    odd = replace(plain, multiple_prices={**plain.multiple_prices, "A": table})
    pst, by_date = one("carry_by_date", odd)
    for raw_data, wanted in ((pst, years["pst"]), (by_date, years["by_date"])):
        np.testing.assert_allclose(raw_data.roll_differentials["A"], wanted, rtol=1e-9)


@shows("equal_contracts_have_no_carry")
def test_a_carry_contract_equal_to_the_priced_one_has_no_carry_where_corrected() -> None:
    same = with_prices(three_markets(), "A", lambda table: table.assign(CARRY_CONTRACT=table["PRICE_CONTRACT"]))
    pst, corrected = one("equal_contracts_have_no_carry", same)
    assert np.isinf(pst.daily_annualised_roll.values["A"]).all()
    assert corrected.daily_annualised_roll.values["A"].isna().all()


@shows("carry_at_close")
def test_carry_of_a_day_is_its_last_figure_where_corrected() -> None:
    pst, corrected = one("carry_at_close", uneven_markets())
    roll = pst.annualised_roll["B"]
    days = roll.index.normalize()
    day = days[days.duplicated()][0]
    several = roll[days == day]
    assert len(several) == 2
    assert pst.daily_annualised_roll.values["B"][day] == pytest.approx(several.mean())
    assert corrected.daily_annualised_roll.values["B"][day] == several.iloc[-1]


@shows("declared_asset_class")
def test_an_asset_class_is_that_of_the_strategy_where_corrected() -> None:
    pst, corrected = one("declared_asset_class", uneven_markets())
    method = {"demean_method": "average_factor_value_in_asset_class_for_instrument", "lookback_days": 90}
    skew = pst.item("skew", lookback_days=90).values.ffill()
    without_d = skew["A"] - skew[["A", "B"]].mean(axis=1)
    np.testing.assert_allclose(corrected.item("demeaned_factor_value", **method).values["A"], without_d)
    with_d = pst.item("demeaned_factor_value", **method).values["A"]
    assert (with_d - without_d).abs().max() > 0.01


def test_a_class_of_one_has_no_demeaned_factor() -> None:
    method = {"demean_method": "average_factor_value_in_asset_class_for_instrument"}
    alone = uneven("fixed").raw_data.item("demeaned_factor_value", **method).values["C"].dropna()
    assert len(alone)
    assert (alone == 0.0).all()


@shows("vol_of_changes")
@pytest.mark.parametrize("rule", ["ewmac_calc_vol", "factor_trading_rule", "conditioned_factor_trading_rule"])
def test_rules_on_levels_divide_by_the_volatility_of_changes_where_corrected(rule: str) -> None:
    forecasts = strategy(three_markets(), ["vol_of_changes"]).forecasts
    items = [forecasts.raw_data.item(name).values for name in RULE_DATA[rule]]
    expected = RULES[rule](*items, vol_of_changes=True)
    pd.testing.assert_frame_equal(forecasts.of(rule).raw.values, expected.where(expected != 0.0))
    assert (forecasts.of(rule).raw.values != strategy(three_markets(), "pst").forecasts.of(rule).raw.values).iloc[-1].all()


@shows("flat_stays_flat")
def test_a_flat_forecast_is_zero_where_corrected_and_missing_in_the_reference() -> None:
    pst, fixed = (
        strategy(three_markets(), compat).forecasts.of("mr_wings").raw.values for compat in ("pst", ["flat_stays_flat"])
    )
    flat = fixed == 0.0
    assert flat.sum().sum() > 100
    assert pst.isna()[flat].where(flat, other=True).all(axis=None)
    pd.testing.assert_frame_equal(pst, fixed.where(~flat))


@shows("neutral_attenuation")
def test_without_relative_volatility_forecasts_are_doubled_in_the_reference_and_kept_where_corrected() -> None:
    for compat, wanted in (("pst", 2.0), (["neutral_attenuation"], 1.0)):
        backtest = strategy(three_markets(), compat)
        multiplier = backtest.raw_data.attenuation.values
        vol = backtest.raw_data.daily_percentage_volatility.values
        without = multiplier[vol.isna()].stack().dropna()
        assert len(without) == 30
        assert (without == wanted).all()
