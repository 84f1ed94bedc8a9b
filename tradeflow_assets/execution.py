"""Execution: the stack handler works the order stack until the session ends; the results are trades and positions.

It is one op that loops in one process, with all its state in the ledger: it may be killed at any time and started again. The run queue
lets only one run at a time, and a lease in the ledger keeps out one that is started elsewhere.
"""

import os
import time

import dagster as dg

from tradeflow_assets.decisions import observe, why_not_automatic, why_not_handler, why_not_restart
from tradeflow_assets.metadata import bullets, rows, table
from tradeflow_assets.orders import instrument_orders
from tradeflow_core.business_day import stack_handler_step
from tradeflow_core.desk import Desk
from tradeflow_core.execution import Pass, position_breaks
from tradeflow_core.home import Home
from tradeflow_core.ledger import ledger_problems
from tradeflow_core.reports import contract_positions, fills_of_day, orders_of_day

SHOW_EVERY_SECONDS = 300.0
"""Trades and positions are shown in the UI at most this often while the handler works, and once when it ends."""

trades = dg.AssetSpec(
    "trades",
    deps=[instrument_orders],
    group_name="execution",
    kinds={"sql"},
    description=(
        "**The fills of the day**: what was bought and sold, in which contract, at which price and commission.\n\n"
        "Written by the job `stack_handler`, which splits instrument orders into contract orders, sends them to the broker, books each fill once at "
        "all levels in one transaction, rolls positions, and ends every order in the evening."
    ),
)
positions = dg.AssetSpec(
    "positions",
    deps=[trades],
    group_name="execution",
    kinds={"sql"},
    description=(
        "**What the desk holds, by contract**: the sum of all fills, compared with the broker's account all day long; "
        "a difference locks the instrument."
    ),
)


def show(context: dg.OpExecutionContext, desk: Desk) -> None:
    """Log the present trades and positions as materializations."""
    day = desk.business_day()
    orders, fills, held = orders_of_day(desk, day), fills_of_day(desk, day), contract_positions(desk)
    columns = ["time", "strategy", "instrument", "contract", "quantity", "price", "commission", "currency"]
    context.log_event(
        dg.AssetMaterialization(
            "trades",
            metadata={
                "n_fills": len(fills),
                "contracts_traded": int(fills["quantity"].abs().sum()),
                "n_orders_completed": int((orders["status"] == "completed").sum()),
                "n_orders_open": int((orders["status"] == "open").sum()),
                "fills": table(fills.iloc[::-1], columns),
                **rows(len(fills)),
            },
        )
    )
    context.log_event(
        dg.AssetMaterialization(
            "positions",
            metadata={
                "n_positions": len(held),
                "contracts_held": int(held["quantity"].abs().sum()),
                "positions": table(held),
                **rows(len(held)),
            },
        )
    )


@dg.op(
    pool="stack_handler",
    description=(
        "Work the order stack until the session ends. End it with Terminate, or gently with the job `stop_trading`; "
        "a restart goes on from the ledger."
    ),
)
def work_stack(context: dg.OpExecutionContext, desk: dg.ResourceParam[Desk]) -> None:
    shown, parent = time.monotonic(), os.getppid()

    def on_pass(handler_pass: Pass) -> None:
        nonlocal shown
        if handler_pass.fills and time.monotonic() - shown > SHOW_EVERY_SECONDS:
            show(context, desk)
            shown = time.monotonic()

    # The operating system gives an orphan another parent: then Dagster is gone, and with it everything that could stop this run.
    total = stack_handler_step(desk, on_pass, is_supervised=lambda: os.getppid() == parent)
    context.log.info(f"{total.sent} broker orders, {total.fills} fills, {total.rolls} rolls")
    show(context, desk)


@dg.job(
    name="stack_handler",
    executor_def=dg.in_process_executor,
    tags={"singleton": "stack_handler"},
    description="Fourth job of the day: work the order stack until the session ends. Only one runs at a time.",
)
def stack_handler_job() -> None:
    work_stack()


@dg.asset_check(asset=positions.key)
def positions_are_right(desk: dg.ResourceParam[Desk]) -> dg.AssetCheckResult:
    """Positions are the sums of their fills in the ledger, and the broker holds the same."""
    with desk.ledger.read() as view:
        problems = ledger_problems(view)
    problems += [
        f"{position_break.instrument} {position_break.contract}: the ledger holds {position_break.ledger}, the broker {position_break.broker}"
        for position_break in position_breaks(desk)
    ]
    return dg.AssetCheckResult(passed=not problems, metadata={"n_problems": len(problems), "problems": bullets(problems[:20])})


def sensors(home: Home) -> list[dg.SensorDefinition]:
    """What starts the stack handler: new orders, and a watchdog after a crash. Off in a live home until somebody switches them on."""
    status = dg.DefaultSensorStatus.STOPPED if home.settings.market == "ib_live" else dg.DefaultSensorStatus.RUNNING

    @dg.asset_sensor(
        asset_key=dg.AssetKey("instrument_orders"),
        job=stack_handler_job,
        name="orders_then_stack_handler",
        minimum_interval_seconds=5,
        default_status=status,
        description="When instrument orders are made, start the stack handler, unless it is at work. Off by default in a live home.",
    )
    def orders_then_stack_handler(
        context: dg.SensorEvaluationContext, asset_event: dg.EventLogEntry, desk: dg.ResourceParam[Desk]
    ) -> dg.RunRequest | dg.SkipReason:
        reason = why_not_handler(observe(desk, context.instance))
        return dg.SkipReason(reason) if reason else dg.RunRequest(run_key=f"orders-{asset_event.run_id}-{asset_event.timestamp}")

    @dg.sensor(
        job=stack_handler_job,
        name="stack_handler_watchdog",
        minimum_interval_seconds=60,
        default_status=status,
        description="Starts the stack handler again when it crashed inside the hours of the session. Off by default in a live home.",
    )
    def stack_handler_watchdog(
        context: dg.SensorEvaluationContext, desk: dg.ResourceParam[Desk]
    ) -> dg.RunRequest | dg.SkipReason:
        reason = why_not_automatic(desk.settings.market)
        situation = None if reason else observe(desk, context.instance)
        if situation is not None:
            reason = why_not_restart(situation)
        if reason or situation is None:
            return dg.SkipReason(reason)
        return dg.RunRequest(run_key=f"restart-{situation.day}-{situation.handler_crashes}")

    return [orders_then_stack_handler, stack_handler_watchdog]


def definitions(home: Home) -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(
        assets=[trades, positions], asset_checks=[positions_are_right], jobs=[stack_handler_job], sensors=sensors(home)
    )
