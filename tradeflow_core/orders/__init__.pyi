from .allowance import (
    Allowance as Allowance,
    Standing as Standing,
    allowed_change as allowed_change,
    allowed_now as allowed_now,
    standing_at_work as standing_at_work,
    standings as standings,
)
from .generate import (
    ORDER_DECISIONS as ORDER_DECISIONS,
    Decision as Decision,
    OrderPlan as OrderPlan,
    Rows as Rows,
    buffered_trade as buffered_trade,
    generate_orders as generate_orders,
    plan_orders as plan_orders,
    preview_orders as preview_orders,
    store_decisions as store_decisions,
)
from .optimised import (
    is_dynamic as is_dynamic,
    optimised_positions as optimised_positions,
)
from .sizing import (
    OnTheWay as OnTheWay,
    apply_override as apply_override,
    apply_position_limit as apply_position_limit,
    apply_position_limits as apply_position_limits,
    cut_to_caps as cut_to_caps,
    cut_to_total as cut_to_total,
    largest_position as largest_position,
)
