from .capital import capital_view as capital_view
from .check import (
    check_desk as check_desk,
    store_problems as store_problems,
)
from .closes import (
    fills_at_close as fills_at_close,
    how_filled as how_filled,
)
from .controls import (
    lock_rows as lock_rows,
    override_rows as override_rows,
    position_limit_rows as position_limit_rows,
    trade_limit_rows as trade_limit_rows,
)
from .daily import daily_report as daily_report
from .not_traded import (
    not_traded as not_traded,
    not_traded_lines as not_traded_lines,
)
from .orders import (
    BrokerStory as BrokerStory,
    ContractStory as ContractStory,
    OrderStory as OrderStory,
    fill_words as fill_words,
    legs_words as legs_words,
    order_list as order_list,
    order_story as order_story,
)
from .positions import (
    account_rows as account_rows,
    contract_rows as contract_rows,
    owner_rows as owner_rows,
)
from .rows import (
    damaged_files as damaged_files,
    freshness_rows as freshness_rows,
    newest_capital as newest_capital,
    order_rows as order_rows,
    position_rows as position_rows,
)
from .tables import (
    capital_history as capital_history,
    contract_positions as contract_positions,
    fills_by_contract as fills_by_contract,
    fills_of_day as fills_of_day,
    freshness as freshness,
    orders_of_day as orders_of_day,
    positions_against_optimal as positions_against_optimal,
    profit_of_day as profit_of_day,
)
