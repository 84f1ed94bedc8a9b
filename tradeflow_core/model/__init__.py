"""The terms of the business as types: contracts, rolls, orders, controls. The lowest room: it imports only `errors`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
