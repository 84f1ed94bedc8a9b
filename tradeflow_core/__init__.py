"""The trading business: prices, strategies, orders, execution. Knows nothing of Dagster.

`import tradeflow_core as tf` is the public import: what may be relied on from outside (docs/public.md). Its names, which stand in the stub beside
this file, are loaded when they are first asked for, so that importing the package costs nothing.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
