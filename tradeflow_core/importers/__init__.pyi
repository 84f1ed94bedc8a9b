from .pysystemtrade import (
    import_pysystemtrade as import_pysystemtrade,
    make_bars as make_bars,
)
from .report import (
    ImportReport as ImportReport,
    InstrumentImport as InstrumentImport,
)
