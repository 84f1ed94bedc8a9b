"""Instrument orders: what the strategies want to trade, within what the desk allows."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
