"""Capital: what the account is worth, how much of it is used for trading, and how much each strategy gets."""

import dagster as dg

from tradeflow_assets.fx import spot_fx
from tradeflow_assets.metadata import rows, sparkline, table
from tradeflow_core.business_day import account_step, strategy_capital_step, total_capital_step
from tradeflow_core.capital import waiting_jump
from tradeflow_core.desk import Desk


@dg.asset(group_name="capital", deps=[spot_fx], kinds={"sql"})
def account_values(desk: dg.ResourceParam[Desk]) -> dg.MaterializeResult:
    """**The account value that the broker reports now**, recorded in the ledger.

    A recorded value is never edited. Values in other currencies count at the newest spot FX rate.
    """
    values = account_step(desk)
    last = values.iloc[-1]
    return dg.MaterializeResult(
        metadata={
            "account_value": float(last["value"]),
            "excess_liquidity": float(last["excess"]),
            "curve": sparkline(values["value"]),
            "latest": table(values.tail(10).iloc[::-1].rename_axis("time").reset_index()),
            **rows(len(values)),
        }
    )


WAITS = "no_change_waits"


@dg.asset(
    group_name="capital",
    deps=[account_values],
    kinds={"parquet"},
    check_specs=[
        dg.AssetCheckSpec(
            WAITS,
            asset="total_capital",
            description="No change of the account value waits for a person to accept or refuse it.",
        )
    ],
)
def total_capital(context: dg.AssetExecutionContext, desk: dg.ResourceParam[Desk]) -> dg.MaterializeResult:
    """**The capital used for trading**: account values combined by the desk's compounding rule, without deposits and withdrawals.

    A change of more than a tenth in one step (`capital_rules.max_change`) does not count until a person accepts it (`tradeflow capital`, or the
    job `judge_account_value`); meanwhile the capital stays, and the day goes on.
    """
    capital = total_capital_step(desk)
    last, jump = capital.iloc[-1], waiting_jump(capital, desk.settings.base_currency)
    if jump:
        context.log.warning(jump.message)
    return dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(
                check_name=WAITS,
                passed=jump is None,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"waits": "nothing" if jump is None else jump.message},
            )
        ],
        metadata={
            "capital": float(last["capital"]),
            "accumulated_profit": float(last["accumulated"]),
            "high_water_mark": float(last["maximum"]),
            "curve": sparkline(capital["capital"]),
            "latest": table(capital.tail(10).iloc[::-1].rename_axis("time").reset_index()),
            **({"waits": jump.message} if jump else {}),
            **rows(len(capital)),
        },
    )


@dg.asset(group_name="capital", deps=[total_capital], kinds={"parquet"})
def strategy_capital(desk: dg.ResourceParam[Desk]) -> dg.MaterializeResult:
    """**Each strategy's share of the capital**, by the weights in `tradeflow.toml`."""
    shares = strategy_capital_step(desk)
    return dg.MaterializeResult(
        metadata={
            "capital": float(shares["capital"].sum()),
            "shares": table(shares),
            **rows(len(shares)),
        }
    )


def definitions() -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(assets=[account_values, total_capital, strategy_capital])
