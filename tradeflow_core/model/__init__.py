"""What the business speaks of: contracts, rolls, orders. The ground floor: it knows nothing but the errors."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
