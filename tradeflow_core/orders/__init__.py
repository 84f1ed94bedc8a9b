"""Instrument orders: what the strategies want to trade, within what the desk allows."""

from tradeflow_core.orders.generate import DATASET, Decision, buffered_trade, generate_orders
from tradeflow_core.orders.sizing import apply_override, apply_position_limit, apply_position_limits

__all__ = [
    "DATASET",
    "Decision",
    "apply_override",
    "apply_position_limit",
    "apply_position_limits",
    "buffered_trade",
    "generate_orders",
]
