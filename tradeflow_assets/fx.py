"""Spot FX: what a unit of each currency is worth in dollars."""

import dagster as dg
import pandas as pd

from tradeflow_assets.metadata import rows, table
from tradeflow_core.business_day import fx_step
from tradeflow_core.desk import Desk


@dg.asset(group_name="fx", kinds={"parquet"})
def spot_fx(desk: dg.ResourceParam[Desk]) -> dg.MaterializeResult:
    """**Exchange rates of every currency the desk trades in**, in US dollars, one append-only series each.

    Instruments are priced in their own currency; sizing a position and valuing the account need them in the base currency. A new rate that jumps
    implausibly is refused and the run fails, so that nothing is ever sized with a wrong rate.
    """
    rates = fx_step(desk)
    newest = pd.DataFrame(
        [(pair, float(series.iloc[-1]), series.index[-1], len(series)) for pair, series in rates.items()],
        columns=["pair", "rate", "time", "days"],
    )
    return dg.MaterializeResult(
        metadata={
            "rates": table(newest),
            **{pair: float(series.iloc[-1]) for pair, series in rates.items()},
            **rows(int(newest["days"].sum())),
        }
    )


def definitions() -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(assets=[spot_fx])
