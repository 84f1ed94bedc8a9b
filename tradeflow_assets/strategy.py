"""The strategies: a backtest up to now, and the positions that it wants to hold."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from tradeflow_assets.capital import strategy_capital
from tradeflow_assets.charts import bar_chart, line_chart, small_bars
from tradeflow_assets.fx import spot_fx
from tradeflow_assets.metadata import rows, sparkline, table
from tradeflow_core.business_day import optimal_positions_step
from tradeflow_core.desk import Desk
from tradeflow_core.model import contract_label
from tradeflow_core.nightly import StrategyRun, latest_optimal
from tradeflow_core.reports import positions_against_optimal
from tradeflow_core.strategy import ROOT_BUSINESS_DAYS_PER_YEAR, Correction
from tradeflow_core.strategy.results import PARTS, CurveGroup, portfolio_curve, statistics, tear_sheet

BACKTEST = dg.AssetSpec(
    "backtest",
    deps=["adjusted_prices", spot_fx, strategy_capital],
    group_name="strategy",
    kinds={"parquet"},
    description="""**Every strategy run over its whole history with today's capital**: forecasts of each rule, their combination, position
sizes, weights of instruments, buffers. What is traded live is the last row of this, by the same code as any research backtest. The
last year of each stage is kept as Parquet with the configuration beside it, one folder a day: `tradeflow backtest show` looks into any
of them, `tradeflow backtest compare` says why positions changed.""",
)
OPTIMAL = dg.AssetSpec(
    "optimal_positions",
    deps=[BACKTEST],
    group_name="strategy",
    kinds={"parquet"},
    description="""**How many contracts of each instrument the strategies want to hold**, as a band: inside it no trade is worth its
costs, outside it the position is traded to the nearest edge. Fractions of contracts, with the reference contract and price on which
they were sized.""",
)
SHOWN_STATISTICS = {
    "ann_mean": "return, % a year",
    "ann_std": "volatility, % a year",
    "sharpe": "Sharpe ratio",
    "sortino": "Sortino ratio",
    "skew": "skew",
    "worst_drawdown": "worst drawdown, %",
    "avg_drawdown": "average drawdown, %",
    "hitrate": "days with profit",
}


@dg.multi_asset(
    name="backtest",
    specs=[BACKTEST, OPTIMAL],
    description="Run every strategy and store what it wants to hold; both assets are written together.",
)
def strategies(desk: dg.ResourceParam[Desk]) -> Iterator[dg.MaterializeResult]:
    runs = optimal_positions_step(desk)
    yield dg.MaterializeResult(asset_key="backtest", metadata=backtest_metadata(desk, runs))
    yield dg.MaterializeResult(asset_key="optimal_positions", metadata=optimal_metadata(desk))


def backtest_metadata(desk: Desk, runs: Mapping[str, StrategyRun]) -> Mapping[str, Any]:
    """For each strategy: its settings, its past performance, the positions it wants, and where the details are."""
    forecasts = pd.concat([run.optimal["combined_forecast"] for run in runs.values()])
    shown: dict[str, Any] = {
        "capital": sum(run.backtest.config.notional_trading_capital for run in runs.values()),
        "currency": desk.settings.base_currency,
        "n_instruments": int(forecasts[forecasts.notna()].index.nunique()),
        "mean_abs_forecast": float(forecasts.abs().mean()),
        "strategies": table(pd.DataFrame([_strategy_row(name, run) for name, run in runs.items()])),
    }
    for name, run in runs.items():
        # With only one strategy, the labels need no name.
        suffix = f" of {name}" if len(runs) > 1 else ""
        shown |= {f"{label}{suffix}": value for label, value in _strategy_metadata(desk, name, run).items()}
    return {**shown, **rows(sum(len(run.backtest.stage("combined_forecast")) for run in runs.values()))}


def _strategy_row(name: str, run: StrategyRun) -> dict[str, Any]:
    config, days = run.backtest.config, run.backtest.stage("combined_forecast").index
    return {
        "strategy": name,
        "capital": float(config.notional_trading_capital),
        "risk_target": float(config.percentage_vol_target),
        "instruments": len(run.backtest.instruments),
        "since": _unbroken(f"{days[0]:%d %b %Y}"),
        "until": _unbroken(f"{days[-1]:%d %b %Y}"),
    }


def _strategy_metadata(desk: Desk, name: str, run: StrategyRun) -> dict[str, Any]:
    curve = portfolio_curve(run.backtest.accounts)
    running = pd.DataFrame({part: curve.returns(part).cumulative for part in ("gross", "net")})
    risk = position_risk(run)
    zone = desk.settings.time_zone
    sheet = desk.home.path / "reports" / f"tear_sheet_{name}.html"
    tear_sheet(run.backtest, sheet)
    shown_statistics = statistics_table(curve, corrected=run.backtest.config.corrects(Correction.STATISTICS))
    return {
        "sharpe": float(shown_statistics["net"].loc["Sharpe ratio"]),
        "account_curve": sparkline(running["net"]),
        "account_chart": line_chart(running, "profit and loss, % of capital"),
        "statistics": table(shown_statistics.rename_axis("statistic").reset_index()),
        "positions": small_bars(risk.to_numpy()),
        "positions_chart": bar_chart(risk, "risk of the optimal positions, % of capital a year"),
        "optimal_positions": table(optimal_table(desk, name)),
        "made_at": f"{latest_optimal(desk, name)['time'].iloc[0].tz_convert(zone):%Y-%m-%d %H:%M} {zone}",
        "tear_sheet": dg.MetadataValue.path(str(sheet)),
    }


def statistics_table(curve: CurveGroup, *, corrected: bool) -> pd.DataFrame:
    """The statistics shown on the page: index their names, columns gross, costs, net."""
    by_part = {part: statistics(curve.returns(part), corrected=corrected) for part in PARTS}
    columns = {part: [round(figures[key], 4) for key in SHOWN_STATISTICS] for part, figures in by_part.items()}
    return pd.DataFrame(columns, index=pd.Index(SHOWN_STATISTICS.values()))


def position_risk(run: StrategyRun) -> pd.Series:
    """The risk of each optimal position: standard deviation a year in percent of capital, negative if short, the largest first."""
    point_sizes = pd.Series({instrument: run.backtest.data.instrument(instrument).point_size for instrument in run.optimal.index})
    daily = run.optimal["notional_position"] * run.optimal["daily_returns_volatility"] * point_sizes * run.optimal["fx"]
    annual = 100.0 * ROOT_BUSINESS_DAYS_PER_YEAR * daily / run.backtest.config.notional_trading_capital
    return annual.dropna().sort_values(key=abs, ascending=False)


def optimal_table(desk: Desk, strategy: str) -> pd.DataFrame:
    """The day's optimal positions with price, contract and day that they refer to; columns narrow enough for a page."""
    stored = latest_optimal(desk, strategy).reset_index()
    contracts = stored["reference_contract"].astype(int)
    bands = stored[["notional_position", "lower", "upper"]].round(2)
    return pd.DataFrame(
        {
            "instrument": stored["instrument"],
            "position": bands["notional_position"],
            "lower": bands["lower"],
            "upper": bands["upper"],
            "price": stored["reference_price"],
            "contract": [_unbroken(contract_label(contract)) if contract else "" for contract in contracts],
            "day": [_unbroken(f"{day:%d %b}") if pd.notna(day) else "" for day in stored["reference_date"]],
        }
    )


def _unbroken(text: str) -> str:
    """The text with non-breaking spaces and hyphens, so that a narrow cell stays on one line."""
    return text.replace(" ", "\u00a0").replace("-", "\u2011")


def optimal_metadata(desk: Desk) -> Mapping[str, Any]:
    """Positions and optimal positions, for each instrument."""
    frame = positions_against_optimal(desk)
    outside = (frame["position"] < frame["lower"]) | (frame["position"] > frame["upper"])
    return {
        "n_wanted": int(frame["optimal"].notna().sum()),
        "n_outside_buffer": int(outside.sum()),
        "positions": table(frame, ["strategy", "instrument", "position", "optimal", "lower", "upper", "price"]),
        **rows(len(frame)),
    }


def definitions() -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(assets=[strategies])
