"""Splitting assets in two groups of like assets (Carver, Systematic Trading: handcrafting)."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import linkage

from tradeflow_core.strategy.common.panel import Ints
from tradeflow_core.strategy.estimation.correlation import Correlation

TIE = 1e-6
"""Heights of two merges that differ by less are equal: the difference is rounding."""


def two_clusters(correlation: Correlation) -> tuple[Ints, Ints]:
    """Places of the assets of two clusters, each ascending; the first cluster has the first asset.

    Complete linkage on the Euclidean distances between the rows of the matrix. Where the last two merges are equally high
    (there is no split in two), where a correlation is missing, or where the matrix is made up, assets take turns.
    """
    size = len(correlation.columns)
    if correlation.boring or np.isnan(correlation.values).any():
        return _by_turns(size)
    if size <= 2:
        return np.arange(min(size, 1)), np.arange(1, size)
    merges = linkage(correlation.values, method="complete")
    if merges[-2, 2] > merges[-1, 2] - TIE:
        return _by_turns(size)
    return _members(merges, size)


def _members(merges: np.ndarray, size: int) -> tuple[Ints, Ints]:
    group = np.zeros(2 * size - 1, dtype=np.int64)
    left, right = merges[-1, :2].astype(int)
    group[left], group[right] = 1, 2
    for place in range(len(merges) - 2, -1, -1):
        group[merges[place, :2].astype(int)] = group[size + place]
    assets = group[:size]
    same = assets == assets[0]
    return np.flatnonzero(same), np.flatnonzero(~same)


def _by_turns(size: int) -> tuple[Ints, Ints]:
    return np.arange(0, size, 2), np.arange(1, size, 2)
