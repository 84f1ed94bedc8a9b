from .capital import (
    CapitalEvent as CapitalEvent,
    CapitalEventKind as CapitalEventKind,
    events_in_force as events_in_force,
)
from .closes import CLOSING_HOUR as CLOSING_HOUR
from .contracts import (
    MONTH_LETTERS as MONTH_LETTERS,
    adjacent_contract as adjacent_contract,
    contract_label as contract_label,
    contract_letter as contract_letter,
    find_adjacent_contract as find_adjacent_contract,
    first_day as first_day,
    month_number as month_number,
    parse_contract as parse_contract,
)
from .controls import (
    LockOwner as LockOwner,
    Override as Override,
    OverrideKind as OverrideKind,
)
from .orders import (
    BY_BROKER as BY_BROKER,
    LIVE_STATUSES as LIVE_STATUSES,
    NEXT_STATUSES as NEXT_STATUSES,
    OUTSIDE as OUTSIDE,
    ROLLS as ROLLS,
    SETTLED_STATUSES as SETTLED_STATUSES,
    UNASSIGNED as UNASSIGNED,
    BrokerOrder as BrokerOrder,
    BrokerOrderStatus as BrokerOrderStatus,
    ContractOrder as ContractOrder,
    Fill as Fill,
    InstrumentOrder as InstrumentOrder,
    Leg as Leg,
    OrderIntent as OrderIntent,
    OrderLevel as OrderLevel,
    OrderStatus as OrderStatus,
    OrderType as OrderType,
    Quoted as Quoted,
    Share as Share,
)
from .rolls import (
    EVENT_CONTRACTS as EVENT_CONTRACTS,
    RollEvent as RollEvent,
    RollState as RollState,
)
from .text import (
    nearest as nearest,
    nearest_names as nearest_names,
)
