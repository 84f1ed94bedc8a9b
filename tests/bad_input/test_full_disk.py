"""A disk that becomes full at any moment: nothing is lost, the error is clear, and the same command goes on when there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import answer, run, said
from tests.strategy.markets import market, write_csv_folder
from tradeflow_core.home import ROOM_FILE, SETTINGS_FILE

DISK = 12 * 2**20
FILLER = "filler"
COMMANDS = {
    "day": ("day", "--days", "1"),
    "prices": ("prices", "update", "--full-refresh"),
    "backup": ("backup",),
    "import": ("import", "pysystemtrade", "{folder}", "--tape", "{disk}/tape", "--replace"),
}
MOMENTS = [2**power for power in range(13, 20)] + [3 * 2**power for power in range(12, 18)]
"""Bytes that are left when the command begins: at each of them it runs out somewhere else."""
FEW = [2**13, 2**16, 2**18]


@pytest.fixture
def disk(day_done: Path, tmp_path: Path) -> Iterator[Path]:
    """A home on a disk of its own, with 12 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", place], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small disk: {mounted.stderr.strip()}")
    try:
        shutil.copytree(day_done, place / "home")
        write_csv_folder(tmp_path / "folder", market(days=300))
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path, left: int) -> None:
    """Leave `left` bytes of a disk free."""
    with (disk / FILLER).open("wb", buffering=0) as file:
        file.write(bytes(max(0, _free(disk) - left)))


def _free(disk: Path) -> int:
    space = os.statvfs(disk)
    return space.f_bavail * space.f_frsize


def facts(home: Path) -> list[dict[str, object]]:
    """All fills of the ledger."""
    rows = answer(home, "sql", "select * from fills order by id")
    assert isinstance(rows, list)
    return rows


def run_out(disk: Path, words: tuple[str, ...], left: int) -> bool:
    """Run a command with so much room; whether it ran out. Then make room and run it again: all is as it should be."""
    home = disk / "home"
    words = tuple(word.format(disk=disk, folder=disk.parent / "folder") for word in words)
    before = facts(home)
    fill(disk, left)
    result = run(home, *words)
    (disk / FILLER).unlink()
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output and result.exit_code in (0, 1), result.output
    ran_out = result.exit_code == 1
    assert not ran_out or "error:" in said(result), result.output
    assert facts(home)[: len(before)] == before, "facts were lost"
    again = run(home, *words)
    assert again.exit_code == 0, said(again)[-2000:]
    assert answer(home, "check") == {"problems": []}
    return ran_out


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("left", FEW)
def test_a_command_goes_on_when_there_is_room_again(name: str, left: int, disk: Path) -> None:
    assert run_out(disk, COMMANDS[name], left) or left > FEW[0], "with next to no room it has run out"


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("left", MOMENTS)
def test_a_command_goes_on_after_any_moment(name: str, left: int, disk: Path) -> None:
    run_out(disk, COMMANDS[name], left)


def test_a_full_disk_is_named(disk: Path) -> None:
    fill(disk, 0)
    result = run(disk / "home", "day", "--days", "1")
    assert result.exit_code == 1 and "room" in said(result) and "damaged" not in said(result), result.output


def test_trading_is_stopped_on_a_full_disk(disk: Path) -> None:
    home = disk / "home"
    assert (home / ROOM_FILE).stat().st_size and (home / SETTINGS_FILE).exists()
    fill(disk, 0)
    stopped = run(home, "stop", "--why", "the disk is full")
    assert stopped.exit_code == 0 and "trading is stopped" in said(stopped), stopped.output
    (disk / FILLER).unlink()
    assert answer(home, "status")["trading_stopped"].endswith("the disk is full")
    assert answer(home, "resume") == {"resumed": True}
    assert (home / ROOM_FILE).stat().st_size, "room is kept for the next time"
