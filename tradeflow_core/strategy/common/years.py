"""How long a year is: the field counts 256 business days, so that the root, which scales daily to yearly risk, is a whole number."""

from __future__ import annotations

BUSINESS_DAYS_PER_YEAR = 256
ROOT_BUSINESS_DAYS_PER_YEAR = 16.0
CALENDAR_DAYS_PER_YEAR = 365.25
"""A year of the calendar, leap years included."""
