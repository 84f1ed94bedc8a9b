"""Backtests: strategies, their forecasts, positions and profit and loss. Pure: it knows no desk.

The names below are what code outside this room uses, with those of `strategy.results` (what a backtest has to show),
`strategy.positions` (profit and loss, dynamic optimisation) and `strategy.costs`. They are imported when first asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
