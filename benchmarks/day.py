"""The business day on the simulated market: the core alone, and through Dagster."""

from __future__ import annotations

import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tradeflow_assets.runner import execute_job
from tradeflow_core import business_day as day
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.ledger import recorded_steps


def figures() -> list[tuple[str, float, float]]:
    """(job, wall seconds, of which the core's own) of the first day and of the day after it, through Dagster."""
    folder = Path(tempfile.mkdtemp(prefix="tradeflow-bench-"))
    try:
        desk = Desk(Home.create(folder / "home", {"market": "simulated"}, datetime(2024, 1, 8, 5, tzinfo=UTC)))
        rows = []
        for each in day.days_to_run(desk, 1):
            spent: dict[str, float] = {}

            def timed(desk: Desk, job: str, spent: dict[str, float] = spent) -> None:
                started = time.perf_counter()
                execute_job(desk, job)
                spent[job] = time.perf_counter() - started

            day.run_day(desk, each, timed)
            with desk.ledger.read() as view:
                steps = recorded_steps(view)
            own = steps[steps["day"] == each].set_index("step")["seconds"]
            rows += [(f"{each} {job}", wall, float(own[list(day.JOBS[job])].sum())) for job, wall in spent.items()]
        desk.close()
        return rows
    finally:
        shutil.rmtree(folder)
