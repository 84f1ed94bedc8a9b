"""The summary of a backtest, and what it says is wrong with the data."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.strategy.markets import instrument, market, multiple_prices
from tests.strategy.test_backtest import strategy
from tradeflow_core.instruments import Costs
from tradeflow_core.strategy import Backtest, BacktestData, run_backtest
from tradeflow_core.strategy.results.curve_statistics import ALL_STATISTICS
from tradeflow_core.strategy.results.summary import Summary, summarise, summary_tables
from tradeflow_core.strategy.results.turnovers import turnover_table


def backtest(data: BacktestData | None = None, **settings: Any) -> Backtest:
    return run_backtest(strategy(**settings), market() if data is None else data)


@pytest.fixture(scope="module")
def summary() -> Summary:
    data = market()
    metals = {code: replace(one, asset_class="Metals") if code == "A" else one for code, one in data.instruments.items()}
    return summarise(backtest(replace(data, instruments=metals)))


def caveats(found: Backtest) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {code: set() for code in found.instruments}
    for one in summarise(found).shortcomings:
        kinds[one.instrument].add(one.kind)
    return kinds


def printed(summary: Summary, instruments: int = 10) -> str:
    console = Console(file=io.StringIO(), width=200)
    for table in summary_tables(summary, instruments):
        console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_summary_is_plain_json(summary: Summary) -> None:
    plain = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert set(plain["statistics"]) == {"gross", "costs", "net"}
    assert set(plain["statistics"]["net"]) == set(ALL_STATISTICS)
    assert {row["instrument"] for row in plain["by_instrument"]} == {"A", "B", "C"}
    assert plain["first_day"] == "2010-01-04"


def test_instruments_and_sectors_add_up(summary: Summary) -> None:
    total = summary.by_instrument["total"]
    assert summary.by_sector["total"].sum() == pytest.approx(total.sum())
    assert summary.by_sector.loc["Metals", "total"] == pytest.approx(total["A"])
    assert summary.by_sector["instruments"].to_dict() == {"Metals": 1, "Index": 2}
    assert summary.by_instrument["net"].is_monotonic_decreasing


def test_net_is_gross_less_costs(summary: Summary) -> None:
    for table in (summary.by_instrument, summary.by_sector):
        np.testing.assert_allclose(table["net"], table["gross"] + table["costs"])


def test_the_portfolios_turnover_is_that_of_its_instruments(summary: Summary) -> None:
    assert summary.portfolio_turnover == pytest.approx(summary.by_instrument["portfolio_turnover"].sum())


def test_a_roll_counts_as_two_trades() -> None:
    table = turnover_table(backtest())
    yearly = table["SR_cost_per_trade"] * (table["turnover"] + 2 * table["rolls_per_year"])
    assert (table["rolls_per_year"] == 4).all()
    np.testing.assert_allclose(table["SR_cost_per_year"], yearly)


def test_buffers_save_turnover() -> None:
    table = turnover_table(backtest())
    assert (table["turnover"] < table["subsystem_turnover"]).all()


def test_the_tables_show_every_instrument_and_statistic(summary: Summary) -> None:
    text = printed(summary)
    for name in (*ALL_STATISTICS, "A", "B", "C", "Metals", "worst drawdown", "SR cost"):
        assert name in text


def test_only_the_best_and_worst_of_many_instruments_are_shown(summary: Summary) -> None:
    tables = printed(summary, instruments=1).split("Caveats")[0]
    first_cells = [line.split()[1] for line in tables.splitlines() if line.startswith("│")]
    best, middle, worst = summary.by_instrument.index
    assert "Worst instruments" in tables
    assert {best, worst} <= set(first_cells)
    assert middle not in first_cells


def test_good_data_has_no_caveats() -> None:
    assert caveats(backtest(market(days=900))) == {"A": set(), "B": set(), "C": set()}


def test_a_short_history_is_told() -> None:
    assert all("short history" in kinds for kinds in caveats(backtest(market(days=700))).values())


def test_an_instrument_with_too_little_history_for_a_position_is_told() -> None:
    tables = {"A": multiple_prices(1, 900), "B": multiple_prices(2, 3, start="2013-06-03")}
    data = BacktestData.from_frames(tables, {}, {code: instrument(code) for code in tables})
    found = {one.instrument: one.detail for one in summarise(backtest(data)).shortcomings if one.kind == "never traded"}
    assert "too little history" in found["B"]
    assert set(found) == {"B"}


def test_prices_that_ended_or_have_gaps_are_told() -> None:
    tables = {code: multiple_prices(place, 1200) for place, code in enumerate("ABC")}
    tables["B"] = tables["B"].iloc[:-30]
    tables["C"] = tables["C"].drop(tables["C"].index[100:400])
    data = BacktestData.from_frames(tables, {}, {code: instrument(code) for code in tables})
    assert caveats(backtest(data)) == {"A": set(), "B": {"prices end early"}, "C": {"gaps"}}


def test_missing_and_high_costs_are_told() -> None:
    data = market(days=900)
    costs = {"A": Costs(spread_cost=0.0), "B": Costs(spread_cost=5.0)}
    facts = {code: replace(one, costs=costs.get(code, one.costs)) for code, one in data.instruments.items()}
    assert caveats(backtest(replace(data, instruments=facts))) == {
        "A": {"no costs"},
        "B": {"high costs", "no commission"},
        "C": set(),
    }


def test_an_account_too_small_for_an_instrument_is_told() -> None:
    found = summarise(backtest(market(days=900), notional_trading_capital=100.0))
    assert {one.kind for one in found.shortcomings} == {"never traded"}
    assert all("capital is too small" in one.detail for one in found.shortcomings)
    assert found.to_dict()["statistics"]["net"]["sharpe"] is None


def test_a_market_that_may_not_be_traded_is_told() -> None:
    lists = {"ignore_instruments": [], "bad_markets": ["A"], "trading_restrictions": []}
    found = summarise(backtest(market(days=900), exclude_instrument_lists=lists)).shortcomings
    assert {(one.instrument, one.kind) for one in found} == {("A", "restricted"), ("A", "never traded")}
    assert any("weight in the portfolio is 0" in one.detail for one in found)


def test_days_without_fx_rate_are_told() -> None:
    data = market(days=900, currency="EUR")
    late = replace(data, fx={"EURUSD": data.fx["EURUSD"].iloc[100:]})
    assert all("no FX rate" in kinds for kinds in caveats(backtest(late)).values())


def test_a_name_with_markup_is_shown_as_it_is() -> None:
    tables = {"[red]X[/red]": multiple_prices(1, 900)}
    data = BacktestData.from_frames(tables, {}, {code: instrument(code) for code in tables})
    assert "[red]X[/red]" in printed(summarise(backtest(data)))


def test_a_backtest_of_no_days_has_no_dates() -> None:
    summary = summarise(backtest(market("A", days=1)))
    assert pd.isna(summary.statistics["net"]["sharpe"])
    assert printed(summary)
