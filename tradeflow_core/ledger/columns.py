"""Columns that tables of the ledger have in common, and their types."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, DateTime, ForeignKey, Index, Integer, String, Text, TypeDecorator, text


class Instant(TypeDecorator[datetime]):
    """A timezone-aware UTC instant, stored without its zone; a naive one is refused."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the instant {value.isoformat()} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Money(TypeDecorator[Decimal]):
    """An exact decimal, stored as text, since SQLite has no decimal type."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Any) -> Decimal | None:
        return None if value is None else Decimal(value)


def key() -> Column[int]:
    return Column("id", Integer, primary_key=True, autoincrement=True)


def order_key(name: str) -> Column[int]:
    return Column(name, Integer, ForeignKey(f"{name.removesuffix('_id')}s.id"), nullable=False, index=True)


def said_by() -> list[Column[Any]]:
    return [
        Column("who", String(60), nullable=False),
        Column("why", Text, nullable=False),
        Column("recorded_at", Instant, nullable=False),
    ]


def hash_of_row() -> Column[str]:
    """The hash of a fact, see `facts.py`."""
    return Column("hash", String(64), nullable=False)


def ends() -> list[Column[Any]]:
    """When a control ended, who ended it and why; null while it is in force."""
    return [
        Column("ended_at", Instant),
        Column("ended_by", String(60)),
        Column("ended_why", Text),
        Column("end_hash", String(64)),
    ]


def one_in_force(table: str, *key: str) -> Index:
    """At most one row in force for a key."""
    in_force = text("ended_at IS NULL")
    return Index(f"uq_{table}_in_force", *key, unique=True, sqlite_where=in_force, postgresql_where=in_force)
