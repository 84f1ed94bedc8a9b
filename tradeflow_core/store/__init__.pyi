from .parquet import (
    APPENDED as APPENDED,
    KEPT as KEPT,
    RECENT as RECENT,
    Store as Store,
)
from .query import (
    open_query as open_query,
    run_query as run_query,
)
from .sql import (
    BUSY_SECONDS as BUSY_SECONDS,
    Whole as Whole,
    create_sql_engine as create_sql_engine,
    read_only as read_only,
    word_type as word_type,
)
from .tape import (
    MANIFEST as MANIFEST,
    Tape as Tape,
)
