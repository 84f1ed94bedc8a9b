"""A user's own rules: plain functions named by import path, checked when the strategy is read and when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.commands import run, said
from tests.conftest import make_home
from tests.strategy.markets import market
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.home import Home
from tradeflow_core.nightly.run import strategy_config
from tradeflow_core.strategy import Backtest, BacktestData, load_strategy, run_backtest, strategy_from_dict

OWN = "tests.strategy.own_rules"
PRICE_AND_VOL = ["daily_price", "daily_returns_volatility"]


@pytest.fixture(scope="module")
def data() -> BacktestData:
    return market("ABC", days=120)


def with_rule(markets: BacktestData, function: str, **settings: Any) -> Backtest:
    return run_backtest(strategy_from_dict({"trading_rules": {"mine": {"function": function, **settings}}}), markets)


def forecast(markets: BacktestData, function: str, **settings: Any) -> pd.DataFrame:
    return with_rule(markets, function, **settings).forecasts.of("mine").raw.values


def test_a_function_of_ones_own_gives_what_the_built_in_rule_of_the_same_formula_gives(data: BacktestData) -> None:
    arguments = {"Lfast": 4, "Lslow": 16}
    built_in = forecast(data, "ewmac", data=PRICE_AND_VOL, other_args=arguments)
    one_by_one = forecast(data, f"{OWN}.trend", data=PRICE_AND_VOL, other_args=arguments)
    all_at_once = forecast(data, f"{OWN}.quick_trend", data=PRICE_AND_VOL, other_args=arguments)
    pd.testing.assert_frame_equal(one_by_one, built_in)
    pd.testing.assert_frame_equal(all_at_once, built_in)


def test_a_rule_may_leave_days_out(data: BacktestData) -> None:
    tables = dict(data.multiple_prices)
    tables["A"] = tables["A"].drop(tables["A"].index[50])
    day = data.multiple_prices["A"].index[50].normalize()
    found = forecast(BacktestData.from_frames(tables, data.fx, data.instruments), f"{OWN}.known_days_only")
    assert found["A"].isna()[day]
    assert found["B"].notna()[day]


def test_a_rule_may_ask_for_facts_of_the_instrument(data: BacktestData) -> None:
    items = ["daily_price", "rawdata.rolls_per_year", "rawdata.instrument_code"]
    last = forecast(data, f"{OWN}.by_facts", data=items).iloc[-1]
    assert last.to_dict() == {"A": 4.0, "B": 104.0, "C": 4.0}


def test_arguments_with_underscores_go_to_the_data_items(data: BacktestData) -> None:
    settings = {"data": ["smoothed_carry", "smoothed_carry"], "other_args": {"_smooth_days": 5, "__smooth_days": 50}}
    backtest = with_rule(data, "relative_carry", **settings)
    quick, slow = (backtest.raw_data.item("smoothed_carry", smooth_days=days).values for days in (5, 50))
    pd.testing.assert_frame_equal(backtest.forecasts.of("mine").raw.values, (quick - slow).where(quick != slow))


def test_an_argument_for_a_data_item_that_is_not_there_is_ignored_with_a_warning(data: BacktestData) -> None:
    rule = {"function": "carry", "data": ["raw_carry"], "other_args": {"__smooth_days": 30}}
    config = strategy_from_dict({"trading_rules": {"mine": rule}})
    assert [warning for warning in config.warnings if "mine" in warning and "__smooth_days" in warning]
    pd.testing.assert_frame_equal(
        run_backtest(config, data).forecasts.of("mine").raw.values, forecast(data, "carry", data="raw_carry")
    )


def test_a_function_that_takes_anything_gets_everything(data: BacktestData) -> None:
    found = forecast(data, f"{OWN}.anything", data=PRICE_AND_VOL, other_args={"more": 3})
    price = with_rule(data, "long_bias").raw_data.daily_price.values
    pd.testing.assert_frame_equal(found, price * 2 + 3)


@pytest.mark.parametrize("rule", ["spoils_its_data", "spoils_its_table"])
def test_a_rule_that_writes_into_its_data_spoils_nothing_for_others(rule: str, data: BacktestData) -> None:
    backtest = with_rule(data, f"{OWN}.{rule}")
    assert (backtest.forecasts.of("mine").raw.values == 1.0).all(axis=None)
    assert backtest.stage("daily_price")["A"].nunique() > 100


@pytest.mark.parametrize(
    ("function", "settings", "said"),
    [
        ("ewmak", {}, "nearest: ewmac"),
        ("no_such_module.trend", {}, "there is no module no_such_module; install it"),
        (f"{OWN}.trand", {}, "nearest: trend"),
        (f"{OWN}.NOT_A_FUNCTION", {}, "NOT_A_FUNCTION is not a function"),
        (f"{OWN}.known_days_only", {"data": PRICE_AND_VOL}, "takes 1 data items (price), and 2 are given"),
        ("ewmac_calc_vol", {"data": PRICE_AND_VOL}, "takes 1 data items (price), and 2 are given"),
        (f"{OWN}.trend", {}, "needs vol too"),
        (f"{OWN}.trend", {"data": PRICE_AND_VOL, "other_args": {"Lquick": 3}}, "no argument Lquick; it takes Lfast, Lslow"),
        ("ewmac_calc_vol", {"other_args": {"own_vol": 3}}, "no argument own_vol"),
        (f"{OWN}.known_days_only", {"data": ["dayly_price"]}, "nearest: daily_price"),
        (f"{OWN}.known_days_only", {"data": ["instrument_code"]}, "needs a daily item"),
        ("carry", {"data": ["raw_carry"], "other_args": {"_smooth": 3}}, "raw_carry has no argument smooth; it takes none"),
        (f"{OWN}.known_days_only", {"data": ["hourly_price"], "other_args": {"_days": 3}}, "hourly_price has no argument days"),
        (f"{OWN}.known_days_only", {"data": ["hourly_prices"]}, "nearest: hourly_price"),
        ("carry", {"data": ["smoothed_carry"], "other_args": {"_days": 3}}, "no argument days; it takes smooth_days"),
        (
            "factor_trading_rule",
            {"data": ["demeaned_factor_value"], "other_args": {"_factor_name": "skow"}},
            "nearest: skew",
        ),
        (
            "factor_trading_rule",
            {"data": ["demeaned_factor_value"], "other_args": {"_demean_method": "none"}},
            "demean_method none is unknown",
        ),
    ],
)
def test_a_mistake_is_named_with_file_line_and_rule(
    function: str, settings: dict[str, Any], said: str, *, tmp_path: Path
) -> None:
    file = tmp_path / "strategy.yaml"
    rule = {"function": function, **settings}
    file.write_text(f"buffer_size: 0.1\ntrading_rules:\n  good: {{function: long_bias}}\n  mine: {rule}\n")
    with pytest.raises(ConfigError) as refused:
        load_strategy(file, rule_modules=[OWN, "no_such_module"])
    assert f"{file}, line 4: trading_rules.mine" in str(refused.value)
    assert said in str(refused.value)


def test_a_module_that_fails_when_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_rules.py").write_text("def trend(price:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"broken_rules.trend cannot be imported: SyntaxError in broken_rules"):
        strategy_from_dict({"trading_rules": {"mine": {"function": "broken_rules.trend"}}})


def test_a_rule_that_fails_names_itself_and_the_instrument(data: BacktestData) -> None:
    with pytest.raises(DataError, match=r"trading_rules.mine: .*raises, instrument B, failed: ZeroDivisionError: no luck"):
        forecast(data, f"{OWN}.raises")


def test_a_built_in_rule_that_refuses_its_arguments_names_the_rule(data: BacktestData) -> None:
    with pytest.raises(ConfigError, match=r"trading_rules.mine: breakout: breakout: smooth 9 must be shorter"):
        forecast(data, "breakout", other_args={"lookback": 9, "smooth": 9})
    with pytest.raises(DataError, match=r"trading_rules.mine: ewmac failed"):
        forecast(data, "ewmac", data=PRICE_AND_VOL, other_args={"Lfast": "quick"})


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("an_array", r"instrument A, returned a ndarray of shape \(120,\), not a Series"),
        ("a_number", "instrument A, returned a float, not a Series"),
        ("words", "instrument A, returned .* not all numbers"),
        ("truths", "instrument A, returned .* not all numbers"),
        ("weekly", "instrument A, returned a Series .* not by the days of its data, 2010-01-04 to"),
        ("without_dates", "not by the days of its data"),
        ("twice_a_day", "not by the days of its data"),
        ("a_row_short", r"returned a DataFrame of shape \(119, 3\) with other days or instruments .* \(120, 3\)"),
        ("a_column_short", r"returned a DataFrame of shape \(120, 2\) with other days or instruments"),
        ("a_column", "returned a Series .*, not a table like its data"),
    ],
)
def test_what_is_not_a_forecast_is_refused_with_rule_instrument_and_shape(rule: str, said: str, data: BacktestData) -> None:
    with pytest.raises(ConfigError, match=f"trading_rules.mine: .*{rule}.* {said}"):
        forecast(data, f"{OWN}.{rule}")


def test_names_of_pysystemtrade_are_our_rules_but_a_users_module_of_like_name_is_the_users() -> None:
    theirs = strategy_from_dict(
        {"trading_rules": {"mine": {"function": "systems.provided.rules.carry.carry", "data": "raw_carry"}}}
    )
    assert theirs.trading_rules["mine"].function == "carry"
    with pytest.raises(ConfigError, match="there is no module my"):
        strategy_from_dict({"trading_rules": {"mine": {"function": "my.carry.carry", "data": "raw_carry"}}})


@pytest.mark.parametrize(
    "function",
    ["os.system", "subprocess.run", "builtins.eval", f"{OWN}.trend", "tests.strategy.own_rules_of_others.trend", ".x", "a..b"],
)
def test_a_strategy_file_runs_no_function_of_a_module_that_was_not_allowed(function: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"trading_rules:\n  mine: {{function: {function}, data: [daily_price]}}\n")
    with pytest.raises(ConfigError, match=rf"mine.yaml, line 2: trading_rules.mine: {function} was not run: .* rule_modules in"):
        load_strategy(tmp_path / "mine.yaml", rule_modules=[f"{OWN}.inner", "my_rules"])


def test_a_module_that_was_not_allowed_is_not_even_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harmful.py").write_text(f"open({str(tmp_path / 'done')!r}, 'w').close()\n\ndef trend(price): return price\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.yaml").write_text("trading_rules: {mine: {function: harmful.trend, data: [daily_price]}}\n")
    with pytest.raises(ConfigError, match="was not run"):
        load_strategy(tmp_path / "mine.yaml", {"buffer_size": 0.2})
    assert not (tmp_path / "done").exists()
    assert load_strategy(tmp_path / "mine.yaml", rule_modules=["harmful"]).trading_rules["mine"].function == "harmful.trend"
    assert (tmp_path / "done").exists()


def test_a_home_says_which_modules_its_strategies_may_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(
        f"trading_rules: {{mine: {{function: {OWN}.trend, data: [daily_price, daily_returns_volatility]}}}}\n"
    )
    strategies = {"own": {"config": str(tmp_path / "mine.yaml")}}
    careful = Desk(make_home(tmp_path / "careful", strategies=strategies))
    with pytest.raises(ConfigError, match="was not run"):
        strategy_config(careful, "own")
    command = ("backtest", "run", str(tmp_path / "mine.yaml"))
    assert "was not run" in said(run(careful.home.path, *command))
    assert "no adjusted prices are stored" in said(run(careful.home.path, *command, "--rules", OWN))
    monkeypatch.setenv("TRADEFLOW_RULE_MODULES", f"my_rules,{OWN}")
    assert "no adjusted prices are stored" in said(run(careful.home.path, *command))
    assert Home.open(careful.home.path).settings.rule_modules == ("my_rules", OWN)
    careful.close()
