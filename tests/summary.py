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

from tests.parity.record import RECORD, Proof, files, is_input

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

_KEY = pytest.StashKey["Results"]()


@dataclass
class Results:
    """What one run, or several, have come to."""

    outcomes: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    proofs: list[Proof] = field(default_factory=list)

    def add(self, other: Results) -> None:
        self.outcomes = dict(Counter(self.outcomes) + Counter(other.outcomes))
        self.skipped = dict(Counter(self.skipped) + Counter(other.skipped))
        self.proofs += other.proofs


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tradeflow")
    group.addoption(
        "--skips-fail", action="store_true", help="a test that is skipped fails: everything that it needs should be here"
    )
    group.addoption(
        "--summary-file", type=Path, metavar="FILE", help="add this run's results to the file, and tell of all that it holds"
    )


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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its record to the process that started it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["proofs"] = [asdict(proof) for proof in RECORD]
    else:
        session.config.stash[_KEY].proofs += RECORD


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Called where the workers were started, for each of them."""
    node.config.stash[_KEY].proofs += [Proof(**proof) for proof in getattr(node, "workeroutput", {}).get("proofs", [])]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    results, stats = config.stash[_KEY], terminalreporter.stats
    results.outcomes = {name: len(stats[name]) for name in ("passed", "failed", "error", "skipped") if stats.get(name)}
    results.skipped = dict(Counter(_reason(report) for report in stats.get("skipped", [])))
    if path := config.getoption("--summary-file"):
        if path.exists():
            earlier = json.loads(path.read_text())
            results.add(Results(**{**earlier, "proofs": [Proof(**proof) for proof in earlier["proofs"]]}))
        path.write_text(json.dumps(asdict(results)))
    terminalreporter.section("what was proven, and what was not")
    for line in (*_proof_lines(results.proofs), *_skip_lines(results)):
        terminalreporter.write_line(line)


def _proof_lines(proofs: Iterable[Proof]) -> list[str]:
    """A line for each group of answer files, and one for all of them."""
    groups: dict[str, list[Proof]] = defaultdict(list)
    for proof in proofs:
        groups[proof.file.rsplit("/", 1)[0]].append(proof)
    if not groups:
        return []
    lines = [f"{'answers of the reference':<29} {'files':>5} {'figures':>9}   worst difference, of at most"]
    lines += [f"{group:<29} {_counts(found)}   {_closeness(found)}" for group, found in sorted(groups.items())]
    every = [proof for found in groups.values() for proof in found]
    wanted, named = [file for file in files() if not is_input(file)], sum(proof.named for proof in every)
    lines.append(f"{f'all, of {len(wanted)} files':<29} {_counts(every)}   as close as they have to be")
    if named:
        lines.append(
            f"{named:,} of these cases are answered otherwise on purpose, since the reference is wrong; their tests name each"
        )
    return lines


def _counts(proofs: list[Proof]) -> str:
    return f"{len({proof.file for proof in proofs}):>5} {sum(proof.figures for proof in proofs):>9,}"


def _closeness(proofs: list[Proof]) -> str:
    """How close the figures of a group are, for each tolerance that they have to keep."""
    worst: dict[tuple[float, str], float] = defaultdict(float)
    for proof in proofs:
        key = proof.tolerance, f" of the {proof.relative_to}" if proof.relative_to else ""
        worst[key] = max(worst[key], proof.worst)
    exact = sum(proof.figures for proof in proofs if not proof.tolerance)
    parts = [f"{difference:.1e} of {most:.0e}{relative}" for (most, relative), difference in sorted(worst.items()) if most]
    return "; ".join([*([f"{exact:,} equal"] if exact else []), *parts])


def _skip_lines(results: Results) -> list[str]:
    """A line for each reason why tests were skipped, and what became of all."""
    lines = [f"{count:>5} skipped: {reason}" for reason, count in sorted(results.skipped.items(), key=lambda item: -item[1])]
    counts = ", ".join(f"{count:,} {name}" for name, count in results.outcomes.items()) or "none was run"
    return [*lines, f"tests: {counts}" + ("; none skipped" if results.outcomes and not lines else "")]
