"""Capital: the account value, the total capital made of it, and the share of each strategy."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
