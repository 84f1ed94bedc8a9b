"""How figures are taken: CPU seconds of this process, the best of a few runs, beside a calibration in the same run."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Figure:
    """One measurement: CPU and wall seconds, the reference system's figure on this kind of machine (seconds, None: none), and
    the time of one NumPy pass over as many bytes as the inputs have."""

    name: str
    cpu: float
    wall: float
    baseline: float | None
    calibration: float
    note: str = ""


def calibrate(size: int) -> float:
    """CPU seconds of one NumPy pass (a sum) over `size` bytes of floats: the least that any computation over them costs."""
    data = np.ones(max(size // 8, 1))
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        data.sum()
        best = min(best, time.process_time() - started)
    return best


def measure(
    name: str, work: Callable[[], object], size: int, *, baseline: float | None = None, repeat: int = 3, note: str = ""
) -> Figure:
    """Run `work` a few times and keep the quickest; `size` is the bytes of its inputs."""
    cpu, wall = float("inf"), float("inf")
    for _ in range(repeat):
        started, clock = time.process_time(), time.perf_counter()
        work()
        cpu, wall = min(cpu, time.process_time() - started), min(wall, time.perf_counter() - clock)
    return Figure(name, cpu, wall, baseline, calibrate(size), note)


def peak_memory() -> float:
    """MB of memory that this process has had at most; what its parent had before it began does not count."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
