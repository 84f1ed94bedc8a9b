from .bar_store import (
    BAR_TYPES as BAR_TYPES,
    FREQUENCY_NAMES as FREQUENCY_NAMES,
    INTRADAY_MINUTES as INTRADAY_MINUTES,
    KEY as KEY,
    Closes as Closes,
    bar_ends as bar_ends,
    contract_prices as contract_prices,
    contract_volume as contract_volume,
    stored_bars as stored_bars,
    stored_closes as stored_closes,
)
from .collect import collect_bars as collect_bars
from .damage import (
    lock_damaged as lock_damaged,
    rates_needed as rates_needed,
)
from .deletion import delete_prices as delete_prices
from .handed_on import (
    back_adjust as back_adjust,
    build_multiple_prices as build_multiple_prices,
    build_roll_calendar as build_roll_calendar,
)
from .history import (
    HISTORY_CHANGES as HISTORY_CHANGES,
    HistoryChange as HistoryChange,
)
from .history_source import (
    History as History,
    HistorySource as HistorySource,
    Offer as Offer,
)
from .pipeline import (
    STAGES as STAGES,
    OnStage as OnStage,
    PriceOutcome as PriceOutcome,
    PriceWindow as PriceWindow,
    StageResult as StageResult,
    adjusted_prices as adjusted_prices,
    price_summary as price_summary,
    run_stages as run_stages,
    update_instrument as update_instrument,
)
from .repair import (
    Repair as Repair,
    damaged_prices as damaged_prices,
    repair_prices as repair_prices,
)
from .review import (
    PriceDecision as PriceDecision,
    SuspectPrice as SuspectPrice,
    decide_prices as decide_prices,
    doubts as doubts,
    recent_doubts as recent_doubts,
    review_bars as review_bars,
    review_rates as review_rates,
    suspect_prices as suspect_prices,
)
from .sampling import (
    refresh_expiries as refresh_expiries,
    roll_rule_of as roll_rule_of,
    sampling_chain as sampling_chain,
    update_sampled_contracts as update_sampled_contracts,
)
from .seed import (
    history_events as history_events,
    seed_instrument as seed_instrument,
)
from .seed_history import (
    Seeded as Seeded,
    Seeding as Seeding,
    seed_history as seed_history,
)
from .spot_fx import (
    latest_rate as latest_rate,
    stored_fx as stored_fx,
    update_rates as update_rates,
    update_spot_fx as update_spot_fx,
)
from .spreads import (
    SpreadSample as SpreadSample,
    sample_spreads as sample_spreads,
)
