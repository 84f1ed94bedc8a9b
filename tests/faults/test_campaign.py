"""The campaign of kills, pauses, lies and people: one run of each kind here, a thousand in `make soak`, which goes on where it stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.campaign import KINDS

IS_LONG = "SOAK_DAYS" in os.environ
RUNS = int(os.environ.get("SOAK_RUNS", "1000")) if IS_LONG else len(KINDS)
RESULTS = Path(os.environ.get("SOAK_RESULTS", "soak/campaign.jsonl"))
"""Where the long form keeps its runs; a run that stands there is not done again."""


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(60 * RUNS + 300)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_disturbance_of_a_session_leaves_a_trace(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    results = RESULTS.with_stem(f"{RESULTS.stem}-{kind}").absolute() if IS_LONG else tmp_path / "campaign.jsonl"
    # A process of its own, since it makes copies of itself.
    command = [sys.executable, "-m", "tests.faults.campaign", "--runs", str(RUNS), "--results", str(results)]
    if kind == "postgresql":
        command += ["--server", request.getfixturevalue("postgres")]
    command += ["--workers", str(os.cpu_count() if IS_LONG else 1)]
    done = subprocess.run(command, capture_output=not IS_LONG, text=True, check=False)
    runs = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert done.returncode == 0, [run for run in runs if run["problems"]] or done.stderr
    assert {run["kind"] for run in runs} == set(KINDS) and len(runs) >= RUNS
    assert sum(run.get("kills", 0) + run.get("pauses", 0) for run in runs) >= RUNS / 2, "sessions were disturbed at all"
