"""The stack handler, one file a step: contract orders, roll orders, sending, fills, reconciliation, the end of the day."""

from tradeflow_core.execution.fills import poll_orders
from tradeflow_core.execution.handler import LEASE, Pass, StackHandler, close_rolled_contract
from tradeflow_core.execution.reconcile import PositionBreak, position_breaks, reconcile
from tradeflow_core.execution.rolls import generate_roll_orders
from tradeflow_core.execution.send import Blocked, blocked_orders, cut_to_caps, send_orders
from tradeflow_core.execution.spawn import contract_trades, spawn_contract_orders

__all__ = [
    "LEASE",
    "Blocked",
    "Pass",
    "PositionBreak",
    "StackHandler",
    "blocked_orders",
    "close_rolled_contract",
    "contract_trades",
    "cut_to_caps",
    "generate_roll_orders",
    "poll_orders",
    "position_breaks",
    "reconcile",
    "send_orders",
    "spawn_contract_orders",
]
