"""Homes of a few instruments for the tests of the Dagster side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from tests.conftest import make_home
from tradeflow_assets.instance import instance_for
from tradeflow_core.desk import Desk
from tradeflow_core.home import SETTINGS_FILE, Home

THREE = ("CORN", "GOLD_micro", "US10")


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Desk]:
    """A desk of three instruments on its first Monday, with nothing done yet."""
    desk = Desk(make_home(tmp_path / "home", universe=THREE, simulated={"history_years": 1}))
    yield desk
    desk.close()


@pytest.fixture
def instance(three: Desk) -> Iterator[DagsterInstance]:
    """The Dagster storage of that desk's home."""
    with instance_for(three.home.path) as opened:
        yield opened


def with_broken(desk: Desk, *codes: str) -> Desk:
    """The same home, reopened after its market began to send unusable bars for these instruments."""
    file = desk.home.path / SETTINGS_FILE
    text = file.read_text(encoding="utf-8")
    listed = ", ".join(f'"{code}"' for code in codes)
    file.write_text(text.replace("[simulated]\n", f"[simulated]\nbroken = [{listed}]\n"), encoding="utf-8")
    desk.close()
    return Desk(Home.open(desk.home.path))
