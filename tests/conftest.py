"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.days import run_until
from tradeflow_core.desk import Desk
from tradeflow_core.execution import StackHandler
from tradeflow_core.home import Home

pytest_plugins = ["tests.summary", "tests.postgres"]

for _number in (signal.SIGINT, signal.SIGTERM):
    # A shell that starts the tests in the background has Ctrl-C ignored; what they start would inherit it, and Dagster's way of putting
    # handlers back gives SIGTERM the one of Ctrl-C.
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

REPO = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("TRADEFLOW_SHARED", REPO.parent / "shared"))


def needs_shared(*parts: str) -> pytest.MarkDecorator:
    """Skip a test, with the reason, where the reference data does not lie beside the repository."""
    path = SHARED.joinpath(*parts)
    return pytest.mark.skipif(not path.exists(), reason=f"needs reference data: {'/'.join(('../shared', *parts))} is absent")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data and golden figures, or a skip."""
    if not SHARED.exists():
        pytest.skip("needs reference data: ../shared is absent")
    return SHARED


SMALL_UNIVERSE = ("CORN", "EUROSTX", "GOLD_micro", "US10")


def make_home(path: Path, **values: object) -> Home:
    """A small simulated home whose clock stands at the beginning of its first Monday."""
    settings = {
        "market": "simulated",
        "universe": SMALL_UNIVERSE,
        "capital": "4000000",
        "simulated": {"history_years": 2},
        **values,
    }
    return Home.create(path, settings, datetime(2024, 1, 8, 5, 0, tzinfo=UTC))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh small home."""
    return make_home(tmp_path / "home")


@pytest.fixture
def desk(home: Home) -> Iterator[Desk]:
    """A desk in a fresh small home, closed afterwards."""
    desk = Desk(home)
    yield desk
    desk.close()


@pytest.fixture(scope="session")
def seeded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small home whose first Monday was prepared up to the orders, but not traded. To be copied, not changed."""
    desk = Desk(make_home(tmp_path_factory.mktemp("seeded") / "home"))
    run_until(desk, "instrument_orders")
    desk.close()
    return desk.home.path


@pytest.fixture
def trading_desk(seeded_home: Path, tmp_path: Path) -> Iterator[Desk]:
    """A desk with prices, positions and fresh orders on its stack, just before the stack handler begins."""
    shutil.copytree(seeded_home, tmp_path / "home")
    desk = Desk(Home.open(tmp_path / "home"))
    yield desk
    desk.close()


@pytest.fixture(scope="session")
def day_done(seeded_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small home that has traded its first Monday. To be copied, not changed."""
    home = tmp_path_factory.mktemp("done") / "home"
    shutil.copytree(seeded_home, home)
    desk = Desk(Home.open(home))
    StackHandler(desk).run(desk.home.at(desk.today(), desk.settings.day.session_end))
    desk.close()
    return home
