"""The files of a home, each of which is there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SETTINGS_FILE = "tradeflow.toml"
"""The settings of a home: a folder with this file is one."""
CLOCK_FILE = "clock.json"
"""The time of a simulated desk."""
ROOM_FILE = "room"
"""A file of nothing: `tradeflow stop` removes it where the disk is full, to have room for what it writes."""
ROOM_BYTES = 2**20
BACKUPS = "backups"
"""The folder of a home in which its backups lie, and what was copied before an upgrade."""


OTHERS = 0o077
"""The permissions of everybody but the owner of a file or folder."""


def keep_private() -> None:
    """From now on this process, and those that it starts, make files and folders that only their owner can read or write."""
    os.umask(os.umask(OTHERS) | OTHERS)


def close_to_others(folder: Path) -> None:
    """Take all permissions of others from a folder and everything in it. It is looked into only where the folder itself is open to others.

    The folder comes last, so that an interrupted call is repeated. What belongs to another user stays as it is, and so does a place that
    all users share, such as `/tmp`. Links are not followed.
    """
    with suppress(OSError):
        mode = folder.stat().st_mode
        if not mode & OTHERS or mode & stat.S_ISVTX:
            return
        for inside, folders, files in os.walk(folder):
            for name in (*folders, *files):
                _close(os.path.join(inside, name))
        folder.chmod(stat.S_IMODE(mode) & ~OTHERS)


def _close(path: str) -> None:
    with suppress(OSError):
        mode = os.lstat(path).st_mode
        if mode & OTHERS and not stat.S_ISLNK(mode):
            os.chmod(path, stat.S_IMODE(mode) & ~OTHERS)


def replace_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Write `text` (UTF-8, line ends as they are) to `path` so that every reader finds the old file or the new one, never a part.

    `sync`: also survive a power cut, which costs a few milliseconds. A link stays a link, and the new file has the permissions of the old one.
    Raises OSError.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut. Raises OSError."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def keep_room(home: Path) -> None:
    """Take the room that `give_room` gives back. A disk without that much is left as it is."""
    file = home / ROOM_FILE
    if file.exists():
        return
    try:
        file.write_bytes(os.urandom(ROOM_BYTES))  # zeros take no room on some disks
    except OSError:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def give_room(home: Path) -> None:
    """Give back the room that `keep_room` has taken."""
    with suppress(OSError):
        (home / ROOM_FILE).unlink(missing_ok=True)


@contextmanager
def finished_file(target: Path) -> Iterator[Path]:
    """A temporary path beside `target`, which becomes `target` when the block ends without an error; else it is removed.

    After a power cut either the whole file is there or none. Raises OSError.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
