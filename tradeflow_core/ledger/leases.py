"""Leases: the right to be the only one that does something, such as trading, whatever the process or host.

Each owner that takes a lease gets a higher *generation* than the one before. Whoever writes under a lease checks its generation in
the same transaction (`Ledger.fenced`), and a broker refuses older generations: a process that was paused and has lost its lease
meanwhile can do no harm when it wakes up.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, insert, select, update

from tradeflow_core.errors import StateError
from tradeflow_core.ledger.schema import leases


class Superseded(StateError):
    """Somebody else has taken over the lease; what was about to be written is not."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it is recorded. `owner` is a random id, empty where the lease is free; `about` says for people who that is."""

    name: str
    owner: str
    generation: int
    about: str
    expires_at: datetime

    def is_held(self, now: datetime) -> bool:
        """Whether somebody has it at `now`, the machine's time (UTC)."""
        return bool(self.owner) and self.expires_at > now


def find_lease(view: Connection, name: str, *, keep: bool = False) -> Lease | None:
    """The lease of that name; None if nobody ever had it. `keep`: nobody can take it until the transaction ends."""
    row = view.execute(_LEASE_KEPT if keep else _LEASE, {"lease": name}).first()
    return None if row is None else Lease(row.name, row.owner, row.generation, row.about, row.expires_at)


def take_lease(
    tx: Connection,
    name: str,
    owner: str,
    *,
    now: datetime,
    seconds: float,
    about: str = "",
    dead: Collection[str] = (),
    by_force: bool = False,
) -> int:
    """Take or prolong the lease `name` for `owner`; returns its generation, which only changes with the owner.

    `now` is the machine's time (UTC), in a simulated home too: leases are about processes. `dead`: owners whose process is known to be
    dead. Raises StateError while another owner holds the lease, unless it has run out, is `dead`, or `by_force`.
    """
    lease = find_lease(tx, name, keep=True)
    values = {"owner": owner, "about": about, "expires_at": now + timedelta(seconds=seconds)}
    if lease is None:
        tx.execute(insert(leases).values(name=name, generation=1, acquired_at=now, **values))
        return 1
    if lease.owner == owner:
        tx.execute(update(leases).where(leases.c.name == name).values(**values))
        return lease.generation
    if lease.is_held(now) and lease.owner not in dead and not by_force:
        raise StateError(
            f"{name} is running already ({lease.about or lease.owner}, until {lease.expires_at:%H:%M:%S} UTC unless prolonged); "
            "stop that one first"
        )
    generation = lease.generation + 1
    tx.execute(update(leases).where(leases.c.name == name).values(generation=generation, acquired_at=now, **values))
    return generation


def require_lease(tx: Connection, name: str, generation: int) -> None:
    """Raise Superseded unless the lease is still of this generation; it stays so until the transaction ends."""
    lease = find_lease(tx, name, keep=True)
    if lease is None or lease.generation != generation:
        raise Superseded(
            f"another {name} has taken over ({lease.about if lease else 'its lease is gone'}); this one has stopped and writes nothing more"
        )


def free_lease(tx: Connection, name: str, *, generation: int, now: datetime) -> None:
    """Take the lease from whoever has it; its generation becomes at least `generation`. `now` is the machine's time (UTC)."""
    lease = find_lease(tx, name, keep=True)
    if lease is None:
        tx.execute(insert(leases).values(name=name, owner="", generation=generation, acquired_at=now, expires_at=now))
    else:
        values = {"owner": "", "about": "", "generation": max(generation, lease.generation + 1)}
        tx.execute(update(leases).where(leases.c.name == name).values(**values))


def release_lease(tx: Connection, name: str, owner: str) -> None:
    """Give the lease back, if it is this owner's. Its generation stays, so that the next one is higher."""
    tx.execute(update(leases).where(leases.c.name == name, leases.c.owner == owner).values(owner="", about=""))


_LEASE = select(leases).where(leases.c.name == bindparam("lease"))
_LEASE_KEPT = _LEASE.with_for_update(read=True)
"""In SQLite, which ignores the clause, a transaction that writes keeps the whole database."""
