"""The tables of state and the operations on them. Every operation takes the connection of a transaction, so that what
belongs together is written together."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
