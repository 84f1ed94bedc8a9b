"""Price files of vendors, read as they are downloaded: profiles say how a vendor writes times, numbers and file names."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
