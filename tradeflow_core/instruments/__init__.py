"""Instruments: their costs, roll rules and trading hours, and the tables that define them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
