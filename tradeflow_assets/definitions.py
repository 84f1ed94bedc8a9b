"""The code location that Dagster loads: the definitions of the home that TRADEFLOW_HOME names, default `./var`."""

from tradeflow_assets.assembly import assemble
from tradeflow_assets.resources import DeskResource, home_to_show

defs = assemble(home_to_show(), DeskResource())
