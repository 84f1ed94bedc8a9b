"""Moving in: histories of other systems become tapes, and a tape becomes the history of a desk."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
