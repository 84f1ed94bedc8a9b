from .folder import (
    ADJUSTED as ADJUSTED,
    CALENDARS as CALENDARS,
    CONFIG as CONFIG,
    FX as FX,
    MULTIPLE as MULTIPLE,
    PRICE_NAMES as PRICE_NAMES,
    TABLES as TABLES,
    DataFolder as DataFolder,
    RateFile as RateFile,
)
from .problems import (
    Note as Note,
    Problems as Problems,
)
from .series_files import (
    CONTRACT as CONTRACT,
    MISSING as MISSING,
    PRICE as PRICE,
    STAMP as STAMP,
    SeriesFile as SeriesFile,
    read_series as read_series,
)
