"""Dynamic optimisation: the whole contracts that best track the wanted positions when capital is small.

(Carver, Advanced Futures Trading Strategies, strategy 25.) One date is `optimise`, a backtest `optimise_over_time`.
"""

from tradeflow_core.strategy.positions.dynamic.optimiser import optimise
from tradeflow_core.strategy.positions.dynamic.over_time import OptimisedHistory, OptimiserInputs, optimise_over_time
from tradeflow_core.strategy.positions.dynamic.problem import Constraints, Optimised, Outcome, Problem

__all__ = [
    "Constraints",
    "Optimised",
    "OptimisedHistory",
    "OptimiserInputs",
    "Outcome",
    "Problem",
    "optimise",
    "optimise_over_time",
]
