from .instrument import (
    Costs as Costs,
    Instrument as Instrument,
)
from .roll_rule import RollRule as RollRule
from .sessions import (
    Session as Session,
    Sessions as Sessions,
    load_sessions as load_sessions,
)
from .tables import (
    REGIONS as REGIONS,
    FxPair as FxPair,
    SimulatedFx as SimulatedFx,
    SimulatedMarket as SimulatedMarket,
    default_universe as default_universe,
    find_instrument as find_instrument,
    load_fx_table as load_fx_table,
    load_instruments as load_instruments,
    load_simulated_fx as load_simulated_fx,
    load_simulated_market as load_simulated_market,
    read_instruments as read_instruments,
    read_table as read_table,
    unknown_name as unknown_name,
)
