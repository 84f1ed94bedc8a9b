"""The answer files: every one is read by a test that names it, and every figure compared with one is counted.

A test names the files that it compares with `@reads(...)` and those that it takes as given with `@uses(...)`, takes the fixture `answers`,
and compares with `answers.same(file, ours, theirs)`. It fails where it compared less than a cell for every row of a file that it reads, so
that no file lies there unused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.parity.figures import Compared, assert_same
from tests.parity.record import FOLDER, RECORD, Proof, files, is_input

__all__ = ["FOLDER", "RECORD", "Answers", "each", "files", "is_input", "path_of", "reads", "uses"]

_opened: set[str] = set()


def path_of(file: str) -> Path:
    """The path of a file by its name."""
    found = [path for suffix in (".parquet", ".yaml") if (path := FOLDER / f"{file}{suffix}").exists()]
    assert found, f"there is no answer file {file}"
    _opened.add(file)
    return found[0]


@cache
def _table(file: str) -> pd.DataFrame:
    return pd.read_parquet(path_of(file))


def reads(*names: str) -> pytest.MarkDecorator:
    """The answer files that a test compares with."""
    return pytest.mark.reads(*names)


def uses(*names: str) -> pytest.MarkDecorator:
    """Files that a test takes as given: what the reference was asked, or an answer that another test compares."""
    return pytest.mark.uses(*names)


def each(names: Iterable[str], given: Callable[[str], str] | None = None) -> pytest.MarkDecorator:
    """The test for each file, as its argument `file`; `given`: the file that it takes as given, by the name of the first."""
    marks = {name: [reads(name), *([uses(given(name))] if given else [])] for name in names}
    return pytest.mark.parametrize("file", [pytest.param(name, marks=found, id=name) for name, found in marks.items()])


@dataclass
class Answers:
    """The answer files of one test."""

    read: tuple[str, ...]
    used: tuple[str, ...]
    proofs: list[Proof] = field(default_factory=list)
    cells: Counter[str] = field(default_factory=Counter)

    def table(self, file: str) -> pd.DataFrame:
        """A file as a table; only one that the test names."""
        assert file in (*self.read, *self.used), f"{file} is read without being named by @reads or @uses"
        return _table(file).copy(deep=False)

    def same(self, file: str, ours: pd.DataFrame, theirs: pd.DataFrame, tolerance: float = 1e-8, **how: Any) -> None:
        """Compare figures with those of a file (`figures.assert_same`) and count them."""
        self._count(file, assert_same(ours, theirs, tolerance, **how))

    def near(self, file: str, ours: Any, theirs: Any, tolerance: float = 1e-8, **how: Any) -> None:
        """The same for a column, a list or a matrix of figures in the same order; every figure on its own."""
        got, wanted = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
        assert got.shape == wanted.shape, f"{got.shape} figures, the reference has {wanted.shape}"
        self.same(file, pd.DataFrame(got.reshape(1, -1)), pd.DataFrame(wanted.reshape(1, -1)), tolerance, **how)

    def equal(self, file: str, ours: Iterable[Any], theirs: Iterable[Any]) -> None:
        """The same for whole numbers, dates, names and words, which have to be equal."""
        got, wanted = list(ours), list(theirs)
        assert len(got) == len(wanted), f"{len(got)} values, the reference has {len(wanted)}"
        wrong = [(mine, other) for mine, other in zip(got, wanted, strict=True) if mine != other]
        assert not wrong, f"{len(wrong)} of {len(got)} differ, first {wrong[0][0]!r}, the reference says {wrong[0][1]!r}"
        self._count(file, Compared(len(got), len(got), 0.0, 0.0))

    def equal_but(self, file: str, ours: Mapping[Any, Any], theirs: Mapping[Any, Any], named: Mapping[Any, Any]) -> None:
        """The same for cases that are equal but where the reference is wrong: exactly the `named` cases, with our answer to each."""
        assert ours.keys() == theirs.keys(), "other cases than the reference's"
        differing = {case: answer for case, answer in ours.items() if answer != theirs[case]}
        unnamed = {case: answer for case, answer in differing.items() if case not in named or named[case] != answer}
        assert not unnamed, f"{len(unnamed)} cases differ without being named, first {next(iter(unnamed.items()))}"
        assert differing.keys() == named.keys(), f"named as different, but equal: {sorted(named.keys() - differing.keys())[:3]}"
        self._count(file, Compared(len(ours), len(ours), 0.0, 0.0), len(named))

    def _count(self, file: str, compared: Compared, named: int = 0) -> None:
        assert file in self.read, f"{file} is compared without being named by @reads"
        self.cells[file] += compared.cells
        relative_to = "" if compared.measure == "own" else compared.measure
        self.proofs.append(Proof(file, compared.figures, compared.worst, compared.tolerance, relative_to, named))

    def close(self) -> None:
        """Called after the test passed. Raises AssertionError where a file was named for nothing."""
        for file in self.used:
            assert file in _opened, f"{file} is named by @uses, but never opened"
        for file in self.read:
            cells, rows = self.cells[file], len(_table(file))
            assert cells >= rows, f"{cells} figures of {file} were compared, but it has {rows} rows"
        RECORD.extend(self.proofs)
