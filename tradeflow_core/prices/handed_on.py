"""Functions of `series` that users import from `tradeflow_core.prices`, where they were before; `docs/public.md` promises these names."""

from tradeflow_core.series import back_adjust, build_multiple_prices, build_roll_calendar

__all__ = ["back_adjust", "build_multiple_prices", "build_roll_calendar"]
