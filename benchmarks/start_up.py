"""What a command costs before it does anything: CPU seconds from nothing to its answer, beside the imports that it cannot do without."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tradeflow_core.business_day import days_to_run, run_day
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home

UNIVERSE = ("CORN", "EUROSTX", "GOLD_micro", "US10")
IMPORTS = ("sqlalchemy", "pandas", "pyarrow.parquet")
COMMANDS: dict[str, str] = {
    "--help": "",
    "stop": "sqlalchemy",
    "resume": "sqlalchemy",
    "status": "sqlalchemy",
    "orders --dry-run": "sqlalchemy",
    "roll": "pandas",
    "prices --help": "pandas",
}
"""Commands, each with the import that it should cost little more than."""


def figures() -> list[tuple[str, float, str]]:
    """(what, CPU seconds, the import to compare it with), the best of three, on a home that has done a day."""
    folder = Path(tempfile.mkdtemp(prefix="tradeflow-bench-"))
    try:
        values = {"market": "simulated", "universe": UNIVERSE, "simulated": {"history_years": 2}}
        desk = Desk(Home.create(folder / "home", values, datetime(2024, 1, 8, 5, tzinfo=UTC)))
        for day in days_to_run(desk, 0):
            run_day(desk, day)
        desk.close()
        command = [sys.executable, "-c", "from tradeflow_core.cli import main; main()", "--home", str(folder / "home")]
        rows = [(f"import {name}", _cpu([sys.executable, "-c", f"import {name}"]), "") for name in IMPORTS]
        return rows + [(f"tradeflow {words}", _cpu([*command, *words.split()]), beside) for words, beside in COMMANDS.items()]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cpu(command: list[str]) -> float:
    best = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best
