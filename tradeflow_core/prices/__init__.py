"""Prices: FX, contract bars, roll calendars, multiple and adjusted prices, roll decisions."""

from tradeflow_core.prices.adjusted import back_adjust, rolls_not_into_forward
from tradeflow_core.prices.bar_store import (
    FREQUENCY_NAMES,
    Closes,
    bar_ends,
    contract_prices,
    marked_bars,
    stored_bars,
    stored_closes,
)
from tradeflow_core.prices.bars import hourly_prices
from tradeflow_core.prices.calendars import (
    approximate_roll_calendar,
    back_out_calendar,
    build_roll_calendar,
    check_roll_calendar,
    repair_roll_calendar,
)
from tradeflow_core.prices.collect import collect_bars
from tradeflow_core.prices.decide import (
    RollStatus,
    decide_rolls,
    open_tape,
    preview_roll,
    preview_tables,
    roll_by_rules,
    roll_mode,
    roll_prices,
    roll_status,
    roll_statuses,
    set_state,
    tape_events,
)
from tradeflow_core.prices.fx import convert, cross_rate
from tradeflow_core.prices.history import DATASET as HISTORY_CHANGES
from tradeflow_core.prices.history import HistoryChange, compare_history
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
from tradeflow_core.prices.review import PriceDecision, SuspectPrice, decide_prices, review_bars, review_rates, suspects
from tradeflow_core.prices.roll_actions import EXPLANATIONS, StateChange, parse_state
from tradeflow_core.prices.roll_parameters import ParameterChange, apply_parameters, plan_parameters
from tradeflow_core.prices.rolls import RollPlan, RollState, allowed_states
from tradeflow_core.prices.sampling import sampling_chain, update_sampled_contracts
from tradeflow_core.prices.seed import seed_instrument
from tradeflow_core.prices.seed_csv import CsvColumns, delete_prices, read_bars_csv, seed_bars
from tradeflow_core.prices.spot_fx import latest_rate, stored_fx, update_spot_fx
from tradeflow_core.prices.spreads import SpreadSample, sample_spreads

__all__ = [
    "EXPLANATIONS",
    "FREQUENCY_NAMES",
    "HISTORY_CHANGES",
    "LOCK_OWNER",
    "STAGES",
    "Closes",
    "CsvColumns",
    "HistoryChange",
    "ParameterChange",
    "PriceDecision",
    "PriceWindow",
    "RollPlan",
    "RollState",
    "RollStatus",
    "SpreadSample",
    "StageResult",
    "StateChange",
    "SuspectPrice",
    "adjusted_prices",
    "allowed_states",
    "apply_parameters",
    "approximate_roll_calendar",
    "back_adjust",
    "back_out_calendar",
    "back_out_events",
    "bar_ends",
    "build_from_events",
    "build_multiple_prices",
    "build_roll_calendar",
    "business_days_between",
    "calendar_from_events",
    "check_roll_calendar",
    "collect_bars",
    "compare_history",
    "compare_multiple_prices",
    "contract_prices",
    "contract_series",
    "convert",
    "cross_rate",
    "decide_prices",
    "decide_rolls",
    "delete_prices",
    "events_from_calendar",
    "hourly_prices",
    "latest_rate",
    "marked_bars",
    "open_tape",
    "parse_state",
    "plan_parameters",
    "preview_roll",
    "preview_tables",
    "read_bars_csv",
    "repair_roll_calendar",
    "review_bars",
    "review_rates",
    "roll_by_rules",
    "roll_mode",
    "roll_prices",
    "roll_status",
    "roll_statuses",
    "rolls_not_into_forward",
    "sample_spreads",
    "sampling_chain",
    "seed_bars",
    "seed_instrument",
    "set_state",
    "stored_bars",
    "stored_closes",
    "stored_fx",
    "suspects",
    "tape_events",
    "update_instrument",
    "update_sampled_contracts",
    "update_spot_fx",
]
