"""The code location that Dagster loads: the definitions of the home that TRADEFLOW_HOME names, default `./var`."""

from tradeflow_assets.assembly import assemble
from tradeflow_assets.resources import DeskResource, home_for_definitions

defs = assemble(home_for_definitions(), DeskResource())
