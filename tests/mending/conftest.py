"""A small home that has traded its first Monday, to be mended, with its ledger in either kind of database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import move_ledger
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.ledger import ledger_problems


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database that the ledger is in; see `over_both`."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def path(day_done: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> Iterator[Path]:
    """That home; whatever a test does to it, its ledger is sound in the end."""
    shutil.copytree(day_done, tmp_path / "home")
    if kind == "postgresql":
        move_ledger(tmp_path / "home", request.getfixturevalue("new_postgres_database")())
    yield tmp_path / "home"
    assert_sound(tmp_path / "home")


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    desk = Desk(Home.open(path))
    yield desk
    desk.close()


@pytest.fixture
def open_desk(trading_desk: Desk) -> Iterator[Desk]:
    """A desk with fresh orders on its stack, at noon of its first Monday; its ledger is sound in the end."""
    trading_desk.clock.wait(12 * 3600)
    yield trading_desk
    assert_sound(trading_desk.home.path)


def assert_sound(path: Path) -> None:
    desk = Desk(Home.open(path))
    with desk.ledger.read() as view:
        assert ledger_problems(view) == []
    desk.close()
