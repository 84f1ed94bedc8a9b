"""Replaying a tape in a home of its own: seeding, closing what its rolls leave over, a record of each day. Also adopting a tape."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
