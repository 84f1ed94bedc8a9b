"""Functions on price series that are used from outside under `tradeflow_core.prices`, where they once were; the code is in `series`."""

from tradeflow_core.series import back_adjust, build_multiple_prices, build_roll_calendar

__all__ = ["back_adjust", "build_multiple_prices", "build_roll_calendar"]
