"""One Parquet file: how it is encoded with checksums, read, verified and replaced, and which months of rows lie in which file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
