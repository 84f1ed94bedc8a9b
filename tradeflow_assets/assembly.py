"""All groups put together, for the home that the environment names or for the home of a command."""

from collections.abc import Sequence

import dagster as dg

from tradeflow_assets import (
    alerts,
    capital,
    capital_by_hand,
    controls,
    execution,
    fx,
    housekeeping,
    orders,
    orders_by_hand,
    positions_by_hand,
    prices,
    reports,
    rolls,
    spreads,
    strategy,
)
from tradeflow_assets.resources import DeskResource
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home

EXECUTORS = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}


def assemble(home: Home, desk: DeskResource | Desk, instruments: Sequence[str] = ()) -> dg.Definitions:
    """All definitions for a home, with `desk` as their resource; partitions in the order of `instruments`, if given."""
    return dg.Definitions.merge(
        rolls.definitions(home),
        prices.definitions(home, instruments),
        spreads.definitions(home),
        fx.definitions(),
        capital.definitions(),
        capital_by_hand.definitions(),
        strategy.definitions(),
        orders.definitions(),
        orders_by_hand.definitions(),
        positions_by_hand.definitions(),
        controls.definitions(),
        execution.definitions(home),
        reports.definitions(home),
        alerts.definitions(),
        housekeeping.definitions(home),
        dg.Definitions(resources={"desk": desk}, executor=EXECUTORS[home.settings.dagster.executor]),
    )
