"""Reading out: tables of what a desk holds and did, the daily report, the check of all invariants."""

from tradeflow_core.reports.check import check_desk, store_problems
from tradeflow_core.reports.daily import daily_report
from tradeflow_core.reports.tables import (
    capital_history,
    contract_positions,
    fills_by_contract,
    fills_of_day,
    freshness,
    orders_of_day,
    positions_against_optimal,
    profit_of_day,
)

__all__ = [
    "capital_history",
    "check_desk",
    "contract_positions",
    "daily_report",
    "fills_by_contract",
    "fills_of_day",
    "freshness",
    "orders_of_day",
    "positions_against_optimal",
    "profit_of_day",
    "store_problems",
]
