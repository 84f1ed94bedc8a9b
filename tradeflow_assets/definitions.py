"""The code location: only assembles what the groups define."""

from collections.abc import Sequence

import dagster as dg

from tradeflow_assets import alerts, capital, execution, fx, housekeeping, orders, prices, reports, rolls, strategy
from tradeflow_assets.resources import DeskResource, home_to_show
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home


def assemble(home: Home, desk: DeskResource | Desk, codes: Sequence[str] = ()) -> dg.Definitions:
    """All definitions for a home, with `desk` as their resource; partitions in the order of `codes` where given."""
    return dg.Definitions.merge(
        rolls.definitions(home),
        prices.definitions(home, codes),
        fx.definitions(),
        capital.definitions(),
        strategy.definitions(),
        orders.definitions(),
        execution.definitions(home),
        reports.definitions(home),
        alerts.definitions(),
        housekeeping.definitions(home),
        dg.Definitions(resources={"desk": desk}, executor=dg.in_process_executor),
    )


defs = assemble(home_to_show(), DeskResource())
