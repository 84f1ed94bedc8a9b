from .total import (
    CapitalJump as CapitalJump,
    allocate as allocate,
    fold_capital as fold_capital,
    poll_account as poll_account,
    strategy_capital as strategy_capital,
    update_strategy_capital as update_strategy_capital,
    update_total_capital as update_total_capital,
)
