"""What a backtest has to show: curves, statistics, turnover, the summary and the tear sheet."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
