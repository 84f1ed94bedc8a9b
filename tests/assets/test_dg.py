"""Dagster's own command line `dg` finds the definitions in a checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO
from tradeflow_core.home import Home


@pytest.fixture
def environment(home: Home, tmp_path: Path) -> dict[str, str]:
    """A small home, and settings of Dagster that keep its statistics off."""
    (tmp_path / "dagster").mkdir()
    shutil.copy(REPO / "dagster.yaml", tmp_path / "dagster")
    return os.environ | {"TRADEFLOW_HOME": str(home.path), "DAGSTER_HOME": str(tmp_path / "dagster")}


def dg(environment: dict[str, str], *words: str) -> str:
    """What `dg` answers; it must succeed."""
    command = [str(Path(sys.executable).parent / "dg"), *words]
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_dg_checks_and_lists_the_definitions(environment: dict[str, str], home: Home) -> None:
    assert "All definitions loaded successfully" in dg(environment, "check", "defs")
    listed = json.loads(dg(environment, "list", "defs", "--json"))
    assert {"adjusted_prices", "optimal_positions", "daily_report"} <= {asset["asset_key"] for asset in listed["assets"]}
    assert {"rolls", "prices", "portfolio", "stack_handler", "reports"} <= {job["name"] for job in listed["jobs"]}
