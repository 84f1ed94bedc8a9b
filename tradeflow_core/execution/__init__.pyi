from .fills import (
    poll_orders as poll_orders,
    unbooked_executions as unbooked_executions,
)
from .fills_by_hand import (
    balance_by_hand as balance_by_hand,
    correct_by_hand as correct_by_hand,
    fill_by_hand as fill_by_hand,
    parse_time as parse_time,
    void_by_hand as void_by_hand,
)
from .handler import (
    Pass as Pass,
    StackHandler as StackHandler,
    Unsupervised as Unsupervised,
)
from .held_back import held_back as held_back
from .levels import (
    Comparison as Comparison,
    Difference as Difference,
    compare_levels as compare_levels,
)
from .mending import (
    ByHand as ByHand,
    Mended as Mended,
    PositionChange as PositionChange,
)
from .orders_by_hand import (
    cancel_by_hand as cancel_by_hand,
    order_by_hand as order_by_hand,
    parse_spread as parse_spread,
    retry_by_hand as retry_by_hand,
)
from .outside import release_assigned as release_assigned
from .positions_by_hand import (
    Adopted as Adopted,
    Adoption as Adoption,
    adopt_positions as adopt_positions,
    assign_by_hand as assign_by_hand,
    plan_adoption as plan_adoption,
    transfer_by_hand as transfer_by_hand,
)
from .quotes import (
    price_problem as price_problem,
    quote_problem as quote_problem,
)
from .reconciliation import (
    PositionBreak as PositionBreak,
    position_breaks as position_breaks,
    reconcile as reconcile,
)
from .rolls import (
    generate_roll_orders as generate_roll_orders,
    share_out as share_out,
)
from .send import (
    Blocked as Blocked,
    blocked_orders as blocked_orders,
    new_reference as new_reference,
    send_orders as send_orders,
    submit_intent as submit_intent,
)
from .session import (
    LEASE as LEASE,
    LOCK_FILE as LOCK_FILE,
    TradingSession as TradingSession,
    session_if_free as session_if_free,
    trading_session as trading_session,
)
from .settle import (
    settle_order as settle_order,
    unknown_orders as unknown_orders,
)
from .spawn import (
    contract_trades as contract_trades,
    legs_now as legs_now,
    spawn_contract_orders as spawn_contract_orders,
)
