"""The past as a market: seeding a home from a tape, and what a tape's roll leaves over."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
