"""What is traded: instruments and their costs, contracts and roll rules, trading hours, and the tables of all of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
