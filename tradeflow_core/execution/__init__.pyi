from .fills import (
    poll_orders as poll_orders,
    unbooked_executions as unbooked_executions,
)
from .handler import (
    Pass as Pass,
    StackHandler as StackHandler,
    Unsupervised as Unsupervised,
)
from .levels import (
    Comparison as Comparison,
    Difference as Difference,
    compare_levels as compare_levels,
)
from .mending import (
    Mended as Mended,
    PositionChange as PositionChange,
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
    spawn_contract_orders as spawn_contract_orders,
)
