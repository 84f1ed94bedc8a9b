"""The proof cannot be had by naming a file: it has to be compared, and what differs is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import REPO
from tests.parity.proof import RECORD, Answers

IDM, LIMITS = "market/static/idm", "reference_cases/execution/position_limit_single"


def test_a_file_that_is_named_but_not_compared_fails_the_test() -> None:
    answers = Answers((IDM,), ())
    answers.table(IDM)
    with pytest.raises(AssertionError, match="0 figures of market/static/idm were compared, but it has 232 rows"):
        answers.close()


def test_a_file_of_which_a_part_is_compared_fails_the_test() -> None:
    answers = Answers((IDM,), ())
    some = answers.table(IDM)[["value"]].head(100)
    answers.same(IDM, some, some)
    with pytest.raises(AssertionError, match="100 figures of"):
        answers.close()


def test_a_file_that_is_not_named_cannot_be_read() -> None:
    with pytest.raises(AssertionError, match="without being named"):
        Answers((), ()).table(IDM)


def test_nothing_is_recorded_of_a_test_that_fails() -> None:
    before = len(RECORD)
    answers = Answers((IDM,), ())
    theirs = answers.table(IDM)[["value"]]
    with pytest.raises(AssertionError, match=r"off by 0\.5 at 7, value"):
        answers.same(IDM, theirs.mul(pd.Series(1.0, theirs.index).where(theirs.index != 7, 1.5), axis=0), theirs)
    assert len(RECORD) == before and not answers.proofs


def test_a_missing_figure_is_not_a_figure() -> None:
    answers = Answers((IDM,), ())
    theirs = answers.table(IDM)[["value"]]
    with pytest.raises(AssertionError, match="1 missing values differ, first at 7, value"):
        answers.same(IDM, theirs.drop(index=7), theirs)


def test_a_difference_has_to_be_named_with_our_answer_and_has_to_be_one() -> None:
    answers = Answers((LIMITS,), ())
    theirs = {"a": 1, "b": 2}
    answers.equal_but(LIMITS, {"a": 1, "b": 3}, theirs, {"b": 3})
    with pytest.raises(AssertionError, match="differ without being named"):
        answers.equal_but(LIMITS, {"a": 1, "b": 3}, theirs, {"b": 4})
    with pytest.raises(AssertionError, match="named as different, but equal"):
        answers.equal_but(LIMITS, theirs, theirs, {"b": 2})


SKIPPING = """
import pytest

def test_of_what_is_here():
    pass

@pytest.mark.skipif(True, reason="needs the moon")
def test_of_what_is_not():
    pass
"""


def test_a_skip_fails_where_nothing_may_be_skipped(tmp_path: Path) -> None:
    (tmp_path / "test_two.py").write_text(SKIPPING)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.summary",
        "-c",
        "/dev/null",
        "--rootdir",
        str(tmp_path),
        "--skips-fail",
    ]
    run = subprocess.run([*command, str(tmp_path / "test_two.py")], cwd=REPO, capture_output=True, text=True, check=False)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    assert "skipped, where nothing may be: needs the moon" in run.stdout
    assert "tests: 1 passed, 1 error; none skipped" in run.stdout


def test_figures_relative_to_the_largest_of_their_column_are_so() -> None:
    theirs = pd.DataFrame({"x": [100.0, 1.0]})
    answers = Answers((IDM,), ())
    answers.same(IDM, theirs + 1e-6, theirs, 1e-8, measure="largest")
    with pytest.raises(AssertionError):
        answers.same(IDM, theirs + 1e-6, theirs, 1e-8)
