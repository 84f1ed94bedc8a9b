"""Decisions about rolls: by rules, by hand or by a tape."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
