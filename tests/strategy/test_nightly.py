"""The runs of production days are kept whole, as they were, for as long as the settings say."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import REPO
from tests.strategy.markets import market
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.nightly import (
    SavedRun,
    latest_optimal,
    open_run,
    prune,
    run_strategy,
    save_day,
    save_folder,
    save_run,
    saved_days,
    saved_strategies,
)
from tradeflow_core.nightly.run_writer import BY_RULE, KEPT_ROWS, OF_OVERLAY
from tradeflow_core.store import Store
from tradeflow_core.strategy import Backtest, load_strategy, packaged_strategies, run_backtest

DAY, NOON = date(2012, 9, 10), datetime(2012, 9, 10, 12, 0, tzinfo=UTC)
OVERLAY = {
    "max_risk_fraction_normal_risk": 1.4,
    "max_risk_fraction_stdev_risk": 3.6,
    "max_risk_limit_sum_abs_risk": 3.4,
    "max_risk_leverage": 13.0,
}


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    """Three markets, and a strategy with a risk overlay."""
    return run_backtest(load_strategy(packaged_strategies()["static_trend_carry"], {"risk_overlay": OVERLAY}), market())


@pytest.fixture(scope="module")
def kept(backtest: Backtest, tmp_path_factory: pytest.TempPathFactory) -> SavedRun:
    """That backtest saved as the run of a day and opened again."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    save_day(store, backtest, "mine", day=DAY, time=NOON)
    return open_run(store, "mine")


def test_every_stage_comes_back_as_the_backtest_had_it(backtest: Backtest, kept: SavedRun) -> None:
    assert {*BY_RULE, *OF_OVERLAY, "fx", "idm", "buffers", "instrument_pandl"} <= set(kept.manifest.stages)
    for stage in kept.manifest.stages:
        ours = backtest.stage(stage).loc[pd.Timestamp(str(kept.manifest.first)) :]
        found = kept.stage(stage)
        if stage in BY_RULE:
            ours = ours[found.columns]
        pd.testing.assert_frame_equal(found, ours, check_names=False, check_freq=False, check_index_type=False, obj=stage)
        assert len(found) <= KEPT_ROWS


def test_a_run_says_what_it_was(backtest: Backtest, kept: SavedRun) -> None:
    manifest = kept.manifest
    assert (manifest.strategy, manifest.day, manifest.time) == ("mine", DAY, NOON)
    assert (manifest.capital, manifest.currency, manifest.compat) == (1_000_000, "USD", "fixed")
    assert manifest.instruments == ["A", "B", "C"] and manifest.rules == list(backtest.config.trading_rules)
    assert {"tradeflow", "numpy", "pandas"} <= set(manifest.versions)
    assert kept.config == backtest.config.model_dump(mode="json")
    pd.testing.assert_frame_equal(kept.optimal[list(backtest.latest().columns)], backtest.latest(), check_dtype=False)


def test_one_instrument_or_rule_can_be_asked_for(kept: SavedRun) -> None:
    assert list(kept.stage("notional_position", "B").columns) == ["B"]
    assert list(kept.stage("buffers", "B").columns) == [("B", "upper"), ("B", "lower")]
    assert list(kept.stage("capped_forecast", rule="carry").columns) == [(code, "carry") for code in "ABC"]
    pd.testing.assert_series_equal(
        kept.stage("capped_forecast", "B", "carry")[("B", "carry")], kept.stage("capped_forecast")[("B", "carry")]
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"name": "notional_positions"},
            r"mine of 2012-09-10: no stage notional_positions is kept \(nearest: notional_position\)",
        ),
        ({"name": "fx", "instrument": "AA"}, r"has no instrument AA \(nearest: A\)"),
        ({"name": "fx", "rule": "carry"}, "stage fx is not by rule; leave out --rule"),
        ({"name": "capped_forecast", "rule": "cary"}, r"has no rule cary \(nearest: carry\)"),
        ({"name": "idm", "instrument": "A"}, "stage idm is not by instrument"),
    ],
)
def test_what_is_not_kept_is_refused_with_the_nearest_name(kept: SavedRun, asked: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kept.stage(**asked)


def test_days_and_strategies_without_a_run_are_named_with_the_nearest(backtest: Backtest, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(ConfigError, match="no run of strategy mine is kept; `tradeflow day` makes the first one"):
        open_run(store, "mine")
    for days in (0, 3):
        save_day(store, backtest, "mine", day=DAY + timedelta(days=days), time=NOON)
    assert saved_strategies(store) == ["mine"] and saved_days(store, "mine") == [DAY, DAY + timedelta(days=3)]
    with pytest.raises(ConfigError, match=r"no run of strategy mne is kept \(nearest: mine\)"):
        open_run(store, "mne")
    with pytest.raises(ConfigError, match="of 2012-09-12 is kept: the nearest is of 2012-09-13"):
        open_run(store, "mine", DAY + timedelta(days=2))


def test_another_run_of_the_same_day_takes_the_place_of_the_first(backtest: Backtest, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    save_day(store, backtest, "mine", day=DAY, time=NOON)
    first = open_run(store, "mine")
    save_day(store, backtest, "mine", day=DAY, time=NOON + timedelta(hours=1))
    assert open_run(store, "mine").manifest.time == NOON + timedelta(hours=1)
    assert len(list((tmp_path / "backtests" / "mine" / DAY.isoformat()).iterdir())) == 2
    with pytest.raises(StateError, match="was replaced or pruned meanwhile"):
        first.stage("fx")


def test_runs_older_than_the_retention_are_pruned(backtest: Backtest, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for days in (0, 10, 30, 31):
        save_day(store, backtest, "mine", day=DAY + timedelta(days=days), time=NOON)
    prune(store, "mine", DAY + timedelta(days=31), keep_days=21)
    assert saved_days(store, "mine") == [DAY + timedelta(days=days) for days in (10, 30, 31)]
    assert not (tmp_path / "backtests" / "mine" / DAY.isoformat()).exists()


def test_runs_are_kept_in_an_object_store_too(backtest: Backtest) -> None:
    store = Store("memory://tradeflow-runs")
    for _ in range(2):
        save_day(store, backtest, "mine", day=DAY, time=NOON)
    save_day(store, backtest, "mine", day=DAY + timedelta(days=40), time=NOON)
    prune(store, "mine", DAY + timedelta(days=40), keep_days=30)
    assert saved_days(store, "mine") == [DAY + timedelta(days=40)]
    run = open_run(store, "mine")
    pd.testing.assert_frame_equal(run.stage("fx"), backtest.stage("fx").tail(KEPT_ROWS), check_freq=False, check_index_type=False)


def test_a_research_run_keeps_every_day(backtest: Backtest, tmp_path: Path) -> None:
    from upath import UPath

    save_folder(UPath(tmp_path / "out"), backtest, "mine", time=NOON)
    run = SavedRun.open(UPath(tmp_path / "out"))
    assert run.manifest.day is None
    for stage in ("notional_position", "capped_forecast", "portfolio_pandl"):
        assert len(run.stage(stage)) == len(backtest.stage(stage))
    with pytest.raises(StateError, match=r"holds no saved backtest: manifest\.json is missing"):
        SavedRun.open(UPath(tmp_path))


KILLED = """
import json, os, signal, sys
sys.path.insert(0, {repo!r})
from datetime import UTC, date, datetime
from tests.strategy.markets import market
from tradeflow_core.store import Store
from tradeflow_core.strategy import load_strategy, packaged_strategies, run_backtest
from tradeflow_core.nightly.run_writer import save_day
from tradeflow_core.nightly.saved_runs import open_run, saved_days

path, day, time = packaged_strategies()["static_trend_carry"], date(2012, 9, 10), datetime(2012, 9, 10, tzinfo=UTC)
old, new = (run_backtest(load_strategy(path, {{"notional_trading_capital": capital}}), market(days=300)) for capital in (1e6, 2e6))
for each in (old, new):
    each.stage("portfolio_pandl")

def die_at(step):
    def count(event, arguments):
        nonlocal step
        writes = event == "open" and (arguments[1] or "r") != "r" or event.startswith(("os.rename", "os.remove", "os.rmdir", "os.mkdir"))
        if writes and {folder!r} in str(arguments[0]):
            step -= 1
            if not step:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)

step, status = 0, 1
while status:
    step += 1
    store = Store({folder!r} + f"/{{step}}")
    if step % 2:
        save_day(store, old, "mine", day=day, time=time)
    child = os.fork()
    if not child:
        die_at(step)
        save_day(store, new, "mine", day=day, time=time)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    runs = [open_run(store, "mine", each) for each in saved_days(store, "mine")]
    seen = [[run.manifest.capital, float(run.stage("notional_position")["A"].iloc[-1])] for run in runs]
    whole = [all(len(run.stage(stage)) for stage in run.manifest.stages) for run in runs]
    save_day(store, new, "mine", day=day, time=time)
    files = sorted(os.listdir({folder!r} + f"/{{step}}/backtests/mine/2012-09-10"))
    print(json.dumps([bool(step % 2), status, seen, whole, len(files)]), flush=True)
"""
"""Saves a run over another one (odd steps) or over none, killed at its first write, its second, ... until it survives."""


def test_a_run_killed_at_any_write_leaves_the_former_one_or_none(tmp_path: Path) -> None:
    script = KILLED.format(repo=str(REPO), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=120, check=True)
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(steps) > 8 and steps[-1][1] == 0
    positions: dict[float, set[float]] = {}
    for had_one, status, seen, whole, files in steps:
        capitals = [capital for capital, _ in seen]
        assert capitals in ([1e6], [2e6]) if had_one else capitals in ([], [2e6])
        assert capitals == [2e6] or status != 0
        assert all(whole) and files == 2
        for capital, position in seen:
            positions.setdefault(capital, set()).add(position)
    assert {capital: len(found) for capital, found in positions.items()} == {1e6: 1, 2e6: 1}
    np.testing.assert_allclose(2 * positions[1e6].pop(), positions[2e6].pop())


def test_a_production_day_is_kept_with_its_live_capital(trading_desk: Desk) -> None:
    run = open_run(trading_desk.store, "trend_carry")
    assert run.manifest.day == trading_desk.today()
    assert run.manifest.capital == 4_000_000 and run.manifest.currency == trading_desk.settings.base_currency
    optimal = latest_optimal(trading_desk, "trend_carry")
    pd.testing.assert_series_equal(run.optimal["notional_position"], optimal["notional_position"])
    assert run.manifest.time == pd.Timestamp(optimal["time"].iloc[0]).to_pydatetime()


def test_a_home_keeps_runs_for_as_long_as_its_settings_say(trading_desk: Desk) -> None:
    desk = trading_desk
    run, today = run_strategy(desk, "trend_carry"), desk.today()
    for days in (20, 40):
        save_run(desk, run, today + timedelta(days=days))
    assert saved_days(desk.store, "trend_carry") == [today + timedelta(days=20), today + timedelta(days=40)]
