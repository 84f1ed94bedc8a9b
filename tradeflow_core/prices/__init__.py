"""Prices: FX, contract bars, roll calendars, multiple and adjusted prices, roll decisions."""

from tradeflow_core.prices.adjusted import back_adjust, rolls_not_into_forward
from tradeflow_core.prices.calendars import (
    approximate_roll_calendar,
    back_out_calendar,
    build_roll_calendar,
    check_roll_calendar,
    repair_roll_calendar,
)
from tradeflow_core.prices.collect import collect_bars, contract_prices, seed_instrument, stored_bars, update_sampled_contracts
from tradeflow_core.prices.decide import RollStatus, decide_rolls, open_tape, preview_roll, roll_prices, roll_status, tape_events
from tradeflow_core.prices.fx import convert, cross_rate
from tradeflow_core.prices.multiple import (
    back_out_events,
    build_from_events,
    build_multiple_prices,
    calendar_from_events,
    compare_multiple_prices,
    contract_series,
    events_from_calendar,
)
from tradeflow_core.prices.pipeline import (
    LOCK_OWNER,
    STAGES,
    PriceWindow,
    StageResult,
    adjusted_prices,
    business_days_between,
    update_instrument,
)
from tradeflow_core.prices.rolls import RollState, allowed_states
from tradeflow_core.prices.sampling import sampling_chain
from tradeflow_core.prices.spot_fx import latest_rate, stored_fx, update_spot_fx

__all__ = [
    "LOCK_OWNER",
    "STAGES",
    "PriceWindow",
    "RollState",
    "RollStatus",
    "StageResult",
    "adjusted_prices",
    "allowed_states",
    "approximate_roll_calendar",
    "back_adjust",
    "back_out_calendar",
    "back_out_events",
    "build_from_events",
    "build_multiple_prices",
    "build_roll_calendar",
    "business_days_between",
    "calendar_from_events",
    "check_roll_calendar",
    "collect_bars",
    "compare_multiple_prices",
    "contract_prices",
    "contract_series",
    "convert",
    "cross_rate",
    "decide_rolls",
    "events_from_calendar",
    "latest_rate",
    "open_tape",
    "preview_roll",
    "repair_roll_calendar",
    "roll_prices",
    "roll_status",
    "rolls_not_into_forward",
    "sampling_chain",
    "seed_instrument",
    "stored_bars",
    "stored_fx",
    "tape_events",
    "update_instrument",
    "update_sampled_contracts",
    "update_spot_fx",
]
