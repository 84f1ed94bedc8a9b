from .backtest import Backtest as Backtest, run_backtest as run_backtest
from .common.years import ROOT_BUSINESS_DAYS_PER_YEAR as ROOT_BUSINESS_DAYS_PER_YEAR
from .config.changes import parse_changes as parse_changes, parse_grid as parse_grid
from .config.compat import EXPLANATIONS as EXPLANATIONS, Correction as Correction
from .config.strategy_config import StrategyConfig as StrategyConfig
from .config.strategy_file import (
    load_strategy as load_strategy,
    packaged_strategies as packaged_strategies,
    strategy_from_dict as strategy_from_dict,
)
from .inputs.data import BacktestData as BacktestData
from .inputs.universe import only_instruments as only_instruments
from .rules import whole_table as whole_table
from .stages import STAGES as STAGES
from .sweeps import Sweep as Sweep, sweep as sweep
