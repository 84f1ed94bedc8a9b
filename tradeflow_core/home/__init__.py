"""The home of a desk: its folder, its settings, its clock, its alerts."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
