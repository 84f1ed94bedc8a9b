"""What is traded: instruments and their costs, contracts and roll rules, trading hours, and the tables of all of them."""

from tradeflow_core.instruments.contracts import (
    MONTH_LETTERS,
    RollRule,
    contract_letter,
    display,
    month_number,
    parse_contract,
    step,
    step_or_none,
)
from tradeflow_core.instruments.instrument import Costs, Instrument
from tradeflow_core.instruments.sessions import Session, Sessions, load_sessions
from tradeflow_core.instruments.tables import (
    FxPair,
    SimulatedFx,
    SimulatedMarket,
    default_universe,
    find_instrument,
    load_fx_table,
    load_instruments,
    load_simulated_fx,
    load_simulated_market,
)

__all__ = [
    "MONTH_LETTERS",
    "Costs",
    "FxPair",
    "Instrument",
    "RollRule",
    "Session",
    "Sessions",
    "SimulatedFx",
    "SimulatedMarket",
    "contract_letter",
    "default_universe",
    "display",
    "find_instrument",
    "load_fx_table",
    "load_instruments",
    "load_sessions",
    "load_simulated_fx",
    "load_simulated_market",
    "month_number",
    "parse_contract",
    "step",
    "step_or_none",
]
