"""Instrument orders: what the strategies want to trade, within what the desk allows."""

from tradeflow_core.orders.controls import Standing, standings
from tradeflow_core.orders.generate import (
    DATASET,
    Decision,
    OrderPlan,
    buffered_trade,
    generate_orders,
    plan_orders,
    preview_orders,
)
from tradeflow_core.orders.optimised import is_dynamic, optimised_positions
from tradeflow_core.orders.sizing import apply_override, apply_position_limit, apply_position_limits, largest_position

__all__ = [
    "DATASET",
    "Decision",
    "OrderPlan",
    "Standing",
    "apply_override",
    "apply_position_limit",
    "apply_position_limits",
    "buffered_trade",
    "generate_orders",
    "is_dynamic",
    "largest_position",
    "optimised_positions",
    "plan_orders",
    "preview_orders",
    "standings",
]
