"""Seven strategies on a simulated market of nine instruments give the reference's figures at every stage."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.parity.market import CONFIGURATIONS, INPUT, Market
from tests.parity.proof import Answers, each, files, uses
from tradeflow_core.strategy import Backtest
from tradeflow_core.strategy.results.curve_statistics import statistics
from tradeflow_core.strategy.results.curves import portfolio_curve
from tradeflow_core.strategy.results.turnovers import turnover_table

REPORTS = ("statistics", "costs_by_instrument", "costs_by_rule")
WHOLE_CONTRACTS = ("buffered_position_rounded", "optimised_position")
ESTIMATED = ("estimated_handcraft", "estimated_shrinkage")
BEFORE_WEIGHTS = ("raw_forecast", "capped_forecast", "forecast_scalar", "costs_by_rule")


def of_configurations(names: list[str]) -> list[str]:
    return [name for name in names if name.split("/")[1] in CONFIGURATIONS]


STAGES = [name for name in of_configurations(files("market/*/*")) if name.split("/")[2] not in REPORTS]


def configuration_of(file: str) -> str:
    """The file of the configuration that an answer belongs to."""
    return f"market/configs/{file.split('/')[1]}"


def tolerance(file: str) -> dict[str, object]:
    """How close a figure has to be: whole contracts equal; weights that a numerical search found are known to 1e-6 of the largest."""
    _, configuration, name = file.split("/")
    if name in WHOLE_CONTRACTS:
        return {"tolerance": 0.0}
    if configuration in ESTIMATED and name not in BEFORE_WEIGHTS:
        return {"tolerance": 1e-6, "measure": "largest"}
    return {"tolerance": 1e-8}


def stage(backtest: Backtest, name: str) -> pd.DataFrame:
    """A stage with its columns named as in the answers: `CORN`, `CORN|carry`, or `value` where there is only one."""
    if name == "rule_pandl_within_rule":
        rules = backtest.rule_accounts.rules
        table = pd.concat({rule: backtest.rule_accounts.of_rule(rule, "within_rule") for rule in rules}, axis=1)
    else:
        table = backtest.stage(name)
    if isinstance(table.columns, pd.MultiIndex):
        table.columns = pd.Index(["|".join(column) for column in table.columns])
    return table


@each(STAGES, given=configuration_of)
def test_a_stage_equals_the_reference(file: str, answers: Answers, market: Market) -> None:
    _, configuration, name = file.split("/")
    theirs = answers.table(file).set_index("date")
    ours = stage(market.backtest(configuration), name)
    if list(theirs.columns) == ["value"]:
        ours = ours.set_axis(["value"], axis=1)
    answers.same(file, ours, theirs, **tolerance(file))  # type: ignore[arg-type]


@each(of_configurations(files("market/*/statistics")))
def test_the_statistics_of_the_account_equal_the_reference(file: str, answers: Answers, market: Market) -> None:
    theirs = answers.table(file).set_index(["part", "freq", "stat"])
    curve = portfolio_curve(market.backtest(file.split("/")[1]).accounts)
    found = {
        (part, frequency): statistics(curve.returns(part, "percent", frequency), corrected=False)
        for part, frequency in theirs.index.droplevel("stat").unique()
    }
    ours = pd.DataFrame(found).T.rename_axis(["part", "freq"])
    answers.same(file, ours, theirs["value"].unstack("stat"), **tolerance(file))  # type: ignore[arg-type]


@each(of_configurations(files("market/*/costs_by_instrument")))
def test_turnovers_and_costs_of_instruments_equal_the_reference(file: str, answers: Answers, market: Market) -> None:
    theirs = answers.table(file).set_index("instrument")
    table = turnover_table(market.backtest(file.split("/")[1]))
    ours = table.rename(columns={"turnover": "instrument_turnover", "portfolio_turnover": "turnover_portfolio"})
    ours["SR_holding"] = table["SR_cost_per_trade"] * 2 * table["rolls_per_year"]
    answers.same(file, ours, theirs, **tolerance(file))  # type: ignore[arg-type]


@each(of_configurations(files("market/*/costs_by_rule")))
def test_turnovers_and_costs_of_rules_equal_the_reference(file: str, answers: Answers, market: Market) -> None:
    theirs = answers.table(file).set_index(["instrument", "rule"])
    ours = market.backtest(file.split("/")[1]).rule_costs.rename(columns={"sr_cost": "SR_cost"})
    answers.same(file, ours, theirs, **tolerance(file))  # type: ignore[arg-type]


@uses(*INPUT, "market/prices/adjusted")
def test_prices_written_as_csv_files_are_read_back_unchanged(answers: Answers, market: Market) -> None:
    multiple = answers.table(INPUT[0]).set_index("date")
    for code, theirs in multiple.groupby("instrument"):
        pd.testing.assert_frame_equal(
            market.data.multiple_prices[str(code)][theirs.columns.drop("instrument")],
            theirs.drop(columns="instrument"),
            check_dtype=False,
            check_exact=True,
            check_index_type=False,
        )
    for code, prices in answers.table("market/prices/adjusted").set_index("date").groupby("instrument"):
        pd.testing.assert_series_equal(
            market.data.adjusted_prices[str(code)], prices["price"], check_exact=True, check_names=False, check_index_type=False
        )


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_every_configuration_has_answers(configuration: str) -> None:
    assert files(f"market/configs/{configuration}")
    assert files(f"market/{configuration}/portfolio_pandl")
