"""A home that cannot be written can be looked at, and whatever would change it says why it cannot."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import answer, run, said


@pytest.fixture
def read_only(day_done: Path, tmp_path: Path) -> Iterator[Path]:
    """A home on a disk that is mounted to read: root, too, cannot write there."""
    home = tmp_path / "home"
    shutil.copytree(day_done, home)
    bound = subprocess.run(["mount", "--bind", home, home], check=False, capture_output=True, text=True)
    if bound.returncode:
        pytest.skip(f"needs the right to mount: {bound.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", home], check=True)
        yield home
    finally:
        subprocess.run(["umount", "--lazy", home], check=True)


def test_a_home_that_cannot_be_written_shows_its_state(read_only: Path) -> None:
    assert answer(read_only, "status")["last_done_day"] is None
    assert answer(read_only, "sql", "select count(*) > 0 as any from fills") == [{"any": True}]
    for words in (("positions",), ("orders", "list"), ("capital",), ("locks",), ("alerts",)):
        assert run(read_only, *words).exit_code == 0, words


def test_a_check_of_it_names_the_one_thing_that_cannot_be_compared(read_only: Path) -> None:
    result = run(read_only, "check", "--json")
    assert result.exit_code == 1 and result.stdout.count("could not be compared with the broker's") == 1
    assert "read-only" in result.stdout or "readonly" in result.stdout


@pytest.mark.parametrize(
    "words", [("day",), ("stop",), ("prices", "update", "CORN"), ("locks", "lock", "CORN", "--why", "x"), ("backup",)]
)
def test_what_would_change_it_is_refused(words: tuple[str, ...], read_only: Path) -> None:
    result = run(read_only, *words)
    assert isinstance(result.exception, SystemExit) and result.exit_code == 1
    assert "readonly" in said(result) or "Read-only" in said(result), result.output
