"""Whether prices and rates can be what they say they are: one code for whatever comes from a broker, a file or another system."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
