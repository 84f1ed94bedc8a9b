"""No answer file lies there unused."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import needs_shared
from tests.parity.figures import GOLDEN
from tests.parity.proof import FOLDER, files, is_input

FREE = (
    "execution/*",
    "merge/*",
    *(f"dynopt/{name}.parquet" for name in ("assets", "cases", "covariance")),
    *(f"optimisation/{name}.parquet" for name in ("assets", "correlation")),
    "prices/synthetic_*",
)
"""The reference's figures that were made of random numbers, so that they may be published: all of them are here."""


def marks_of(module: ModuleType) -> Iterator[pytest.Mark]:
    """The marks of a module's tests, those of their parameters included."""
    for name, function in vars(module).items():
        if name.startswith("test_"):
            for mark in getattr(function, "pytestmark", []):
                yield mark
                if mark.name == "parametrize":
                    for case in mark.args[1]:
                        yield from (
                            one.mark if isinstance(one, pytest.MarkDecorator) else one for one in getattr(case, "marks", ())
                        )


def named() -> dict[str, set[str]]:
    """The files that the parity tests read, and those that they use."""
    found: dict[str, set[str]] = {"reads": set(), "uses": set()}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for mark in marks_of(import_module(f"tests.parity.{path.stem}")):
            if mark.name in found:
                found[mark.name] |= set(mark.args)
    return found


def test_every_answer_is_compared_by_a_test() -> None:
    """A test that names a file and passes has compared it (proof.Answers.close)."""
    wanted = {file for file in files() if not is_input(file)}
    assert named()["reads"] == wanted


def test_every_input_is_used_by_a_test() -> None:
    assert {file for file in named()["uses"] if is_input(file)} == {file for file in files() if is_input(file)}


def test_nothing_else_lies_in_the_folder() -> None:
    others = [path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in (".parquet", ".yaml")]
    assert [path.name for path in others] == ["README.md"]


@needs_shared("golden")
def test_every_figure_that_may_be_published_is_here_as_the_reference_gave_it() -> None:
    """A file that is added over there lies here too, and so is read by a test, or this one fails."""
    here = FOLDER / "reference_cases"
    theirs = {path.relative_to(GOLDEN): path.read_bytes() for pattern in FREE for path in GOLDEN.glob(pattern)}
    ours = {path.relative_to(here): path.read_bytes() for path in here.rglob("*") if path.is_file()}
    assert ours.keys() == theirs.keys()
    assert [str(name) for name, content in theirs.items() if ours[name] != content] == []
