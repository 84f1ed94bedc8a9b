"""Reports: tables of what a desk holds and did, the report of the day, the check of all invariants."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
