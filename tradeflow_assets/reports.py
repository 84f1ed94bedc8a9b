"""Reports: the figures of the day, and the facts of the desk."""

import dagster as dg

from tradeflow_assets.decisions import observe, why_not_reports
from tradeflow_assets.execution import positions, positions_are_right, stack_handler_job, trades
from tradeflow_assets.metadata import bullets, rows, sparkline, table
from tradeflow_assets.resources import home_exists, universe_of
from tradeflow_core.business_day import report_step
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.reports import (
    capital_history,
    contract_positions,
    fills_of_day,
    not_traded,
    not_traded_lines,
    orders_of_day,
    profit_of_day,
)


@dg.asset(group_name="reports", deps=[trades, positions])
def daily_report(desk: dg.ResourceParam[Desk]) -> dg.MaterializeResult:
    """**The report of the business day**: what was ordered and traded, what is held, what the account is worth. The last step of the day.

    The account is valued once more after the session. The text is in the home's `reports` folder.
    """
    day = desk.business_day()
    report_step(desk)
    orders, fills, capital, profit = (
        orders_of_day(desk, day),
        fills_of_day(desk, day),
        capital_history(desk),
        profit_of_day(desk, day),
    )
    unfilled = not_traded_lines(not_traded(desk, day))
    return dg.MaterializeResult(
        metadata={
            "day": day.isoformat(),
            "account_value": float(capital["broker"].iloc[-1]),
            "n_orders": len(orders),
            "n_fills": len(fills),
            "n_not_traded": len(unfilled),
            "not_traded": bullets(unfilled),
            **({} if profit is None else {"profit": profit}),
            "capital": sparkline(capital["capital"]),
            "orders": table(orders),
            "positions": table(contract_positions(desk)),
            "file": dg.MetadataValue.path(str(desk.home.path / "reports" / f"{day.isoformat()}.txt")),
            **rows(len(orders)),
        }
    )


def desk_facts(home: Home) -> dict[str, str | int]:
    """The facts of the desk that its settings hold."""
    settings = home.settings
    return {
        "home": str(home.path),
        "market": settings.market,
        "account": settings.account,
        "time_zone": settings.time_zone,
        "base_currency": settings.base_currency,
        "n_instruments": len(universe_of(home)),
        "strategies": ", ".join(settings.strategies),
    }


def overview(home: Home) -> dg.AssetsDefinition:
    """The asset `desk`, which shows first of all which desk this is."""
    settings = home.settings
    home_text = (
        f"This is the **{settings.market}** market, account **{settings.account}**, home `{home.path}`, time zone {settings.time_zone}."
        if home_exists(home)
        else f"There is **no home at `{home.path}` yet**: what you see is drawn with the packaged instruments. "
        "Make one with `tradeflow init` (or `make run`), then reload the code location."
    )
    time_text = (
        "Here the schedule `start_of_day` begins each business day, and sensors start one job after the other."
        if settings.time_is_real
        else "Time here moves only by command: `make run` or `tradeflow day` runs business days, and schedules and sensors skip."
    )

    @dg.asset(
        name="desk",
        group_name="desk",
        metadata=desk_facts(home),
        description=f"**Which desk is this?** {home_text}\n\n{time_text}\n\nRead the graph from left to right as a business day: "
        "rolls, prices, rates and capital, backtest, optimal positions, orders, trades, positions, report.",
    )
    def desk_asset(desk: dg.ResourceParam[Desk]) -> dg.MaterializeResult:
        now, last = desk.now().astimezone(desk.settings.zone), desk.last_done_day()
        return dg.MaterializeResult(
            metadata={
                **desk_facts(desk.home),
                "clock": f"{now:%A %Y-%m-%d %H:%M} {desk.settings.time_zone}",
                "business_day": desk.business_day().isoformat(),
                "last_day_done": last.isoformat() if last else "none",
            }
        )

    return desk_asset


reports_job = dg.define_asset_job(
    "reports",
    selection=dg.AssetSelection.assets("daily_report", "desk") | dg.AssetSelection.checks(positions_are_right),
    description="Last job of the day: value the account, check the positions, write the report.",
)


@dg.run_status_sensor(
    name="stack_handler_then_reports",
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[stack_handler_job],
    request_job=reports_job,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="When the session is over, write the reports. A handler that crashed or was ended has not finished its session.",
)
def stack_handler_then_reports(context: dg.RunStatusSensorContext, desk: dg.ResourceParam[Desk]) -> dg.RunRequest | dg.SkipReason:
    reason = why_not_reports(observe(desk))
    return dg.SkipReason(reason) if reason else dg.RunRequest(run_key=f"reports-{context.dagster_run.run_id}")


def definitions(home: Home) -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(assets=[daily_report, overview(home)], jobs=[reports_job], sensors=[stack_handler_then_reports])
