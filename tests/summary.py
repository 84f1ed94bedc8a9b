"""The last lines of a test run: what was proven against the reference's answers, and what was skipped and why.

Registered by tests/conftest.py. `--skips-fail`: a skipped test fails, for a place where everything is installed. `--summary-file FILE`: the
run's results are added to those that FILE has of earlier ones, so that the last of several runs tells of all.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.parity.proof import RECORD, files, is_input

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
Row = tuple[str, int, float, float, str, int]
"""File, figures, worst difference, tolerance, what it is relative to, cases named as different."""

_KEY = pytest.StashKey["Results"]()
_RELATIVE_TO = {"own": "", "largest": " of the largest", "whole": " of the whole"}


@dataclass
class Results:
    """What one run, or several, have come to."""

    outcomes: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    proofs: list[Row] = field(default_factory=list)

    def add(self, other: Results) -> None:
        self.outcomes = dict(Counter(self.outcomes) + Counter(other.outcomes))
        self.skipped = dict(Counter(self.skipped) + Counter(other.skipped))
        self.proofs += other.proofs


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tradeflow")
    group.addoption("--skips-fail", action="store_true", help="a test that is skipped fails: everything that it needs should be here")
    group.addoption("--summary-file", type=Path, help="add this run's results to the file, and tell of all that it holds")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_KEY] = Results()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _strict(item.config, (yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _strict(collector.config, (yield))


def _strict(config: pytest.Config, report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail") and config.getoption("--skips-fail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {_reason(report)}"
    return report


def _reason(report: Any) -> str:
    """Why a test was skipped."""
    where = report.longrepr
    return (where[2] if isinstance(where, tuple) else str(where)).removeprefix("Skipped: ")


def _recorded() -> list[Row]:
    return [
        (proof.file, one.figures, one.worst, one.tolerance, _RELATIVE_TO[one.measure], proof.named)
        for proof in RECORD
        for one in [proof.compared]
    ]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its record to the process that started it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["proofs"] = _recorded()
    else:
        session.config.stash[_KEY].proofs += _recorded()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Called where the workers were started, for each of them."""
    node.config.stash[_KEY].proofs += [tuple(row) for row in getattr(node, "workeroutput", {}).get("proofs", [])]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    results, stats = config.stash[_KEY], terminalreporter.stats
    results.outcomes = {name: len(stats[name]) for name in ("passed", "failed", "error", "skipped") if stats.get(name)}
    results.skipped = dict(Counter(_reason(report) for report in stats.get("skipped", [])))
    if path := config.getoption("--summary-file"):
        if path.exists():
            earlier = json.loads(path.read_text())
            results.add(Results(**{**earlier, "proofs": [tuple(row) for row in earlier["proofs"]]}))
        path.write_text(json.dumps(asdict(results)))
    terminalreporter.section("what was proven, and what was not")
    for line in (*_proof_lines(results.proofs), *_skip_lines(results)):
        terminalreporter.write_line(line)


def _proof_lines(proofs: Iterable[Row]) -> list[str]:
    """A line for each group of answer files, and one for all of them."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in proofs:
        groups[row[0].rsplit("/", 1)[0]].append(row)
    if not groups:
        return []
    lines = [f"{'answers of the reference':<29} {'files':>5} {'figures':>9}   worst difference, of at most"]
    for group, rows in sorted(groups.items()):
        lines.append(f"{group:<29} {len({row[0] for row in rows}):>5} {sum(row[1] for row in rows):>9,}   {_closeness(rows)}")
    every = [row for rows in groups.values() for row in rows]
    wanted, named = [file for file in files() if not is_input(file)], sum(row[5] for row in every)
    lines.append(
        f"{len({row[0] for row in every})} of {len(wanted)} answer files, {sum(row[1] for row in every):,} figures, all as close as they have to be"
        + (f", but for {named} cases in which the reference is wrong, each named by its test" if named else "")
    )
    return lines


def _closeness(rows: list[Row]) -> str:
    """How close the figures of a group are, for each tolerance that they have to keep."""
    worst: dict[tuple[float, str], float] = defaultdict(float)
    for _, _, difference, tolerance, relative, _ in rows:
        worst[tolerance, relative] = max(worst[tolerance, relative], difference)
    exact = sum(row[1] for row in rows if not row[3])
    parts = [f"{difference:.1e} of {most:.0e}{relative}" for (most, relative), difference in sorted(worst.items()) if most]
    return "; ".join([*([f"{exact:,} equal"] if exact else []), *parts])


def _skip_lines(results: Results) -> list[str]:
    """A line for each reason why tests were skipped, and what became of all."""
    lines = [f"{count:>5} skipped: {reason}" for reason, count in sorted(results.skipped.items(), key=lambda item: -item[1])]
    counts = ", ".join(f"{count:,} {name}" for name, count in results.outcomes.items())
    return [*lines, f"tests: {counts}" + ("" if lines else "; none skipped")]
