"""Moments of pairs of columns over a window that moves row by row."""

from __future__ import annotations

import numpy as np

from tradeflow_core.strategy.common.panel import Floats
from tradeflow_core.strategy.estimation.joint_moments import Block, Bools, JointMoments


class SlidingJointMoments(JointMoments):
    """Joint moments that can also forget their oldest rows.

    Taking a row out leaves rounding noise where a variance should be zero; hence the count, for each pair, of the latest
    joint rows over which the first column has not moved.
    """

    def __init__(self, columns: int, decay: float) -> None:
        super().__init__(columns, decay)
        self.latest = np.full((columns, columns), np.nan)
        self.still = np.zeros((columns, columns))

    def extend(self, rows: Floats) -> None:
        """Take in later rows."""
        for row in rows:
            columns = np.flatnonzero(~np.isnan(row))
            block = self.block(columns)
            value = row[columns][:, None]
            self.still[block] = np.where(self.latest[block] == value, self.still[block] + 1.0, 1.0)
            self.latest[block] = value
            super().extend(row[None, :])

    def forget(self, rows: Floats) -> None:
        """Take out the oldest rows."""
        for row in rows:
            columns = np.flatnonzero(~np.isnan(row))
            self._forget(self.block(columns), row[columns][:, None])

    def varied(self) -> Bools:
        """For each pair whether the first column moves on the joint rows."""
        return self.still < self.count

    def _forget(self, block: Block, value: Floats) -> None:
        count = self.count[block] - 1.0
        weight = np.exp(np.log(self.decay) * count)
        total = self.weight[block]
        some = count > 0
        remaining = np.where(some, total - weight, 1.0)
        ahead = value - self.mean[block]
        share = weight / remaining
        between = share * total
        self.mean[block] = np.where(some, self.mean[block] - ahead * share, 0.0)
        self.square[block] = np.where(some, np.maximum(self.square[block] - between * (ahead * ahead), 0.0), 0.0)
        self.cross[block] = np.where(some, self.cross[block] - between * (ahead * ahead.T), 0.0)
        self.weight[block] = np.where(some, remaining, 0.0)
        self.count[block] = count
