__version__: str

from .desk import Desk as Desk
from .errors import (
    ConfigError as ConfigError,
    DataError as DataError,
    StateError as StateError,
    TradeflowError as TradeflowError,
)
from .home import Home as Home, Settings as Settings
from .instruments import Instrument as Instrument, RollRule as RollRule, load_instruments as load_instruments
from .nightly import (
    SavedRun as SavedRun,
    explain as explain,
    open_run as open_run,
    production_data as production_data,
    saved_days as saved_days,
)
from .series import (
    back_adjust as back_adjust,
    build_multiple_prices as build_multiple_prices,
    build_roll_calendar as build_roll_calendar,
)
from .store import Store as Store
from .strategy import (
    STAGES as STAGES,
    Backtest as Backtest,
    BacktestData as BacktestData,
    Correction as Correction,
    StrategyConfig as StrategyConfig,
    Sweep as Sweep,
    load_strategy as load_strategy,
    packaged_strategies as packaged_strategies,
    run_backtest as run_backtest,
    strategy_from_dict as strategy_from_dict,
    sweep as sweep,
    whole_table as whole_table,
)
from .strategy.results import (
    AccountCurve as AccountCurve,
    Summary as Summary,
    compare as compare,
    portfolio_curve as portfolio_curve,
    statistics as statistics,
    summarise as summarise,
    tear_sheet as tear_sheet,
)
