"""The trading session: the right to trade for a home's account, held by one process at a time, whatever machine it runs on.

A file lock lets one process of a home on one machine in, a lease in the ledger one process of all. Losing the lease (a process
that was paused, a machine that slept) ends the session at the next write, and the broker refuses what an older session sends.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.home import WallClock, replace_text
from tradeflow_core.ledger import LedgerTrouble, release_lease, take_lease

LEASE = "stack_handler"
LOCK_FILE = "stack_handler.lock"
OWNER_FILE = "stack_handler.owner"
LEASE_SECONDS = 120
"""A handler prolongs its lease at every pass, every few seconds: one that has not done so for two minutes is considered dead."""


@dataclass(frozen=True, slots=True)
class TradingSession:
    """An open session. `owner` is a random id of this session, `generation` the number of its lease."""

    desk: Desk
    owner: str
    generation: int

    def prolong(self) -> None:
        """Keep the lease for another `LEASE_SECONDS`. Raises Superseded where somebody else has taken it over."""
        with self.desk.ledger.begin() as tx:
            take_lease(tx, LEASE, self.owner, now=WallClock().now(), seconds=LEASE_SECONDS, about=_about(self.desk))


@contextmanager
def trading_session(desk: Desk, *, by_force: bool = False) -> Iterator[TradingSession]:
    """Trade until the block ends: the lease is held, every write to the ledger requires it, and the broker knows its generation.

    `by_force`: take the lease from a living process, which then can neither write nor send. Otherwise raises StateError while another
    process trades.
    """
    owner = uuid.uuid4().hex
    with nullcontext() if by_force else _alone_on_this_machine(desk.home.path / LOCK_FILE):
        generation = _take(desk, owner, by_force=by_force)
        try:
            with desk.ledger.fenced(LEASE, generation):
                desk.broker.connect(generation)
                yield TradingSession(desk, owner, generation)
        finally:
            with desk.ledger.begin() as tx:
                release_lease(tx, LEASE, owner)


@contextmanager
def session_if_free(desk: Desk) -> Iterator[TradingSession | None]:
    """A trading session for the block, or None while another process trades: what is to be done is then left to that one."""
    with ExitStack() as stack:
        session: TradingSession | None = None
        try:
            session = stack.enter_context(trading_session(desk))
        except LedgerTrouble:
            raise
        except StateError:
            pass
        yield session


def _take(desk: Desk, owner: str, *, by_force: bool) -> int:
    """Take the lease, also from an owner whose process is known to be dead; returns its generation.

    A process that holds the file lock knows that every earlier one of this home on this machine is dead. Their ids are in the owner
    file. It names its home folder, so that a copy of the home does not take the owner of the original for dead.
    """
    file = desk.home.path / OWNER_FILE
    dead = [] if by_force else _recorded_owners(file)
    if not by_force:
        _record_owners(file, [*dead, owner])  # before the lease is taken: a kill between the two must not leave an unknown owner
    with desk.ledger.begin() as tx:
        generation = take_lease(
            tx,
            LEASE,
            owner,
            now=WallClock().now(),
            seconds=LEASE_SECONDS,
            about=_about(desk),
            dead=dead,
            by_force=by_force,
        )
    if not by_force:
        _record_owners(file, [owner])
    return generation


def _recorded_owners(file: Path) -> list[str]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        return list(record["owners"]) if record["folder"] == _folder_id(file) else []
    except (OSError, ValueError, KeyError, TypeError):
        return []  # without proof that the owner is dead, its lease is waited for


def _record_owners(file: Path, owners: Sequence[str]) -> None:
    replace_text(file, json.dumps({"folder": _folder_id(file), "owners": list(owners)}))


def _folder_id(file: Path) -> str:
    """Which folder this is: a copy of the folder has another id."""
    status = file.parent.stat()
    return f"{socket.gethostname()} {status.st_dev} {status.st_ino}"


def _about(desk: Desk) -> str:
    return f"process {os.getpid()} on {socket.gethostname()}, home {desk.home.path}"


@contextmanager
def _alone_on_this_machine(path: Path) -> Iterator[None]:
    """Hold the file `path` locked. Raises StateError if another process holds it.

    The operating system releases the lock when its process dies, however it dies: a lock that is held proves that its holder is alive.
    """
    try:
        with FileLock(path, blocking=False):
            yield
    except Timeout as error:
        raise StateError("a stack handler of this home is running already on this machine; stop that one first") from error
