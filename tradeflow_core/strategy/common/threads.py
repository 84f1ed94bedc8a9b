"""One thread for linear algebra: the matrices of a backtest are small, and more threads spend processor time waiting for one another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Within this context BLAS uses one thread; results are then the same on every number of processors."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield
