"""`make migration` writes down what the tables have beyond the newest migration."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, Table

from tools import new_migration
from tradeflow_core.ledger.ledger import HEAD
from tradeflow_core.ledger.migrate import MIGRATIONS
from tradeflow_core.ledger.schema import metadata


def test_a_new_table_comes_into_the_next_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(MIGRATIONS, tmp_path / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(new_migration, "MIGRATIONS", tmp_path / "migrations")
    table = Table("venues", metadata, Column("id", Integer, primary_key=True))
    try:
        new_migration.main("where fills are done")
    finally:
        metadata.remove(table)
    number = f"{int(HEAD) + 1:04d}"
    written = (tmp_path / "migrations" / "versions" / f"{number}_where_fills_are_done.py").read_text(encoding="utf-8")
    assert f"down_revision = '{HEAD}'" in written
    assert written.count("create_table") == 1 and "'venues'" in written


def test_a_migration_has_a_name() -> None:
    with pytest.raises(SystemExit, match="say what it does"):
        new_migration.main(" ")
