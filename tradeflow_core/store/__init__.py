"""How data is stored: Parquet datasets, queries over them with DuckDB, the SQL engine factory."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
