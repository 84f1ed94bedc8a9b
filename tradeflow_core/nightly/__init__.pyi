from .explanation import (
    CAP as CAP,
    FACTORS as FACTORS,
    MULTIPLIER as MULTIPLIER,
    WORDS as WORDS,
    Explanation as Explanation,
    explain as explain,
)
from .run import (
    StrategyRun as StrategyRun,
    latest_optimal as latest_optimal,
    production_data as production_data,
    run_behind as run_behind,
    run_strategy as run_strategy,
    save_run as save_run,
    store_optimal as store_optimal,
    strategy_config as strategy_config,
    written_strategy as written_strategy,
)
from .run_writer import (
    prune as prune,
    save_day as save_day,
    save_folder as save_folder,
)
from .saved_runs import (
    MANIFEST as MANIFEST,
    Manifest as Manifest,
    SavedRun as SavedRun,
    open_run as open_run,
    saved_days as saved_days,
    saved_strategies as saved_strategies,
)
from .stored import (
    optimal_rows as optimal_rows,
    traded_rows as traded_rows,
)
