from .allowance import (
    Allowance as Allowance,
    allowed_change as allowed_change,
    allowed_for as allowed_for,
    allowed_now as allowed_now,
)
from .by_hand import (
    ControlChange as ControlChange,
    control_words as control_words,
    held as held,
    limit_position_by_hand as limit_position_by_hand,
    limit_trades_by_hand as limit_trades_by_hand,
    lock_by_hand as lock_by_hand,
    override_by_hand as override_by_hand,
    parse_contracts as parse_contracts,
    parse_override as parse_override,
    unlock_by_hand as unlock_by_hand,
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
from .limits_from_risk import (
    RiskLimit as RiskLimit,
    apply_limits_from_risk as apply_limits_from_risk,
    limits_from_risk as limits_from_risk,
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
from .standing import (
    AtWork as AtWork,
    Controls as Controls,
    Standing as Standing,
    left_behind as left_behind,
    standing_at_work as standing_at_work,
    standings as standings,
)
from .trial import (
    require_reason as require_reason,
    trial as trial,
)
