"""The trading business: prices, strategies, orders, execution. Knows nothing of Dagster.

`import tradeflow_core as tf` gives the public names, which `__init__.pyi` lists; each is imported when it is first asked for.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
