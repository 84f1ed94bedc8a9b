from .decide import (
    RollStatus as RollStatus,
    decide_rolls as decide_rolls,
    open_tape as open_tape,
    preview_roll as preview_roll,
    preview_tables as preview_tables,
    roll_by_rules as roll_by_rules,
    roll_mode as roll_mode,
    roll_prices as roll_prices,
    roll_status as roll_status,
    roll_statuses as roll_statuses,
    set_state as set_state,
    tape_events as tape_events,
)
from .gaps import (
    mend_gaps as mend_gaps,
    record_tape_marks as record_tape_marks,
)
from .parameters import (
    ParameterChange as ParameterChange,
    apply_parameters as apply_parameters,
    plan_parameters as plan_parameters,
)
from .rules import allowed_states as allowed_states
from .states import (
    EXPLANATIONS as EXPLANATIONS,
    StateChange as StateChange,
    parse_state as parse_state,
)
