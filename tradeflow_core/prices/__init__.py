"""What a desk does with prices: it collects, checks, stores and rebuilds them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
