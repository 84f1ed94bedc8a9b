"""Moving in: histories of other systems become tapes, and a tape becomes the history of a desk."""

from tradeflow_core.importers.adopt import adopt
from tradeflow_core.importers.pysystemtrade import import_pysystemtrade
from tradeflow_core.importers.report import ImportReport, InstrumentImport

__all__ = ["ImportReport", "InstrumentImport", "adopt", "import_pysystemtrade"]
