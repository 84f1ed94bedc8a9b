"""Which answer files there are, and the record of what was compared with them. Light, since every run of pytest imports it."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

FOLDER = Path(__file__).parent / "answers"

INPUTS = (
    "market/configs/*",
    "market/input/*",
    "market/prices/roll_parameters",
    "market/prices/update_cut",
    "reference_cases/dynopt/covariance",
    "reference_cases/merge/freq_*input",
    "reference_cases/merge/inputs",
    "reference_cases/optimisation/correlation",
    "reference_cases/prices/synthetic_contract_prices_input",
    "reference_cases/prices/synthetic_roll_parameters",
)
"""Files that hold what the reference was asked, not what it answered: a test uses them, and there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Proof:
    """`figures` of a file that a test found to be the same, by at most `worst`; `tolerance` 0: equal.

    `relative_to`: what differences are relative to, if not to the figure itself. `named`: cases among them that are answered otherwise on
    purpose, since the reference is wrong.
    """

    file: str
    figures: int
    worst: float
    tolerance: float
    relative_to: str = ""
    named: int = 0


RECORD: list[Proof] = []
"""What this process has proven so far; tests/summary.py reports it."""


def files(pattern: str = "*") -> list[str]:
    """Names of answer files, sorted: their paths within the folder, without the suffix."""
    every = (
        path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*") if path.suffix in (".parquet", ".yaml")
    )
    return sorted(name for name in every if fnmatch(name, pattern))


def is_input(file: str) -> bool:
    """Whether a file holds no answers."""
    return any(fnmatch(file, pattern) for pattern in INPUTS)
