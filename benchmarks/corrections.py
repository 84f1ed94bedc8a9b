"""What each correction of the reference's flaws does to positions, turnover and results: `python -m benchmarks.corrections [--write]`.

Six strategies on the 26 markets of the reference data, each as the reference has it, with each correction alone, and with all of
them. `--write` puts the tables between the markers of docs/corrections.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks.prices import SHARED
from tradeflow_core.strategy import (
    Backtest,
    BacktestData,
    Correction,
    StrategyConfig,
    load_strategy,
    packaged_strategies,
    run_backtest,
    strategy_from_dict,
)
from tradeflow_core.strategy.costs import turnover
from tradeflow_core.strategy.positions import Accounts
from tradeflow_core.strategy.results import portfolio_curve, statistics

PAGE = Path(__file__).resolve().parent.parent / "docs" / "corrections.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
REFERENCE, ALL = "the reference", "all corrections"
LIMITS = {
    "max_risk_fraction_normal_risk": 1.75,
    "max_risk_fraction_stdev_risk": 4.0,
    "max_risk_limit_sum_abs_risk": 4.0,
    "max_risk_leverage": 20.0,
}
ESTIMATED: dict[str, Any] = {
    "use_forecast_scale_estimates": True,
    "use_forecast_weight_estimates": True,
    "use_forecast_div_mult_estimates": True,
    "use_instrument_weight_estimates": True,
    "use_instrument_div_mult_estimates": True,
    "forecast_weights": None,
    "forecast_div_multiplier": None,
    "volatility_calculation": {"backfill": True},
    "use_attenuation": ["ewmac8_32", "ewmac16_64", "ewmac32_128", "ewmac64_256"],
    "forecast_post_ceiling_cost_SR": 0.15,
    "risk_overlay": LIMITS,
    "notional_trading_capital": 10_000_000,
}


@dataclass(frozen=True)
class Study:
    """A strategy that corrections are measured on; `about` says what it is."""

    name: str
    about: str
    config: StrategyConfig


@dataclass(frozen=True)
class Outcome:
    """One backtest: contracts wanted and held (days x instruments, 0 where there are none), Sharpe ratios, average positions traded a year."""

    wanted: pd.DataFrame
    held: pd.DataFrame
    gross: float
    net: float
    turnover: float


@dataclass(frozen=True)
class Effect:
    """A row of a table: `change` of wanted positions relative to their average size, and the share of days and instruments with other whole
    contracts, both fractions."""

    name: str
    change: float
    differing: float
    outcome: Outcome


def studies() -> list[Study]:
    """The strategies."""
    packaged = packaged_strategies()["static_trend_carry"]
    rules = yaml.safe_load((SHARED / "golden" / "bench_40.yaml").read_text(encoding="utf-8"))
    equal = {key: value for key, value in rules.items() if key not in ("instrument_weights", "duplicate_instruments")}
    by_hour = {"function": "ewmac_calc_vol", "data": ["hourly_price"], "other_args": {"Lfast": 32, "Lslow": 128}}
    of_class = {"_factor_name": "neg_skew", "_demean_method": "average_factor_value_in_asset_class_for_instrument"}
    skew = {"function": "factor_trading_rule", "data": ["demeaned_factor_value"], "other_args": of_class}
    trend = load_strategy(packaged).trading_rules["ewmac32_128"].model_dump()
    few = ["CORN", "CRUDE_W_mini", "EUROSTX", "GOLD_micro", "MXP", "US10"]
    return [
        Study(
            "Trend and carry",
            "four speeds of trend and carry, fixed weights, 26 markets, 1 million dollars",
            load_strategy(packaged),
        ),
        Study(
            "Everything estimated",
            "the same rules with scalars, weights and multipliers estimated, attenuation, a cost ceiling and the risk overlay, 26 "
            "markets, 10 million dollars",
            load_strategy(packaged, ESTIMATED),
        ),
        Study(
            "36 rules",
            "36 rules of 11 kinds with estimated scalars and multipliers, attenuation and the risk overlay, 26 markets, 5 million dollars",
            strategy_from_dict(equal, "36 rules"),
        ),
        Study(
            "Dynamic optimisation",
            "trend and carry in whole contracts for half a million dollars, 26 markets since 2015",
            load_strategy(
                packaged, {"dynamic_optimisation": True, "notional_trading_capital": 500_000, "start_date": "2015-01-01"}
            ),
        ),
        Study(
            "By the hour",
            "an hourly trend and skewness against the asset class beside a daily trend, estimated scalars, half compounding, one market "
            "restricted, 6 of the 26 markets since 2015, 5 million dollars",
            strategy_from_dict(
                {
                    "trading_rules": {"daily": trend, "hourly": by_hour, "skew": skew},
                    "instruments": few,
                    "use_forecast_scale_estimates": True,
                    "exclude_instrument_lists": {"trading_restrictions": ["MXP"]},
                    "capital_multiplier": {"func": "half_compounding"},
                    "notional_trading_capital": 5_000_000,
                    "start_date": "2015-01-01",
                }
            ),
        ),
        Study(
            "One market",
            "trend in US ten-year notes alone, under the risk overlay with tight limits, 1 million dollars",
            strategy_from_dict(
                {
                    "trading_rules": {"trend": trend},
                    "instruments": ["US10"],
                    "risk_overlay": {**LIMITS, "max_risk_fraction_normal_risk": 1.0},
                }
            ),
        ),
    ]


def outcome(config: StrategyConfig, data: BacktestData) -> Outcome:
    """Run a strategy."""
    backtest = run_backtest(config, data)
    wanted, accounts = _positions(backtest)
    curve = portfolio_curve(accounts)
    gross, net = (statistics(curve.returns(part))["sharpe"] for part in ("gross", "net"))
    traded = turnover(accounts.positions, backtest.sizing.average_position).replace([np.inf, -np.inf], np.nan)
    held = accounts.positions.values
    return Outcome(wanted.ffill().fillna(0.0), held.ffill().fillna(0.0), gross, net, float(traded.sum()))


def _positions(backtest: Backtest) -> tuple[pd.DataFrame, Accounts]:
    """Contracts wanted, and the accounts of those held: at the capital of the day where that changes."""
    if backtest.config.capital_multiplier.func != "fixed_capital":
        return backtest.actual_position.values, backtest.actual_accounts
    return backtest.portfolio.notional_position.values, backtest.accounts


def effects(study: Study, data: BacktestData) -> Iterator[Effect]:
    """The reference, every correction alone, all of them."""
    reference = outcome(study.config.model_copy(update={"compat": "pst"}), data)
    yield Effect(REFERENCE, 0.0, 0.0, reference)
    for correction in (*Correction, None):
        compat = "fixed" if correction is None else (correction,)
        corrected = outcome(study.config.model_copy(update={"compat": compat}), data)
        yield Effect(ALL if correction is None else correction.value, *_difference(reference, corrected), corrected)


def _difference(before: Outcome, after: Outcome) -> tuple[float, float]:
    size = before.wanted.abs().mean()
    change = (after.wanted - before.wanted).abs().mean()[size > 0] / size[size > 0]
    return float(change.mean()), float((after.held != before.held).to_numpy().mean())


def table(found: list[Effect]) -> str:
    """Markdown: a row for each correction that changes anything; the others in a line below."""
    lines = [
        "| correction | change of positions | other contracts held | Sharpe ratio gross | net | turnover |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    still = [one for one in found[1:] if not one.change > 5e-7 and not one.differing and _figures(one) == _figures(found[0])]
    for one in found:
        if one in still:
            continue
        moved = ("", "") if one.name == REFERENCE else (f"{one.change:.2%}", f"{one.differing:.2%}")
        lines.append(f"| {one.name} | {' | '.join((*moved, *_figures(one)))} |")
    names = ", ".join(one.name for one in still)
    return "\n".join(lines) + (f"\n\nNo effect here: {names}." if still else "")


def _figures(one: Effect) -> tuple[str, str, str]:
    return f"{one.outcome.gross:.3f}", f"{one.outcome.net:.3f}", f"{one.outcome.turnover:.1f}"


def measured(data: BacktestData) -> Iterator[str]:
    """A section of Markdown for each strategy."""
    for study in studies():
        started = time.process_time()
        found = list(effects(study, data))
        days = found[0].outcome.wanted.index
        span = f"{days[0]:%B %Y} to {days[-1]:%B %Y}"
        print(f"{study.name}: {time.process_time() - started:.0f} s of CPU", file=sys.stderr)
        yield f"### {study.name}\n\n{study.about[0].upper()}{study.about[1:]}; {span}.\n\n{table(found)}\n"


def written(page: str, sections: str) -> str:
    """The page with `sections` between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{PAGE} needs the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{sections}\n{END}{after}"


def main() -> None:
    """Measure and print, or write."""
    if not SHARED.exists():
        raise SystemExit("the reference data is absent (../shared)")
    sections = "\n".join(measured(BacktestData.from_pysystemtrade(SHARED / "data" / "pysystemtrade_csv")))
    if "--write" in sys.argv[1:]:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), sections), encoding="utf-8")
    else:
        print(sections)


if __name__ == "__main__":
    main()
