"""Which rows each fit period learns from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradeflow_core.strategy.common.panel import Ints
from tradeflow_core.strategy.config.compat import Correction, Corrections
from tradeflow_core.strategy.estimation.periods import FitPeriod
from tradeflow_core.strategy.estimation.stacking import Bools, Stacked


def learning_rows(
    data: Stacked, periods: Sequence[FitPeriod], *, using_exponent: bool, corrections: Corrections
) -> tuple[Ints, Ints]:
    """First row of each period's window and the row after its last, for an estimator.

    Exponential estimators read everything strictly before the fit end, unless rolling windows are to be honoured. Plain ones
    read their window with both ends, unless fits are to learn from what is strictly before.
    """
    start, end = rows_in_window(data, periods, corrections)
    if using_exponent:
        return start if Correction.ROLLING_WINDOW in corrections else np.zeros_like(start), data.rows_before(
            [period.fit_end for period in periods]
        )
    return start, end


def rows_in_window(data: Stacked, periods: Sequence[FitPeriod], corrections: Corrections) -> tuple[Ints, Ints]:
    """First row of each period's window and the row after its last."""
    start = data.rows_before([period.fit_start for period in periods])
    return start, data.rows_before([period.fit_end for period in periods], inclusive=Correction.CALENDAR_FITS not in corrections)


def known_in_window(data: Stacked, periods: Sequence[FitPeriod], corrections: Corrections) -> Bools:
    """Whether a column has any value in each period's window: periods x columns."""
    return data.has_values(*rows_in_window(data, periods, corrections))
