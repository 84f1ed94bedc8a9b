from .accounts import (
    MOST_MONEY as MOST_MONEY,
    capital_events_of as capital_events_of,
    record_account_value as record_account_value,
    record_capital_event as record_capital_event,
)
from .checks import ledger_problems as ledger_problems
from .control_history import (
    Control as Control,
    control_history as control_history,
)
from .controls import (
    ANY as ANY,
    Stop as Stop,
    TradeLimit as TradeLimit,
    active_stop as active_stop,
    clear_override as clear_override,
    combine_overrides as combine_overrides,
    instruments_locked_by as instruments_locked_by,
    lift_stop as lift_stop,
    lock_instrument as lock_instrument,
    locked_instruments as locked_instruments,
    override_for as override_for,
    overrides_in_force as overrides_in_force,
    position_limit as position_limit,
    position_limits_in_force as position_limits_in_force,
    set_override as set_override,
    set_position_limit as set_position_limit,
    set_trade_limit as set_trade_limit,
    stop_trading as stop_trading,
    trade_limits_in_force as trade_limits_in_force,
    tradeable_now as tradeable_now,
    unlock_instrument as unlock_instrument,
)
from .copies import (
    copy_ledger as copy_ledger,
    fill_database as fill_database,
)
from .decisions import (
    FX_CONTRACT as FX_CONTRACT,
    append_roll_events as append_roll_events,
    contract_facts as contract_facts,
    current_roll as current_roll,
    current_rolls as current_rolls,
    find_roll as find_roll,
    record_contracts as record_contracts,
    record_mark as record_mark,
    replace_roll_events as replace_roll_events,
    roll_state as roll_state,
    roll_states_now as roll_states_now,
    rolls_recorded as rolls_recorded,
    set_roll_state as set_roll_state,
)
from .executions import (
    Booked as Booked,
    Booking as Booking,
    ImpossibleFill as ImpossibleFill,
    book_by_hand as book_by_hand,
    book_fill as book_fill,
    booked_executions as booked_executions,
    hand_number as hand_number,
    transfer as transfer,
)
from .facts import (
    FACTS as FACTS,
    Head as Head,
    append as append,
    append_all as append_all,
    chain_problems as chain_problems,
    heads as heads,
    missing_heads as missing_heads,
)
from .frames import (
    account_value_history as account_value_history,
    marks_of as marks_of,
    rate_marks_of as rate_marks_of,
    recorded_steps as recorded_steps,
    roll_events_of as roll_events_of,
)
from .journal import (
    LAST_STEP as LAST_STEP,
    last_done_day as last_done_day,
    last_step_day as last_step_day,
    record_step as record_step,
    step_done as step_done,
)
from .leases import (
    Lease as Lease,
    Superseded as Superseded,
    find_lease as find_lease,
    free_lease as free_lease,
    release_lease as release_lease,
    take_lease as take_lease,
)
from .ledger import (
    HEAD as HEAD,
    Ledger as Ledger,
)
from .orders import (
    DAY_ENDED as DAY_ENDED,
    SYSTEM as SYSTEM,
    add_broker_order as add_broker_order,
    add_contract_order as add_contract_order,
    add_instrument_order as add_instrument_order,
    cancel_instrument_order as cancel_instrument_order,
    close_all_orders as close_all_orders,
    complete_orders as complete_orders,
    retry_contract_order as retry_contract_order,
    set_broker_status as set_broker_status,
)
from .recognise import (
    require_any as require_any,
    word_about as word_about,
)
from .schema import (
    allocations as allocations,
    commissions as commissions,
    fills as fills,
    instrument_orders as instrument_orders,
    roll_events as roll_events,
)
from .soundness import damage as damage
from .stack import (
    Rejections as Rejections,
    broker_order_named as broker_order_named,
    broker_orders_below as broker_orders_below,
    contract_orders_below as contract_orders_below,
    count_open_contract_orders as count_open_contract_orders,
    filled_of as filled_of,
    has_open_instrument_orders as has_open_instrument_orders,
    instrument_order as instrument_order,
    instrument_orders_of as instrument_orders_of,
    live_broker_orders as live_broker_orders,
    newest_fill_time as newest_fill_time,
    open_contract_order as open_contract_order,
    open_contract_orders as open_contract_orders,
    open_instrument_orders as open_instrument_orders,
    positions_by_contract as positions_by_contract,
    positions_by_strategy as positions_by_strategy,
    rejections as rejections,
    unfinished_rolls as unfinished_rolls,
    untold_broker_orders as untold_broker_orders,
    unwanted_broker_orders as unwanted_broker_orders,
)
from .stories import (
    BookedFill as BookedFill,
    OrderEvent as OrderEvent,
    booked_fill as booked_fill,
    events_of_orders as events_of_orders,
    fills_below as fills_below,
)
from .trouble import (
    RESTORE as RESTORE,
    LedgerBusy as LedgerBusy,
    LedgerRefused as LedgerRefused,
    LedgerTrouble as LedgerTrouble,
)
