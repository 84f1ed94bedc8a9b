"""Capital: what the account is worth, how much of it is traded with, and which strategy gets how much."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
