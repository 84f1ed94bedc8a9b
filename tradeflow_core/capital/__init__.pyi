from .books import (
    CapitalChange as CapitalChange,
    CapitalNow as CapitalNow,
)
from .by_hand import (
    accept_value as accept_value,
    capital_now as capital_now,
    correct_event as correct_event,
    parse_amount as parse_amount,
    parse_when as parse_when,
    record_change as record_change,
    record_flow as record_flow,
    refuse_value as refuse_value,
    set_capital as set_capital,
    void_event as void_event,
)
from .fold import fold_capital as fold_capital
from .jump import (
    CapitalJump as CapitalJump,
    ValueState as ValueState,
    jump_of as jump_of,
)
from .total import (
    allocate as allocate,
    poll_account as poll_account,
    strategy_capital as strategy_capital,
    total_capital as total_capital,
    update_strategy_capital as update_strategy_capital,
    update_total_capital as update_total_capital,
    waiting_jump as waiting_jump,
)
