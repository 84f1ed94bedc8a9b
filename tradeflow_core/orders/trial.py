"""Changes by a person: with a reason, and tried first where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError


class _OnlyTried(Exception):
    """Ends a transaction that was only tried."""


@contextmanager
def trial(desk: Desk, *, dry_run: bool) -> Iterator[Connection]:
    """A transaction of the ledger, of which a dry run leaves nothing."""
    with suppress(_OnlyTried), desk.ledger.begin() as tx:
        yield tx
        if dry_run:
            raise _OnlyTried


def require_reason(why: str) -> None:
    """Raise ConfigError where a person gives no reason."""
    if not why.strip():
        raise ConfigError("give the reason: it is kept in the ledger")
