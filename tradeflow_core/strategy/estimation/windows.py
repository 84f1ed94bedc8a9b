"""Statistics of rows over many windows, each row being read once where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, Self, TypeVar

import numpy as np

from tradeflow_core.strategy.common.panel import Floats, Ints

MOST_PIECES = 60


class Rows(Protocol):
    """Rows x columns, read a block of rows at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns."""

    def __getitem__(self, rows: slice, /) -> Floats:
        """A block of rows."""


class Accumulator(Protocol):
    """Statistics that grow with rows."""

    def extend(self, rows: Floats) -> None:
        """Take in later rows."""

    def merge(self, later: Self) -> None:
        """Take in the statistics of later rows."""


class SlidingAccumulator(Protocol):
    """Statistics that grow with later rows and shrink by the oldest."""

    def extend(self, rows: Floats) -> None:
        """Take in later rows."""

    def forget(self, rows: Floats) -> None:
        """Take out the oldest rows."""


A = TypeVar("A", bound=Accumulator)
S = TypeVar("S", bound=SlidingAccumulator)


def over_windows(
    values: Rows, start: Ints, end: Ints, *, new: Callable[[], A], sliding: Callable[[], S] | None = None
) -> Iterator[A | S]:
    """The statistics of the rows `start` to `end` (not included) of `values`, for one window after the other.

    Both bounds must not decrease. What is yielded is valid until the next window is asked for. Windows that all start at the
    same row grow; windows of few pieces are put together from them; others slide, where that is possible.
    """
    if not len(start):
        return
    if (start == start[0]).all():
        yield from _growing(values, int(start[0]), end, new=new)
        return
    edges = np.unique(np.concatenate([start, end]))
    low, high = np.searchsorted(edges, start), np.searchsorted(edges, end)
    if sliding is None or (high - low).max() <= MOST_PIECES:
        yield from _pieced(values, edges, list(zip(low.tolist(), high.tolist(), strict=True)), new=new)
    else:
        yield from _slid(values, start, end, sliding=sliding)


def _growing(values: Rows, first: int, end: Ints, *, new: Callable[[], A]) -> Iterator[A]:
    whole = new()
    for last in end:
        if last > first:
            whole.extend(values[first:last])
            first = int(last)
        yield whole


def _pieced(values: Rows, edges: Ints, windows: Sequence[tuple[int, int]], *, new: Callable[[], A]) -> Iterator[A]:
    pieces: dict[int, A] = {}
    for low, high in windows:
        pieces = {place: piece for place, piece in pieces.items() if place >= low}
        whole = new()
        for place in range(low, high):
            if place not in pieces:
                pieces[place] = new()
                pieces[place].extend(values[edges[place] : edges[place + 1]])
            whole.merge(pieces[place])
        yield whole


def _slid(values: Rows, start: Ints, end: Ints, *, sliding: Callable[[], S]) -> Iterator[S]:
    window = sliding()
    first = last = int(start[0])
    for begin, stop in zip(start.tolist(), end.tolist(), strict=True):
        window.extend(values[last:stop])
        window.forget(values[first:begin])
        first, last = begin, max(stop, last)
        yield window
