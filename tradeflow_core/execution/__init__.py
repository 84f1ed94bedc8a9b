"""The stack handler, one file a step: contract orders, roll orders, sending, fills, reconciliation, the end of the day."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
