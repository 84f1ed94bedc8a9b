"""The mathematics of price series: bars, roll calendars, multiple and adjusted prices, rates. Pure: it knows no desk."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
