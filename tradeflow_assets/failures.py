"""How an expected error ends a run: with its message alone, and without another try."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from tradeflow_core.errors import TradeflowError


@contextmanager
def errors_as_failures() -> Iterator[None]:
    """Turn a TradeflowError into a Dagster failure with the same message, which is not retried."""
    try:
        yield
    except TradeflowError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
