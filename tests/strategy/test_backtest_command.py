"""`tradeflow backtest`: running, sweeping, showing and comparing, as a person or a program does it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tests.commands import answer, run, said
from tests.days import run_until
from tests.strategy.markets import market, write_csv_folder
from tradeflow_core.business_day import run_day
from tradeflow_core.cli.main import root
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home, next_business_day
from tradeflow_core.nightly import FACTORS, open_run
from tradeflow_core.strategy import BacktestData, load_strategy, packaged_strategies, run_backtest
from tradeflow_core.strategy.results.summary import summarise

NAME = "static_trend_carry"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CSV files of three markets in euros."""
    return write_csv_folder(tmp_path_factory.mktemp("csv") / "data", market(currency="EUR"))


def backtest(*arguments: object) -> Any:
    """The answer of a command that needs no home."""
    result = CliRunner().invoke(root, ["--home", "/nowhere", "backtest", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*arguments: object) -> str:
    """The message of a command that fails as it should."""
    result = CliRunner().invoke(root, ["--home", "/nowhere", "backtest", *map(str, arguments)])
    assert result.exit_code == 1 and "Traceback" not in result.output
    return said(result)


def expected(folder: Path, **changes: Any) -> dict[str, Any]:
    """What the Python interface says of the same."""
    config = load_strategy(packaged_strategies()[NAME], changes)
    found: dict[str, Any] = summarise(run_backtest(config, BacktestData.from_pysystemtrade(folder))).to_dict()
    return found


# run


def test_a_run_on_files_needs_no_home_and_says_what_python_says(folder: Path) -> None:
    found = backtest("run", NAME, "--data", folder)
    ours = expected(folder)
    assert {key: found[key] for key in ours} == json.loads(json.dumps(ours))


def test_options_change_what_is_run(folder: Path) -> None:
    options = ("--capital", 5e6, "--currency", "EUR", "--start", "2011-01-03", "--compat", "pst", "--set", "buffer_size=0.3")
    found = backtest("run", NAME, "--data", folder, *options, "--set", "trading_rules.carry.other_args.smooth_days=30")
    ours = expected(
        folder,
        **{"notional_trading_capital": 5e6, "base_currency": "EUR", "start_date": "2011-01-03", "compat": "pst"},
        **{"buffer_size": 0.3, "trading_rules.carry.other_args.smooth_days": 30},
    )
    assert {key: found[key] for key in ours} == json.loads(json.dumps(ours))
    assert (found["capital"], found["base_currency"], found["compat"]) == (5e6, "EUR", "pst")


def test_single_corrections_can_be_chosen(folder: Path) -> None:
    found = backtest("run", NAME, "--data", folder, "--compat", "point_risk, previous_price")
    assert found["compat"] == "point_risk, previous_price"


def test_a_run_can_be_narrowed_to_some_instruments(folder: Path, tmp_path: Path) -> None:
    weights = "instrument_weights={A: 0.2, B: 0.3, C: 0.5}"
    for more in ((), ("--set", weights)):
        found = backtest("run", NAME, "--data", folder, "--instruments", "A,C", *more)
        assert {row["instrument"] for row in found["by_instrument"]} == {"A", "C"}
    backtest("run", NAME, "--data", folder, "--instruments", "A,C", "--set", weights, "--out", tmp_path)
    shown = backtest("show", tmp_path, "--stage", "instrument_weights", "--rows", 1)["rows"][0]
    assert shown["A"] / shown["C"] == pytest.approx(0.4) and set(shown) == {"date", "A", "C"}


def test_a_run_can_be_dynamic_or_static(folder: Path, tmp_path: Path) -> None:
    for option, whole in (("--dynamic", True), ("--static", False)):
        backtest("run", NAME, "--data", folder, option, "--capital", 300_000, "--out", tmp_path / option[2:])
        config = json.loads((tmp_path / option[2:] / "config.json").read_text())
        assert config["dynamic_optimisation"] is whole


def test_a_run_writes_stages_summary_and_tear_sheet(folder: Path, tmp_path: Path) -> None:
    out, sheet = tmp_path / "out", tmp_path / "sheets" / "mine.html"
    found = backtest("run", NAME, "--data", folder, "--out", out, "--tear-sheet", sheet)
    assert found["written"] == [str(sheet), str(out / "tear_sheet.html"), str(out)]
    assert sheet.read_text(encoding="utf-8").startswith("<!")
    assert json.loads((out / "summary.json").read_text()) == {
        key: found[key] for key in json.loads((out / "summary.json").read_text())
    }
    tested = run_backtest(load_strategy(packaged_strategies()[NAME]), BacktestData.from_pysystemtrade(folder))
    rows = backtest("show", out, "--stage", "combined_forecast", "--rows", 100_000)["rows"]
    table = pd.DataFrame(rows).set_index("date").astype(float)
    np.testing.assert_allclose(table.to_numpy(), tested.stage("combined_forecast").to_numpy())


def test_a_person_sees_tables_of_the_result(folder: Path) -> None:
    result = CliRunner().invoke(root, ["backtest", "run", NAME, "--data", str(folder)])
    assert result.exit_code == 0
    for words in ("gross", "costs", "net", "sharpe", "By sector", "turnover", "3 instruments, 5 rules"):
        assert words in said(result), words


def test_the_prices_of_the_home_are_used_without_a_folder(trading_desk: Desk) -> None:
    found = answer(trading_desk.home.path, "backtest", "run", NAME)
    assert {row["instrument"] for row in found["by_instrument"]} == set(trading_desk.universe)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("static_trend_cary",),
            "no packaged strategy static_trend_cary, nor a file of that name (nearest: static_trend_carry)",
        ),
        (("mine.yaml",), "no strategy file mine.yaml"),
        ((NAME,), "/nowhere is not a tradeflow home"),
        ((NAME, "--data", "/nowhere/csv"), "is not a pysystemtrade data folder"),
        ((NAME, "--set", "buffer_sise=1"), "unknown key buffer_sise (nearest: buffer_size)"),
        ((NAME, "--set", "buffer_size"), "--set buffer_size: write key=value"),
        ((NAME, "--set", "buffer_size=[1"), "--set buffer_size=[1: the value is not YAML"),
        ((NAME, "--set", "buffer_size.x=1"), "buffer_size.x cannot be set: buffer_size is 0.1, not a mapping"),
        ((NAME, "--set", "buffer_size=1", "--set", "buffer_size=2"), "--set buffer_size is given twice"),
        (
            (NAME, "--capital", "5", "--set", "notional_trading_capital=5"),
            "notional_trading_capital and the option for it are both given",
        ),
        ((NAME, "--compat", "fixd"), "there is no correction fixd (nearest: fixed)"),
    ],
)
def test_mistakes_are_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    assert message in refused("run", *arguments)


def test_mistakes_about_the_data_are_one_sentence(folder: Path, tmp_path: Path) -> None:
    assert "has no instrument CC (nearest: C)" in refused("run", NAME, "--data", folder, "--instruments", "CC")
    assert "no prices since 2040-01-01" in refused("run", NAME, "--data", folder, "--start", "2040-01-01")
    assert "no FX rate for currency CHF" in refused("run", NAME, "--data", folder, "--currency", "CHF")
    (tmp_path / "file").write_text("")
    assert "cannot be made" in refused("run", NAME, "--data", folder, "--out", tmp_path / "file" / "out")


def test_packaged_strategies_are_listed_with_a_line_each() -> None:
    listed = {row["name"]: row for row in backtest("strategies")}
    assert set(listed) == set(packaged_strategies())
    assert all(len(row["description"]) > 20 and row["rules"] for row in listed.values())
    assert listed[NAME]["kind"] == "static"


# sweep


def test_a_sweep_has_a_row_for_every_combination(folder: Path) -> None:
    found = backtest("sweep", NAME, "--data", folder, "--set", "buffer_size=0.1,0.3", "--set", "forecast_cap=10,20,30")
    rows = found["configurations"]
    assert [(row["buffer_size"], row["forecast_cap"]) for row in rows] == [(b, c) for b in (0.1, 0.3) for c in (10, 20, 30)]
    one = expected(folder, buffer_size=0.3, forecast_cap=20)["statistics"]["net"]
    assert rows[4]["sharpe"] == pytest.approx(one["sharpe"]) and rows[4]["ann_vol"] == pytest.approx(one["ann_std"])
    assert found["shared"]["raw data"] == 5


def test_a_sweep_may_go_over_whole_mappings(folder: Path) -> None:
    found = backtest("sweep", NAME, "--data", folder, "--set", "forecast_weights={carry: 1.0},{carry: 0.5, ewmac8_32: 0.5}")
    assert len(found["configurations"]) == 2
    result = CliRunner().invoke(
        root, ["backtest", "sweep", NAME, "--data", str(folder), "--set", "forecast_weights={carry: 1.0}"]
    )
    assert result.exit_code == 0 and "1 configurations" in said(result) and "turnover" in said(result)


def test_a_sweep_without_values_is_refused(folder: Path) -> None:
    assert "give at least one value" in refused("sweep", NAME, "--data", folder, "--set", "buffer_size=")
    assert "buffer_size is given twice; put its values in one list" in refused(
        "sweep", NAME, "--data", folder, "--set", "buffer_size=1", "--set", "buffer_size=2"
    )


# show and compare


@pytest.fixture(scope="module")
def two_days(tmp_path_factory: pytest.TempPathFactory, seeded_home: Path) -> Path:
    """A home with the runs of two production days."""
    path = tmp_path_factory.mktemp("two") / "home"
    shutil.copytree(seeded_home, path)
    desk = Desk(Home.open(path))
    today = desk.business_day()
    run_day(desk, today)
    begin = desk.home.at(next_business_day(today), desk.settings.day.start)
    desk.clock.wait((begin - desk.now()).total_seconds())
    run_until(desk, "instrument_orders")
    desk.close()
    return path


def test_without_a_stage_days_stages_and_positions_are_listed(two_days: Path) -> None:
    found = answer(two_days, "backtest", "show", "trend_carry")
    assert found["days"] == ["2024-01-08", "2024-01-09"] and found["day"] == "2024-01-09"
    assert {"daily_price", "capped_forecast", "buffers", "instrument_pandl"} <= set(found["stages"])
    assert {row["instrument"] for row in found["positions"]} == set(found["instruments"])
    told = said(run(two_days, "backtest", "show", "trend_carry"))
    assert "trend_carry of 2024-01-09" in told and "stages: daily_price" in told and "days: 2024-01-08, 2024-01-09" in told


def test_any_stage_of_a_past_day_is_shown(two_days: Path) -> None:
    arguments = ("backtest", "show", "trend_carry", "--day", "2024-01-08", "--stage", "capped_forecast", "--instrument", "CORN")
    found = answer(two_days, *arguments, "--rows", "3")
    assert found["day"] == "2024-01-08" and len(found["rows"]) == 3
    assert set(found["rows"][-1]["CORN"]) == {"carry", "ewmac8_32", "ewmac16_64", "ewmac32_128", "ewmac64_256"}
    one = answer(two_days, *arguments, "--rule", "carry", "--rows", "1")["rows"]
    assert one[0]["CORN"] == {"carry": found["rows"][-1]["CORN"]["carry"]}
    told = said(run(two_days, *arguments))
    assert "capped_forecast, trend_carry of 2024-01-08, CORN" in told and "ewmac16_64" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trend_cary",), "nearest: trend_carry"),
        (("trend_carry", "--stage", "combined_forecasts"), "nearest: combined_forecast"),
        (("trend_carry", "--stage", "fx", "--instrument", "CRON"), "nearest: CORN"),
        (("trend_carry", "--stage", "capped_forecast", "--rule", "ewmac_8_32"), "nearest: ewmac8_32"),
        (("trend_carry", "--day", "2024-01-20"), "the nearest is of 2024-01-09"),
        (("trend_carry", "--instrument", "CORN"), "need a --stage"),
    ],
)
def test_what_is_not_there_is_answered_with_the_nearest(two_days: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(two_days, "backtest", "show", *arguments)
    assert result.exit_code == 1 and message in said(result)


def test_the_change_of_positions_between_two_days_is_explained(two_days: Path) -> None:
    found = answer(two_days, "backtest", "compare", "trend_carry")
    assert (found["before"]["day"], found["after"]["day"]) == ("2024-01-08", "2024-01-09")
    desk_runs = {row["instrument"]: row for row in found["positions"]}
    for row in desk_runs.values():
        assert sum(row[factor] for factor in FACTORS) == pytest.approx(row["change"], abs=1e-9)
        assert row["after"] - row["before"] == pytest.approx(row["change"])
    assert max(abs(row["change"]) for row in desk_runs.values()) > 0
    told = said(run(two_days, "backtest", "compare", "trend_carry", "--instrument", "CORN"))
    assert desk_runs["CORN"]["sentence"] in told and "Forecasts of CORN" in told and "EUROSTX" not in told


def test_a_comparison_needs_two_days_that_are_kept(two_days: Path, trading_desk: Desk) -> None:
    alone = run(trading_desk.home.path, "backtest", "compare", "trend_carry")
    assert alone.exit_code == 1 and "only one run of trend_carry is kept" in said(alone)
    assert open_run(trading_desk.store, "trend_carry").manifest.day == trading_desk.today()
    missing = run(two_days, "backtest", "compare", "trend_carry", "2024-01-05")
    assert missing.exit_code == 1 and "the nearest is of 2024-01-08" in said(missing)
    wrong = run(two_days, "backtest", "compare", "trend_carry", "--instrument", "GOLD")
    assert wrong.exit_code == 1 and "has no instrument GOLD" in said(wrong)


def test_every_subcommand_has_help() -> None:
    for command in ("run", "show", "compare", "sweep", "strategies"):
        assert CliRunner().invoke(root, ["backtest", command, "--help"]).exit_code == 0
