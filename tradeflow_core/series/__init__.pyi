from .adjusted import (
    back_adjust as back_adjust,
    rolls_not_into_forward as rolls_not_into_forward,
)
from .bars import (
    at_close as at_close,
    daily_volume as daily_volume,
    first_spike as first_spike,
    hourly_prices as hourly_prices,
    spike_units as spike_units,
)
from .calendars import (
    approximate_roll_calendar as approximate_roll_calendar,
    back_out_calendar as back_out_calendar,
    build_roll_calendar as build_roll_calendar,
    check_roll_calendar as check_roll_calendar,
)
from .contract_table import (
    ContractTable as ContractTable,
    StampForm as StampForm,
)
from .fx import cross_rate as cross_rate
from .marks import (
    MANUAL as MANUAL,
    apply_marks as apply_marks,
    apply_rate_marks as apply_rate_marks,
    bar_times as bar_times,
    suspected_spikes as suspected_spikes,
)
from .multiple import (
    back_out_events as back_out_events,
    build_from_events as build_from_events,
    build_multiple_prices as build_multiple_prices,
    calendar_from_events as calendar_from_events,
    compare_multiple_prices as compare_multiple_prices,
    contract_series as contract_series,
    contracts_without_prices as contracts_without_prices,
    events_from_calendar as events_from_calendar,
)
from .roll_gaps import (
    METHODS as METHODS,
    MendedRoll as MendedRoll,
    RollGap as RollGap,
    RollMethod as RollMethod,
    marks_of_rolls as marks_of_rolls,
    mend_roll as mend_roll,
    parse_told as parse_told,
    require_used as require_used,
    roll_gaps as roll_gaps,
    told_for as told_for,
)
from .roll_plan import (
    RollPlan as RollPlan,
    plan_roll as plan_roll,
)
