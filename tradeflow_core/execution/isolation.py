"""Trouble with one instrument stays with that instrument."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from tradeflow_core.brokers import BrokerUnavailable, SessionLost
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import LedgerTrouble, Superseded, instruments_locked_by, lock_instrument
from tradeflow_core.model import LockOwner

OF_THE_WHOLE_DESK = (BrokerUnavailable, SessionLost, Superseded, LedgerTrouble, DBAPIError)
"""Errors that are not about one instrument: no connection, no lease, no ledger."""

Failures = dict[str, str]
"""Why something failed, by instrument."""


@contextmanager
def collecting(failures: Failures, instrument: str, doing: str) -> Iterator[None]:
    """Run the block; if it fails unexpectedly, note why, so that the others go on. Errors of `OF_THE_WHOLE_DESK` are raised.

    For work within a transaction: the locks are set after it, by `lock_failures`.
    """
    try:
        yield
    except OF_THE_WHOLE_DESK:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        failures.setdefault(
            instrument,
            f"{doing} failed: {type(error).__name__}: {error} ({place.filename.rpartition('/')[2]}:{place.lineno})",
        )


@contextmanager
def isolated(desk: Desk, instrument: str, doing: str) -> Iterator[None]:
    """Run the block; if it fails unexpectedly, lock the instrument and send an alert, so that the others go on.

    Errors of `OF_THE_WHOLE_DESK` are raised. The lock (owner `execution`) stays until a person has looked and lifts it.
    """
    failures: Failures = {}
    with collecting(failures, instrument, doing):
        yield
    lock_failures(desk, failures)


def lock_failures(desk: Desk, failures: Failures) -> None:
    """Lock the instruments of which something has failed, and send alerts."""
    for instrument, why in failures.items():
        lock_for_execution(desk, instrument, why)


def lock_for_execution(desk: Desk, instrument: str, why: str) -> None:
    """Lock an instrument because of trouble with its orders, and send an alert. The first reason stays until somebody lifts the lock."""
    with desk.ledger.begin() as tx:
        is_new = instrument not in instruments_locked_by(tx, LockOwner.EXECUTION)
        if is_new:
            lock_instrument(tx, instrument, LockOwner.EXECUTION, now=desk.now(), why=why)
    if is_new:
        text = f"{instrument}: {why}; look at it, then `tradeflow locks unlock {instrument} --owner {LockOwner.EXECUTION}`"
        desk.alerts.send(f"locked {instrument}", text, desk.now(), is_new=True)
