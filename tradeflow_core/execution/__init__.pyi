from .fills import poll_orders as poll_orders
from .handler import (
    Pass as Pass,
    StackHandler as StackHandler,
    Unsupervised as Unsupervised,
)
from .outside import release_assigned as release_assigned
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
    TradingSession as TradingSession,
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
