"""When a day closes."""

CLOSING_HOUR = 23
"""The hour at which a daily close is stamped, in the time zone of the desk or of the data, as in pysystemtrade."""
