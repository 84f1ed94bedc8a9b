"""The strategies: a backtest up to this moment, and the positions that it would like to hold now."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from tradeflow_assets.capital import strategy_capital
from tradeflow_assets.fx import spot_fx
from tradeflow_assets.metadata import rows, table
from tradeflow_core.day import optimal_positions_step
from tradeflow_core.desk import Desk
from tradeflow_core.reports import positions_against_optimal
from tradeflow_core.strategy.production import StrategyRun

BACKTEST = dg.AssetSpec(
    "backtest",
    deps=["adjusted_prices", spot_fx, strategy_capital],
    group_name="strategy",
    kinds={"parquet"},
    description="""**Every strategy run over its whole history with today's capital**: forecasts of each rule, their combination, position
sizes, weights of instruments, buffers. What is traded live is the last row of this, by the same code as any research backtest. The
newest rows of each stage are kept as Parquet with the configuration beside them, one folder a day.""",
)
OPTIMAL = dg.AssetSpec(
    "optimal_positions",
    deps=[BACKTEST],
    group_name="strategy",
    kinds={"parquet"},
    description="""**How many contracts of each instrument the strategies would like to hold**, as a band: inside it no trade is worth its
costs, outside it the position is traded to the nearest edge. Fractions of contracts, with the reference contract and price on which
they were sized.""",
)


@dg.multi_asset(
    name="backtest",
    specs=[BACKTEST, OPTIMAL],
    description="Run every strategy and store what it wants to hold; both assets are written together.",
)
def strategies(desk: dg.ResourceParam[Desk]) -> Iterator[dg.MaterializeResult]:
    runs = optimal_positions_step(desk)
    yield dg.MaterializeResult(asset_key="backtest", metadata=backtest_metadata(runs))
    yield dg.MaterializeResult(asset_key="optimal_positions", metadata=optimal_metadata(desk))


def backtest_metadata(runs: dict[str, StrategyRun]) -> Mapping[str, Any]:
    """The size of each strategy's backtest and the forecasts at its end."""
    frames = []
    for name, run in runs.items():
        forecasts = run.backtest.stage("combined_forecast")
        newest = forecasts.ffill().iloc[-1].dropna()
        frames.append(
            pd.DataFrame(
                {"strategy": name, "instrument": newest.index, "forecast": newest.to_numpy(), "until": forecasts.index[-1]}
            )
        )
    every = pd.concat(frames, ignore_index=True)
    return {
        "n_instruments": int(every["instrument"].nunique()),
        "mean_absolute_forecast": float(every["forecast"].abs().mean()),
        "forecasts": table(every),
        **rows(sum(len(run.backtest.stage("combined_forecast")) for run in runs.values())),
    }


def optimal_metadata(desk: Desk) -> Mapping[str, Any]:
    """What is held against what is wanted, instrument by instrument."""
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
