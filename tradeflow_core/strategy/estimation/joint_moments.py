"""Weighted means, variances and covariances of every pair of columns, over the rows that both columns have.

Rows are weighted by their age counted in *joint* rows: a row that either column lacks does not age the older ones of that
pair. The sums are kept about the running means (Welford's update; Chan, Golub and LeVeque's for blocks of rows), so a column
that never moves on its joint rows has a variance of exactly zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradeflow_core.strategy.common.panel import Floats, Ints

Bools = NDArray[np.bool_]
Columns = slice | Ints
Block = tuple[Columns, ...]


class JointMoments:
    """State of shape (columns, columns); `mean[a, b]` and `square[a, b]` are of column a on the rows that it shares with b.

    `decay`: the weight of a joint row relative to the next joint row; 1 weighs all alike.
    """

    def __init__(self, columns: int, decay: float) -> None:
        self.decay = decay
        self.count, self.weight, self.mean, self.square, self.cross = (np.zeros((columns, columns)) for _ in range(5))

    def extend(self, rows: Floats) -> None:
        """Take in later rows (rows x columns), NaN where a column lacks the row."""
        present = ~np.isnan(rows)
        some = present.any(axis=1)
        if not some.all():
            rows, present = rows[some], present[some]
        used = np.flatnonzero(present.any(axis=0))
        if not len(used):
            return
        if present[:, used].all():
            self._extend_common(used, rows[:, used])
            return
        groups = _same_rows(present, used)
        changes = np.flatnonzero((present[1:] != present[:-1]).any(axis=1)) + 1
        if len(groups) * (len(groups) + 1) // 2 > len(changes) + 1:
            for run in np.split(np.arange(len(rows)), changes):
                columns = np.flatnonzero(present[run[0]])
                self._extend_common(columns, rows[run[0] : run[-1] + 1, columns])
        else:
            self._extend_groups(rows, present, groups)

    def merge(self, later: JointMoments) -> None:
        """Take in the moments of later rows."""
        everything = slice(None)
        decay = np.exp(np.log(self.decay) * later.count)
        ahead = later.mean - self.mean
        self._absorb(
            (everything, everything),
            decay,
            later.count,
            weight=later.weight,
            ahead=ahead,
            ahead_of_other=ahead.T,
            square=later.square,
            cross=later.cross,
        )

    def correlation(self, min_periods: float) -> Floats:
        """Correlations; missing with fewer joint rows than `min_periods`, or where a column never moves on them."""
        varied = self.varied()
        return correlation_of(self.square, self.cross, (self.count >= min_periods) & varied & varied.T)

    def varied(self) -> Bools:
        """For each pair whether the first column moves on the joint rows."""
        return self.square > 0

    def _extend_groups(self, rows: Floats, present: Bools, groups: list[Ints]) -> None:
        for place, a in enumerate(groups):
            for b in groups[place:]:
                joint = np.flatnonzero(present[:, a[0]] & present[:, b[0]])
                if not len(joint):
                    continue
                if a is b:
                    self._extend_common(a, rows[np.ix_(joint, a)])
                else:
                    self._extend_pair(a, b, rows[np.ix_(joint, a)], rows_b=rows[np.ix_(joint, b)])

    @staticmethod
    def block(columns: Ints) -> Block:
        """All pairs of `columns`; neighbouring ones as slices, which need no copies."""
        if not len(columns) or int(columns[-1]) - int(columns[0]) + 1 > len(columns):
            return np.ix_(columns, columns)
        every = slice(int(columns[0]), int(columns[-1]) + 1)
        return every, every

    def _extend_common(self, columns: Ints, rows: Floats) -> None:
        """Rows that all of `columns` have."""
        block = self.block(columns)
        decay = self.decay ** len(rows)
        if len(rows) == 1:
            ahead = rows[0][:, None] - self.mean[block]
            self._absorb(block, decay, 1.0, weight=1.0, ahead=ahead, ahead_of_other=ahead.T, square=0.0, cross=0.0)
            return
        weights = self._weights(len(rows))
        mean, rest = _centred(rows, weights)
        ahead = mean[:, None] - self.mean[block]
        self._absorb(
            block,
            decay,
            len(rows),
            weight=weights.sum(),
            ahead=ahead,
            ahead_of_other=ahead.T,
            square=(rest * rest).sum(axis=0)[:, None],
            cross=rest.T @ rest,
        )

    def _extend_pair(self, a: Ints, b: Ints, rows_a: Floats, *, rows_b: Floats) -> None:
        """Rows that all columns of both groups have."""
        weights = self._weights(len(rows_a))
        (mean_a, rest_a), (mean_b, rest_b) = _centred(rows_a, weights), _centred(rows_b, weights)
        here, there = np.ix_(a, b), np.ix_(b, a)
        ahead_a, ahead_b = mean_a[:, None] - self.mean[here], mean_b[:, None] - self.mean[there]
        decay, count, total, cross = self.decay ** len(rows_a), len(rows_a), weights.sum(), rest_a.T @ rest_b
        self._absorb(
            here,
            decay,
            count,
            weight=total,
            ahead=ahead_a,
            ahead_of_other=ahead_b.T,
            square=(rest_a * rest_a).sum(axis=0)[:, None],
            cross=cross,
        )
        self._absorb(
            there,
            decay,
            count,
            weight=total,
            ahead=ahead_b,
            ahead_of_other=ahead_a.T,
            square=(rest_b * rest_b).sum(axis=0)[:, None],
            cross=cross.T,
        )

    def _absorb(
        self,
        block: Block,
        decay: Floats | float,
        count: Floats | float,
        *,
        weight: Floats | float,
        ahead: Floats,
        ahead_of_other: Floats,
        square: Floats | float,
        cross: Floats | float,
    ) -> None:
        """Add later rows to a block; `ahead`: how far their means lie above those so far."""
        older = self.weight[block] * decay
        total = older + weight
        share = weight / np.where(total > 0, total, 1.0)
        self.mean[block] += ahead * share
        between = share * older
        self.square[block] = self.square[block] * decay + square + between * (ahead * ahead)
        self.cross[block] = self.cross[block] * decay + cross + between * (ahead * ahead_of_other)
        self.weight[block] = total
        self.count[block] += count

    def _weights(self, rows: int) -> Floats:
        return np.asarray(self.decay ** np.arange(rows - 1, -1, -1, dtype=float))


def correlation_of(square: Floats, cross: Floats, known: Bools) -> Floats:
    """Correlations from sums of squares (of the first column of each pair) and of products; missing where not `known`."""
    spread = np.sqrt(square)
    scale = spread * spread.T
    known = known & (scale > 0)
    result = np.full(scale.shape, np.nan)
    np.divide(cross, scale, out=result, where=known)
    np.clip(result, -1.0, 1.0, out=result)
    diagonal = np.diagonal(known)
    result[diagonal, diagonal] = 1.0
    return result


def _centred(rows: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted means, and the rows about them times the root of their weight; exact for a column that never moves."""
    beyond = rows - rows[0]
    beyond -= weights @ beyond / weights.sum()
    mean = rows[0] + weights @ (rows - rows[0]) / weights.sum()
    return mean, beyond * np.sqrt(weights)[:, None]


def _same_rows(present: Bools, used: Ints) -> list[Ints]:
    """The used columns in groups that have the very same rows."""
    patterns = np.packbits(present[:, used], axis=0)
    _, group = np.unique(patterns, axis=1, return_inverse=True)
    group = group.ravel()
    return [used[group == number] for number in range(int(group.max()) + 1)]
