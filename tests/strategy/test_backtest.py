"""What must hold of any backtest, on made-up markets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.strategy.markets import instrument, market, multiple_prices, up_to
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.strategy import Backtest, BacktestData, StrategyConfig, load_strategy, packaged_strategies, run_backtest
from tradeflow_core.strategy.stages import STAGES


def strategy(**settings: Any) -> StrategyConfig:
    """The packaged strategy with some settings replaced."""
    config = load_strategy(packaged_strategies()["static_trend_carry"])
    return StrategyConfig.model_validate({**config.model_dump(), **settings})


@pytest.fixture(scope="module")
def data() -> BacktestData:
    return market()


@pytest.fixture(scope="module")
def backtest(data: BacktestData) -> Backtest:
    return run_backtest(strategy(), data)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("compat", ["pst", "fixed"])
def test_every_stage_is_a_table_by_date(stage: str, compat: str, data: BacktestData) -> None:
    table = run_backtest(strategy(compat=compat), data).stage(stage)
    assert isinstance(table.index, pd.DatetimeIndex)
    assert table.index.is_monotonic_increasing
    assert table.notna().any().all()


def test_an_unknown_stage_is_refused_with_the_valid_ones(backtest: Backtest) -> None:
    with pytest.raises(ConfigError, match=r"nearest: notional_position.*portfolio_pandl"):
        backtest.stage("notional_positions")


def test_twice_the_capital_wants_twice_the_position(data: BacktestData, backtest: Backtest) -> None:
    rich = run_backtest(strategy(notional_trading_capital=2_000_000), data)
    pd.testing.assert_frame_equal(rich.stage("notional_position"), 2 * backtest.stage("notional_position"))


def test_twice_the_point_size_wants_half_the_position(data: BacktestData, backtest: Backtest) -> None:
    bigger = replace(data, instruments={**data.instruments, "B": instrument("B", point_size=100.0)})
    ours = run_backtest(strategy(), bigger).stage("notional_position")["B"]
    pd.testing.assert_series_equal(ours, backtest.stage("notional_position")["B"] / 2)


@pytest.mark.parametrize("compat", ["pst", "fixed"])
def test_a_market_in_euros_gets_smaller_positions_by_the_rate(compat: str, data: BacktestData) -> None:
    dollars = run_backtest(strategy(compat=compat), data)
    euros = run_backtest(strategy(compat=compat), market(currency="EUR"))
    expected = dollars.stage("subsystem_position").div(euros.stage("fx")["A"], axis=0)
    pd.testing.assert_frame_equal(euros.stage("subsystem_position"), expected)


def test_the_two_ways_of_sizing_agree_where_prices_are_positive(data: BacktestData) -> None:
    pst, fixed = (run_backtest(strategy(compat=compat), data).stage("average_position") for compat in ("pst", "fixed"))
    pd.testing.assert_frame_equal(pst, fixed)


def test_a_negative_price_turns_positions_round_only_in_the_reference(data: BacktestData) -> None:
    below_zero = {
        code: table.assign(**(table[["PRICE", "CARRY", "FORWARD"]] - 500.0)) for code, table in data.multiple_prices.items()
    }
    negative = BacktestData.from_frames(below_zero, data.fx, data.instruments)
    assert (run_backtest(strategy(), negative).stage("average_position").dropna() > 0).all(axis=None)
    assert (run_backtest(strategy(compat="pst"), negative).stage("average_position").dropna() < 0).all(axis=None)


@pytest.mark.parametrize("days", [400, 550, 699])
def test_one_more_day_does_not_change_the_days_before(days: int, data: BacktestData, backtest: Backtest) -> None:
    earlier = run_backtest(strategy(), up_to(data, days)).stage("notional_position")
    later = backtest.stage("notional_position").loc[: earlier.index[-1]]
    pd.testing.assert_frame_equal(earlier, later, rtol=1e-9)


def test_a_gap_in_prices_keeps_the_return_over_it_with_corrections(data: BacktestData) -> None:
    tables = dict(data.multiple_prices)
    tables["A"] = tables["A"].drop(tables["A"].index[300])
    gappy = BacktestData.from_frames(tables, data.fx, data.instruments)
    day = tables["A"].index[300].normalize()
    price = run_backtest(strategy(), gappy).stage("daily_price")["A"]
    fixed, pst = (run_backtest(strategy(compat=compat), gappy).stage("daily_returns")["A"] for compat in ("fixed", "pst"))
    assert fixed[day] == price[day] - price.loc[:day].dropna().iloc[-2]
    assert pst.isna()[day]


def test_without_instrument_weights_all_instruments_share_equally(backtest: Backtest) -> None:
    np.testing.assert_allclose(backtest.stage("instrument_weights").iloc[-1], 1 / 3)


def test_an_instrument_without_history_has_no_position_and_takes_no_share(data: BacktestData, backtest: Backtest) -> None:
    young = multiple_prices(7, 5, start="2012-08-01")
    silent = young.assign(PRICE=np.nan, CARRY=np.nan, FORWARD=np.nan)
    tables = {**data.multiple_prices, "X": young, "Y": silent, "Z": young.iloc[:0]}
    facts = {**data.instruments, **{code: instrument(code) for code in "XYZ"}}
    more = run_backtest(strategy(), BacktestData.from_frames(tables, data.fx, facts))
    for stage in STAGES:
        assert len(more.stage(stage))
    latest = more.latest()
    assert latest.loc[["X", "Y", "Z"], ["lower", "upper", "notional_position"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(latest.loc[["A", "B", "C"]], backtest.latest(), check_dtype=False)


def test_a_price_that_never_moved_gets_no_position(data: BacktestData) -> None:
    still = data.multiple_prices["A"].assign(PRICE=100.0, CARRY=101.0, FORWARD=101.0, PRICE_CONTRACT=20120300)
    tables = {**data.multiple_prices, "A": still}
    latest = run_backtest(strategy(), BacktestData.from_frames(tables, data.fx, data.instruments)).latest()
    assert latest["notional_position"].isna()["A"]
    assert latest.loc[["B", "C"], "notional_position"].notna().all()


def test_without_any_price_there_is_no_backtest(data: BacktestData) -> None:
    with pytest.raises(DataError, match=r"no prices since 2030-01-01 for any of A, B, C"):
        run_backtest(strategy(start_date="2030-01-01"), data).stage("daily_price")


def test_a_start_date_forgets_all_earlier_prices(data: BacktestData) -> None:
    later = run_backtest(strategy(start_date="2011-01-03"), data).stage("daily_price")
    assert later.index[0] == pd.Timestamp("2011-01-03")


def test_stamps_with_a_time_zone_are_refused(data: BacktestData) -> None:
    tables = {code: table.tz_localize("UTC") for code, table in data.multiple_prices.items()}
    with pytest.raises(DataError, match=r"of A: stamps must be dates and times without time zone"):
        run_backtest(strategy(), BacktestData.from_frames(tables, data.fx, data.instruments)).stage("daily_price")


def test_a_roll_that_cannot_be_stitched_names_its_instrument(data: BacktestData) -> None:
    broken = data.multiple_prices["B"].assign(FORWARD=np.nan)
    tables = {**data.multiple_prices, "B": broken}
    with pytest.raises(DataError, match=r"instrument B: .*roll"):
        run_backtest(strategy(), BacktestData.from_frames(tables, data.fx, data.instruments)).stage("daily_price")


def test_a_missing_rate_is_named_with_its_currency() -> None:
    data = market(currency="GBP")
    with pytest.raises(DataError, match=r"currency GBP.*needed by A.*GBPUSD"):
        run_backtest(strategy(), data).stage("notional_position")


def test_weights_of_instruments_without_prices_are_refused(data: BacktestData) -> None:
    with pytest.raises(DataError, match=r"no adjusted prices for NOWHERE"):
        run_backtest(strategy(instrument_weights={"A": 0.5, "NOWHERE": 0.5}), data)


def test_weights_of_unknown_rules_are_refused(data: BacktestData) -> None:
    with pytest.raises(ConfigError, match=r"forecast_weights names rules.*magic"):
        run_backtest(strategy(forecast_weights={"magic": 1.0}), data).stage("forecast_weights")


def test_a_folder_that_is_not_complete_is_refused_with_what_is_missing(tmp_path: Any) -> None:
    (tmp_path / "fx_prices_csv").mkdir()
    with pytest.raises(ConfigError, match=r"multiple_prices_csv.*instrumentconfig\.csv") as refused:
        BacktestData.from_pysystemtrade(tmp_path)
    assert "fx_prices_csv" not in str(refused.value)


def test_the_latest_row_says_what_to_hold_and_at_which_price(data: BacktestData, backtest: Backtest) -> None:
    latest = backtest.latest()
    row = latest.loc["A"]
    assert row["lower"] < row["notional_position"] < row["upper"]
    assert row["reference_contract"] == data.multiple_prices["A"]["PRICE_CONTRACT"].iloc[-1]
    assert row["reference_price"] == data.multiple_prices["A"]["PRICE"].iloc[-1]
    assert row["reference_date"] == data.multiple_prices["A"].index[-1].normalize()


def test_profit_is_what_the_contracts_held_earned(backtest: Backtest) -> None:
    held = backtest.stage("buffered_position_rounded")["A"].shift(2)
    earned = (held * backtest.stage("daily_price")["A"].diff() * 50.0).fillna(0.0)
    np.testing.assert_allclose(backtest.stage("instrument_pandl")[("A", "gross")], earned, atol=1e-9)


def test_costs_are_never_a_gain_and_net_is_gross_less_costs(backtest: Backtest) -> None:
    total = backtest.stage("portfolio_pandl")
    assert (total["costs"].dropna() <= 0).all()
    assert total["costs"].sum() < 0
    np.testing.assert_allclose(total["net"], total["gross"] + total["costs"].fillna(0.0), atol=1e-9)
