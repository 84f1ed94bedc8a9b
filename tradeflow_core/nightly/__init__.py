"""The nightly run of a desk's strategies: their optimal positions, what is kept of each run, and why positions changed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
