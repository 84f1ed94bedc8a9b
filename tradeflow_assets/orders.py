"""Instrument orders: what is traded today within the limits of the desk; and the job that makes them from the prices."""

import dagster as dg
import pandas as pd

from tradeflow_assets.capital import account_values, strategy_capital, total_capital
from tradeflow_assets.decisions import observe, why_not_portfolio
from tradeflow_assets.fx import spot_fx
from tradeflow_assets.metadata import bullets, rows, table
from tradeflow_assets.prices import REGION_TAG, prices_job
from tradeflow_assets.strategy import OPTIMAL
from tradeflow_core.business_day import instrument_orders_step
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import ledger_problems


@dg.asset(group_name="orders", deps=[OPTIMAL], kinds={"sql"})
def instrument_orders(desk: dg.ResourceParam[Desk]) -> dg.MaterializeResult:
    """**The day's orders by instrument, put on the order stack**, with the reason for every instrument, traded or not.

    From the position to the edge of the buffer, within overrides, position limits and locks (which come from the ledger), net of what is on the
    stack already; so making them twice changes nothing. The stack handler then works them.
    """
    decisions = pd.concat([plan.table for plan in instrument_orders_step(desk).values()], ignore_index=True)
    ordered = decisions[decisions["quantity"] != 0]
    sorted_by_trade = decisions.sort_values("quantity", key=lambda quantity: quantity == 0, kind="stable")
    return dg.MaterializeResult(
        metadata={
            "n_orders": len(ordered),
            "contracts_to_trade": int(ordered["quantity"].abs().sum()),
            "orders": table(sorted_by_trade, ["strategy", "instrument", "position", "lower", "upper", "quantity", "reason"]),
            **rows(len(decisions)),
        }
    )


@dg.asset_check(asset=instrument_orders)
def ledger_is_consistent(desk: dg.ResourceParam[Desk]) -> dg.AssetCheckResult:
    """Orders of all three levels, fills and positions add up, and nothing is at work twice."""
    with desk.ledger.read() as view:
        problems = ledger_problems(view)
    return dg.AssetCheckResult(passed=not problems, metadata={"n_problems": len(problems), "problems": bullets(problems[:20])})


portfolio_job = dg.define_asset_job(
    "portfolio",
    selection=dg.AssetSelection.assets(
        spot_fx, account_values, total_capital, strategy_capital, "backtest", "optimal_positions", instrument_orders
    ),
    description="Third job of the day: rates, capital, backtest, optimal positions and the orders that follow.",
)


def _after_prices(status: dg.DagsterRunStatus, name: str, description: str) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name=name,
        run_status=status,
        monitored_jobs=[prices_job],
        request_job=portfolio_job,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def sensor(context: dg.RunStatusSensorContext, desk: dg.ResourceParam[Desk]) -> dg.RunRequest | dg.SkipReason:
        if region := context.dagster_run.tags.get(REGION_TAG):
            return dg.SkipReason(
                f"these were the prices of {region} after its close; positions follow the day's run over everything"
            )
        situation = observe(desk)
        reason = why_not_portfolio(situation)
        if reason and reason == situation.bad_prices:
            desk.alerts.send("quality gate", f"{reason}; no positions are computed and nothing is traded until then", desk.now())
        return dg.SkipReason(reason) if reason else dg.RunRequest(run_key=f"portfolio-{context.dagster_run.run_id}")

    return sensor


def definitions() -> dg.Definitions:
    """Everything of this group."""
    sensors = [
        _after_prices(
            dg.DagsterRunStatus.SUCCESS, "prices_then_portfolio", "When all prices are up to date, compute positions and orders."
        ),
        _after_prices(
            dg.DagsterRunStatus.FAILURE,
            "some_prices_then_portfolio",
            "When some instruments failed, compute positions and orders with the others, if at least half of the universe has good prices.",
        ),
    ]
    return dg.Definitions(assets=[instrument_orders], asset_checks=[ledger_is_consistent], jobs=[portfolio_job], sensors=sensors)
